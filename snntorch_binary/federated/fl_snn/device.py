"""FL-SNN: devices with probabilistic spiking networks that learn online, each from its own stream of examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.data import class_symbols, unsigned_symbols
from snntorch_binary.data.splits import permutation
from snntorch_binary.federated.fl_snn.selective import Share, average, merge, select
from snntorch_binary.federated.fl_snn.synapses import (
    biases_and_feedback,
    set_biases_and_feedback_,
    set_synapses_,
    synapses,
)
from snntorch_binary.learning.online_glm import OnlineGLM
from snntorch_binary.nn.wta.network import WTANetwork

CountedSince = Literal["sent", "exchange"]


class OnlineDevice(nn.Module):
    r"""A network, its rule, and a stream of examples that it learns from as they come, one time step at a time.

    Examples follow each other in an order that is drawn anew in every pass over them. An example has T time steps, in
    each of which the output of its class is clamped to spike and the others to be silent; what was emitted is forgotten
    where it ends, eligibility and learning signal go on. The state_dict holds everything that a device is in the middle
    of (weights, traces, eligibility, learning signal, position in its stream), so that a device made of it goes on bit
    for bit as the first one would have.

    Args:
        net: the network, of one symbol.
        spikes: 0 or 1, uint8 [N, T, N_in].
        labels: int64 [N], in [0, N_out).
        rule: the rule for this network; ``None`` is ``OnlineGLM(net)``.
        lr: learning rate η.
        counted_since: from when on the gradients of a basis function count towards its choice: ``"sent"``, since the
            device last sent it, so that each has its turn; or ``"exchange"``, since the last exchange, the published
            choice. That takes the same ones again and again, and the others, which here every device keeps as they
            are, learn from its own examples only.
        seed: of the order of examples and of the draws of hidden circuits.

    Raises:
        ValueError: there is no example, a shape or label does not fit the network, or an argument is out of its range.

    Example:
        >>> import torch
        >>> from snntorch_binary.nn import WTANetwork
        >>> spikes = (torch.rand(6, 10, 16) < 0.2).byte()
        >>> net = WTANetwork(num_inputs=16, num_hidden=0, num_outputs=2)
        >>> device = OnlineDevice(net, spikes, torch.zeros(6, dtype=torch.int64), seed=1)
        >>> device.advance(25)  # two and a half examples
        >>> device.position
        25
    """

    def __init__(
        self,
        net: WTANetwork,
        spikes: Tensor,
        labels: Tensor,
        rule: OnlineGLM | None = None,
        lr: float = 0.05,
        counted_since: CountedSince = "sent",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not isinstance(net, WTANetwork) or net.num_symbols != 1:
            got = f"{net.num_symbols} symbols" if isinstance(net, WTANetwork) else type(net).__name__
            raise ValueError(expected("net", "a WTANetwork of 1 symbol", got))
        if spikes.dim() != 3 or spikes.shape[2] != net.num_inputs or 0 in spikes.shape:
            what = f"of shape [N, T, {net.num_inputs}] with at least one example and time step"
            raise ValueError(expected("spikes", what, tuple(spikes.shape)))
        if labels.shape != spikes.shape[:1] or not ((labels >= 0) & (labels < net.num_outputs)).all():
            what = f"{len(spikes)} integers from 0 to {net.num_outputs - 1}, one an example"
            raise ValueError(expected("labels", what, labels.tolist() if labels.numel() < 5 else "others"))
        if not 0 <= lr < float("inf"):
            raise ValueError(expected("lr", "a float of at least 0", lr))
        if counted_since not in get_args(CountedSince):
            raise ValueError(expected("counted_since", "'sent' or 'exchange'", repr(counted_since)))
        self.net, self.rule = net, OnlineGLM(net) if rule is None else rule
        self.memory = net.memory(1, net.outputs.linear.bias)
        self.spikes, self.labels, self.lr, self.seed = spikes, labels, lr, seed
        self.counted_since = counted_since
        self.position = 0
        self._order: tuple[int, Tensor] | None = None

    def advance(self, num_local_steps: int) -> None:
        """Learn for some local steps, from where the stream is.

        Raises:
            ValueError: the number is less than 1.
        """
        if num_local_steps < 1:
            raise ValueError(expected("num_local_steps", "an integer of at least 1", num_local_steps))
        optimizer = torch.optim.SGD(self.net.parameters(), self.lr)
        end = self.position + num_local_steps * self.rule.window
        while self.position < end:
            number, t = divmod(self.position, self.spikes.shape[1])
            if t == 0:
                self.memory.reset()
            x, target = self._example(number)
            for now in x[t : t + end - self.position]:
                with torch.no_grad():
                    step = self.net.look(self.memory, target, self.seed, self.position)
                    self.net.remember(self.memory, now, step)
                if self.rule.learn(step):
                    optimizer.step()
                self.position += 1

    def _example(self, number: int) -> tuple[Tensor, Tensor]:
        """Return an example of the stream, [T, 1, N_in, 1], and what outputs are to emit, [1, N_out, 1]."""
        epoch, place = divmod(number, len(self.spikes))
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, permutation(len(self.spikes), f"stream {self.seed} {epoch}")
        index = self._order[1][place : place + 1]
        x = unsigned_symbols(self.spikes[index].transpose(0, 1).to(self.rule.reward), polarities=False)
        return x, class_symbols(self.labels[index], 1, self.net.num_outputs, 1)[0].to(x)

    def share(self, num: int) -> Share:
        """Return what the device sends of ``num`` basis functions, and count their gradients anew from now on."""
        share = select(synapses(self.net), biases_and_feedback(self.net), self.rule.magnitudes, num)
        self.rule.magnitudes[slice(None) if self.counted_since == "exchange" else share.indices] = 0
        return share

    @torch.no_grad()
    def receive(self, share: Share) -> None:
        """Take over what was exchanged, and keep one's own of the rest."""
        set_synapses_(self.net, merge(synapses(self.net), share))
        set_biases_and_feedback_(self.net, share.rest)

    def get_extra_state(self) -> Tensor:
        """Return the position in the stream in time steps, int64."""
        return torch.tensor(self.position)

    def set_extra_state(self, state: Tensor) -> None:
        """Take up the stream where a checkpoint left it."""
        self.position = int(state)


def exchange_(devices: Sequence[OnlineDevice], num: int) -> list[Share]:
    """Average what each device sends, and hand that to all; return what was sent.

    Args:
        devices: at least one.
        num: how many basis functions each sends, see :func:`num_selected`.
    """
    shares = [device.share(num) for device in devices]
    mean = average(shares)
    for device in devices:
        device.receive(mean)
    return shares
