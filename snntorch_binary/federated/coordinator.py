"""The server's side of a federation that learns one network."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary.federated.aggregation import Aggregation, require_aggregation, shared_state
from snntorch_binary.federated.averaging import State, why_refused, with_noise, without_stragglers
from snntorch_binary.federated.exchange import Update
from snntorch_binary.kernels.noise import mix


class NetworkCoordinator:
    """Holds the global network and moves it by what the clients send.

    Args:
        net: the global network; its tensors are where all clients start.
        aggregation: how answers become the next global network.
        uniform: let every client count the same, whatever its number of examples.
        stragglers: probability that a client, other than the first of a round, answers too late to count.
        gradient_noise: σ of the noise on what clients send, see :func:`snntorch_binary.federated.with_noise`; on
            parameters only.

    Raises:
        ValueError: an argument is out of its range.
        TypeError: the aggregation is none.
    """

    def __init__(
        self,
        net: nn.Module,
        aggregation: Aggregation,
        *,
        uniform: bool = False,
        stragglers: float = 0.0,
        gradient_noise: float = 0.0,
    ) -> None:
        require_aggregation(aggregation)
        if not 0 <= stragglers <= 1:
            raise ValueError(expected("stragglers", "a float in [0, 1]", stragglers))
        if not gradient_noise >= 0:
            raise ValueError(expected("gradient_noise", "a float of at least 0", gradient_noise))
        self.net = net
        self.aggregation = aggregation
        self.uniform = uniform
        self.stragglers = stragglers
        self.gradient_noise = gradient_noise
        self._like = aggregation.like(net)

    def arrays(self) -> State:
        """Return the global network's tensors that are shared."""
        return shared_state(self.net)

    def why_refused(self, update: Update) -> str | None:
        """Say why an answer cannot be used: another architecture, NaN, no examples; or ``None`` where it can."""
        if update.num_examples < 1:
            return "it learned from no example"
        return why_refused(update.arrays, self._like)

    def combine(self, updates: Mapping[int, Update], round: int, seed: int) -> list[int]:
        """Move the global network; return the clients that were in time."""
        used = without_stragglers(list(updates), self.stragglers, mix(seed, 1))
        start = self.arrays()
        parameters = {name for name, _ in self.net.named_parameters(remove_duplicate=False)}
        uploads = [
            with_noise(updates[client].arrays, start, self.gradient_noise, mix(seed, 2, client), parameters)
            for client in used
        ]
        weights = None if self.uniform else [updates[client].num_examples for client in used]
        self.aggregation.combine(self.net, uploads, weights, seed)
        return used

    def state_dict(self) -> State:
        """Return the global network's tensors."""
        return self.net.state_dict()

    def load_state_dict(self, state: State) -> None:
        """Load the global network's tensors."""
        self.net.load_state_dict(state)
