"""The server's side of a federation that learns one network."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary.federated.aggregation import (
    Aggregation,
    fixed_names,
    load_moved,
    require_aggregation,
    shared_state,
)
from snntorch_binary.federated.averaging import State, why_refused, with_noise, without_stragglers
from snntorch_binary.federated.exchange import Update
from snntorch_binary.kernels.noise import mix

LARGEST = 1e18
"""Of the numbers that a client may send, where the network's own are no larger."""


class NetworkCoordinator:
    """Holds the global network and moves it by what the clients send.

    Args:
        net: the global network; its tensors are where all clients start.
        aggregation: how answers become the next global network.
        uniform: let every client count the same, whatever its number of examples.
        stragglers: probability that a client, other than the first of a round, answers too late to count.
        gradient_noise: σ of the noise on what clients send, see :func:`snntorch_binary.federated.with_noise`; on
            parameters only.
        keep_fixed: let an answer count only if it has what nobody learns as it was sent: parameters without a gradient,
            and thresholds, decays and resets of neurons. Not where clients put noise on all numbers that they send.

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
        keep_fixed: bool = False,
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
        own = shared_state(net)  # an upload has bits in the place of some of it
        as_they_are = {name for name, like in self._like.items() if name in own and like.dtype == own[name].dtype}
        self._fixed = fixed_names(net) & as_they_are if keep_fixed else set()
        self._trial: nn.Module | None = None  # tries on what clients send

    def arrays(self) -> State:
        """Return the global network's tensors that are shared."""
        return shared_state(self.net)

    def why_refused(self, update: Update) -> str | None:
        """Say why an answer cannot be used, or ``None`` where it can.

        Another architecture, NaN, no examples, numbers that no network can add up, values that this network does not
        take, or other ones of what nobody learns.
        """
        if update.num_examples < 1:
            return "it learned from no example"
        return why_refused(update.arrays, self._like) or self._why_no_network(update.arrays)

    def _why_no_network(self, arrays: State) -> str | None:
        own = self.net.state_dict()
        for name in sorted(self._fixed):
            if not torch.equal(arrays[name], own[name].to(arrays[name].device)):
                return f"{name} is not what it was sent, and nobody learns it"
        for name, tensor in arrays.items():
            if tensor.is_floating_point() and tensor.numel():
                # Beyond it products and sums overflow; a mask of the network's own may be larger.
                limit = max(LARGEST, own[name].abs().max().item() if name in own else 0.0)
                if tensor.abs().max().item() > limit:
                    return f"{name} has values beyond {limit:.3g}"
        if self._trial is None:
            self._trial = deepcopy(self.net)
        same = {name: tensor for name, tensor in arrays.items() if name in own and tensor.shape == own[name].shape}
        try:
            load_moved(self._trial, same)
        except (RuntimeError, ValueError, TypeError, LookupError) as error:  # whatever a layer says of its values
            return f"its values are none of this network ({error})"
        return None

    def combine(self, updates: Mapping[int, Update], round: int, seed: int) -> list[int]:
        """Move the global network; return the clients that were in time."""
        used = without_stragglers(list(updates), self.stragglers, mix(seed, 1))
        start = self.arrays()
        fixed = {name: start[name] for name in self._fixed}  # a masked mean may have moved them
        parameters = {name for name, _ in self.net.named_parameters(remove_duplicate=False)}
        uploads = [
            {
                **with_noise(updates[client].arrays, start, self.gradient_noise, mix(seed, 2, client), parameters),
                **fixed,
            }
            for client in used
        ]
        weights = None if self.uniform else [updates[client].num_examples for client in used]
        self.aggregation.combine(self.net, uploads, weights, seed)
        for name, buffer in self.net.named_buffers():
            if name.rpartition(".")[2] == "running_var":
                buffer.clamp_(min=0.0)  # noise of clients may take it below, where a norm has no square root
        return used

    def state_dict(self) -> State:
        """Return the global network's tensors."""
        return self.net.state_dict()

    def load_state_dict(self, state: State) -> None:
        """Load the global network's tensors."""
        self.net.load_state_dict(state)
