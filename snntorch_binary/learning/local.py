"""A stack of spiking blocks that each learn from a fixed random readout of their own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.convert import reset
from snntorch_binary.convert.copies import copy_model
from snntorch_binary.fuse import EachStep, fuse
from snntorch_binary.inference.run import is_stepwise, run
from snntorch_binary.learning.activity import ActivityRegularizer
from snntorch_binary.learning.losses import Loss, loss_value
from snntorch_binary.nn.binary import BinaryLinear
from snntorch_binary.nn.neurons.description import is_neuron
from snntorch_binary.nn.time_first import TimeFirst
from snntorch_binary.packed.shaping import SkipSteps


class LocalStep(NamedTuple):
    """What the blocks put out at one time step, a list with one tensor each.

    Attributes:
        readouts: readouts [B, C], differentiable within their block.
        spikes: spikes [B, N], flattened, differentiable within their block.
    """

    readouts: list[Tensor]
    spikes: list[Tensor]


class LocalNetwork(nn.Module):
    r"""A feed-forward stack of spiking blocks, each with a fixed random readout of ±1.

    Block l turns the spikes of block l - 1 into its own, :math:`s^l_t`, which a readout that is never trained looks at:

    .. math::
        r^l_t = \frac{g}{\sqrt{N_l}}\, B^l s^l_t, \qquad B^l \in \{-1, +1\}^{C \times N_l}, \qquad
        L_t = \sum_l \ell(r^l_t, y_t)

    Gradients do not pass from one block to the one before it, so every layer learns from its own error: the local rule
    of BiSNN (arXiv 2012.08300), in the manner of DECOLLE. The answer of the network is the last readout. Called, it
    returns that of all time steps after the burn-in; in ``predict`` and the modules it is ``readout="membrane"``.

    Args:
        blocks: modules that take and return time-first spikes [T, B, ...], such as
            ``nn.Sequential(SynapticTrace(), Linear(...), Refractory())``, or layer and neuron in one-step form
            (``init_hidden=True``). For updates within a sequence a block must be able to go step by step: made of
            layers, of neurons with a ``step`` method or with ``init_hidden=True``.
        num_outputs: number C of outputs: classes, or one for regression and for a binary decision.
        input_shape: shape of the input in one time step, without the batch.
        readout_scale: the factor g, positive.
        burn_in: time steps at the start of every sequence that are neither learned from nor read out.
        seed: of the readouts. They are saved with the network.

    Shape:
        spikes [T, B, ...] -> readouts [T - burn_in, B, C].

    Raises:
        ValueError: an argument is out of its range, or there is no block.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from snntorch_binary.learning import LocalNetwork
        >>> from snntorch_binary.nn import Refractory, SynapticTrace
        >>> blocks = [nn.Sequential(SynapticTrace(), nn.Linear(20, 64), Refractory()) for _ in range(1)]
        >>> LocalNetwork(blocks, num_outputs=2, input_shape=(20,), burn_in=10)(torch.ones(100, 4, 20)).shape
        torch.Size([90, 4, 2])
    """

    def __init__(
        self,
        blocks: Sequence[nn.Module],
        num_outputs: int,
        input_shape: Sequence[int],
        readout_scale: float = 1.0,
        burn_in: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not blocks:
            raise ValueError(expected("blocks", "at least one block", "none"))
        if num_outputs < 1:
            raise ValueError(expected("num_outputs", "an integer of at least 1", num_outputs))
        if not readout_scale > 0:
            raise ValueError(expected("readout_scale", "a positive float", readout_scale))
        if not isinstance(burn_in, int) or burn_in < 0:
            raise ValueError(expected("burn_in", "an integer of at least 0", burn_in))
        self.blocks = nn.ModuleList(blocks)
        self.num_outputs = num_outputs
        self.readout_scale = readout_scale
        self.burn_in = burn_in
        generator = torch.Generator().manual_seed(seed)
        for index, size in enumerate(self._sizes(input_shape)):
            coins = torch.randint(2, (num_outputs, size), generator=generator)
            self.register_buffer(f"readout{index}", 2.0 * coins - 1)

    @torch.no_grad()
    def _sizes(self, input_shape: Sequence[int]) -> list[int]:
        """Return the number of neurons of each block, by one step of silence."""
        sizes = []
        x = torch.zeros(1, 1, *input_shape)
        for block in self.blocks:
            x = _sequence(block, x)
            sizes.append(x[0, 0].numel())
        reset(self)
        return sizes

    def readout(self, index: int) -> Tensor:
        """Return the fixed readout of a block, ±1, [C, N]; -1 is the last."""
        return self.get_buffer(f"readout{index % len(self.blocks)}")

    def readout_gain(self, index: int) -> float:
        """Return the factor g / sqrt(N) of a block's readout."""
        return self.readout_scale / math.sqrt(self.readout(index).shape[1])

    def _read(self, index: int, spikes: Tensor) -> Tensor:
        """Return the readouts [..., C] of flat spikes [..., N]."""
        return (spikes @ self.readout(index).to(spikes.dtype).T) * self.readout_gain(index)

    def check_length(self, x: Tensor) -> None:
        """Refuse a sequence that the burn-in leaves nothing of.

        Raises:
            ValueError: the burn-in is not shorter than the sequence.
        """
        if x.dim() < 2 or self.burn_in >= x.shape[0]:
            raise ValueError(expected("x", f"a sequence longer than the burn-in of {self.burn_in}", tuple(x.shape)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the last block's readouts [T - burn_in, B, C], differentiable through all blocks."""
        self.check_length(x)
        for block in self.blocks:
            x = _sequence(block, x)
        return self._read(-1, x[self.burn_in :].flatten(2))

    def as_sequence(self) -> nn.Sequential:
        """Return a copy of the network as one time-first sequence: its blocks, the last readout, and the burn-in.

        The readout is a binary layer then, for :func:`snntorch_binary.pack`. The answers are the same.
        """
        net = copy_model(self)
        outputs, neurons = net.readout(-1).shape
        readout = BinaryLinear(neurons, outputs, bias=False, scale=net.readout_gain(-1))
        with torch.no_grad():
            readout.latent.copy_(net.readout(-1))
        parts = [*map(_time_first, net.blocks), nn.Flatten(2), readout]
        return nn.Sequential(*parts, *([SkipSteps(self.burn_in)] if self.burn_in else [])).train(self.training)

    def local(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return readouts [T - burn_in, B, C] and spikes [T - burn_in, B, N] of every block.

        Gradients go through time, but not from one block to another.

        Raises:
            ValueError: the burn-in is not shorter than the sequence.
        """
        self.check_length(x)
        found = []
        for index, block in enumerate(self.blocks):
            x = _sequence(block, x.detach())
            spikes = x[self.burn_in :].flatten(2)
            found.append((self._read(index, spikes), spikes))
        return found

    def local_loss(
        self, x: Tensor, targets: Tensor, loss: Loss = "cross-entropy", activity: ActivityRegularizer | None = None
    ) -> Tensor:
        """Return the sum over blocks of the mean loss over time steps: one backward pass learns from a sequence.

        Args:
            x: spikes [T, B, ...].
            targets: what the loss takes for one time step, the same at all of them.
            loss: a name or function, see :mod:`snntorch_binary.learning.losses`.
            activity: an optional regulariser of every block.
        """
        value = loss_value(loss)
        total = x.new_zeros(())
        for readouts, spikes in self.local(x):
            steps = len(readouts)
            repeated = targets.repeat(steps, *(1,) * (targets.dim() - 1))
            total = total + value(readouts.flatten(0, 1), repeated)
            if activity is not None:
                total = total + activity(spikes)
        return total

    def steps(self, x: Tensor) -> Iterator[LocalStep]:
        """Go through a sequence step by step; weights may change between two steps, the neurons' state stays.

        Yields what every block puts out at each time step after the burn-in. Gradients reach neither an earlier time
        step nor another block.

        Raises:
            ValueError: the burn-in is not shorter than the sequence.
        """
        self.check_length(x)
        reset(self)
        states: list[Any] = [None] * len(self.blocks)
        for t, x_t in enumerate(x.unbind(0)):
            with torch.set_grad_enabled(torch.is_grad_enabled() and t >= self.burn_in):
                readouts, spikes = [], []
                for index, block in enumerate(self.blocks):
                    x_t, state = _step(block, x_t.detach(), states[index])
                    states[index] = _detached(state)
                    _detach_kept(block)
                    spikes.append(x_t.flatten(1))
                    readouts.append(self._read(index, spikes[-1]))
            if t >= self.burn_in:
                yield LocalStep(readouts, spikes)


def _sequence(block: nn.Module, x: Tensor) -> Tensor:
    """Return the spikes [T, B, ...] of a block."""
    output = run(block, x) if is_stepwise(block) else block(x)
    return output[0] if isinstance(output, tuple) else output


def _time_first(block: nn.Module) -> nn.Module:
    """Return a block over whole sequences that gives its spikes and nothing else."""
    if is_stepwise(block):
        block = fuse(block if isinstance(block, nn.Sequential) else [block])
    last: Any = block
    while isinstance(last, nn.Sequential):
        last = last[-1]
    if is_neuron(last):
        last.output = False
    elif isinstance(last, EachStep):
        last.all_outputs = False
    return block


def _step(module: nn.Module, x: Tensor, state: Any) -> tuple[Tensor, Any]:
    """Return spikes and state of a block after one time step."""
    if isinstance(module, nn.Sequential):
        states = [None] * len(module) if state is None else state
        after = []
        for part, before in zip(module, states, strict=True):
            x, kept = _step(part, x, before)
            after.append(kept)
        return x, after
    if callable(getattr(module, "step", None)) and not is_stepwise(module):
        return module.step(x, state)  # type: ignore[operator]
    output = module.module(x) if isinstance(module, TimeFirst) else module(x)
    return (output[0] if isinstance(output, tuple) else output), None


def _detached(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*map(_detached, state))
    if isinstance(state, (tuple, list)):
        return type(state)(map(_detached, state))
    return state


def _detach_kept(block: nn.Module) -> None:
    """Cut the graph of neurons that keep their state themselves."""
    for module in block.modules():
        if getattr(module, "init_hidden", False):
            for place in (module.__dict__, module._buffers):
                for name, value in list(place.items()):
                    if isinstance(value, (Tensor, tuple)) and not name.startswith("_parameters"):
                        place[name] = _detached(value)
