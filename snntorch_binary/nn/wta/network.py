"""A network of winner-take-all circuits, which emit one of C symbols, or nothing, at each time step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.kernels.noise import mix
from snntorch_binary.nn.basis import Basis, RaisedCosine
from snntorch_binary.nn.binary import BinaryLinear, check_rule
from snntorch_binary.nn.scale import Scale
from snntorch_binary.nn.wta.circuits import CircuitStep, WTACircuits, draw_symbols, symbol_log_probs
from snntorch_binary.nn.wta.memory import WTAMemory
from snntorch_binary.weights import WeightRule
from snntorch_binary.weights.draw import new_seed

__all__ = ["WTANetwork", "WTAStep", "layered_mask"]

Feedback = Literal["all", "hidden", "none"]


def layered_mask(
    num_inputs: int, num_hidden: int, num_outputs: int, *, hidden_lateral: bool = True, output_lateral: bool = True
) -> Tensor:
    """Return the connections of a network without cycles through its outputs, bool [N_h + N_out, N_in + N_h + N_out].

    Entry [i, j] says that circuit j feeds circuit i. Hidden circuits listen to inputs and, if ``hidden_lateral``, to
    each other; outputs to inputs, hidden circuits and, if ``output_lateral``, each other; none to itself.

    Example:
        >>> layered_mask(1, 2, 1).int().tolist()
        [[1, 0, 1, 0], [1, 1, 0, 0], [1, 1, 1, 0]]
    """
    mask = torch.zeros(num_hidden + num_outputs, num_inputs + num_hidden + num_outputs, dtype=torch.bool)
    first_output = num_inputs + num_hidden
    mask[:, :num_inputs] = True
    mask[num_hidden:, num_inputs:first_output] = True
    if hidden_lateral:
        mask[:num_hidden, num_inputs:first_output] = ~torch.eye(num_hidden, dtype=torch.bool)
    if output_lateral:
        mask[num_hidden:, first_output:] = ~torch.eye(num_outputs, dtype=torch.bool)
    return mask


class WTAStep(NamedTuple):
    """One time step of a :class:`WTANetwork`: its hidden circuits (``None`` where there are none) and its outputs."""

    hidden: CircuitStep | None
    outputs: CircuitStep


class WTANetwork(nn.Module):
    r"""Input, hidden and output circuits, each emitting one of C symbols, or silence, at each time step.

    A categorical generalised linear model on finite-memory traces of all that was emitted before:

    .. math::
        P(s_{i,t} = e_c) = \frac{e^{u_{i,c,t}}}{1 + \sum_{c'} e^{u_{i,c',t}}}

    with the potentials of :class:`WTACircuits`. With C = 1 this is the binary probabilistic spiking network, which
    spikes with probability :math:`\sigma(u)`. Source: Jang, Skatchkovsky and Simeone, VOWEL, arXiv 2004.09416.

    Called, it returns the outputs' spikes, whatever their symbol, freely sampled: what ``readout="rate"`` counts. It
    learns by :class:`snntorch_binary.learning.VOWEL`. Draws are a function of a seed and a counter that are part of the
    state_dict.

    Args:
        num_inputs: number N_in of input circuits.
        num_hidden: number N_h of hidden circuits, may be 0.
        num_outputs: number N_out of output circuits, for example one a class.
        num_symbols: number C of symbols.
        basis: what circuits see of the past of others.
        feedback_basis: what a circuit sees of its own past.
        feedback: which circuits see it: ``"all"`` (the published network), ``"hidden"`` or ``"none"``. Outputs are
            clamped while learning, so that those who see their past learn to repeat it; as classifiers they are better
            without.
        mask: bool or 0/1 [N_h + N_out, N_in + N_h + N_out], entry [i, j] says that j feeds i; ``None`` is
            :func:`layered_mask`.
        weight: a weight rule for binary W, or ``None`` for real ones.
        scale: of binary W, ``"fan_in"`` or a positive number.
        init: real weights start uniform in ±init.

    Shape:
        symbols [T, B, N_in, C] -> spikes [T, B, N_out].

    Raises:
        ValueError: an argument is out of its range, or the mask has another shape or lets a circuit feed itself.
        TypeError: ``weight`` is no rule.

    Example:
        >>> import torch
        >>> net = WTANetwork(num_inputs=16, num_hidden=4, num_outputs=3, num_symbols=2)
        >>> net(torch.zeros(10, 8, 16, 2)).shape
        torch.Size([10, 8, 3])
    """

    def __init__(
        self,
        num_inputs: int,
        num_hidden: int,
        num_outputs: int,
        num_symbols: int = 1,
        *,
        basis: Basis = RaisedCosine(),  # noqa: B008  # frozen
        feedback_basis: Basis = RaisedCosine(1),  # noqa: B008  # frozen
        feedback: Feedback = "all",
        mask: Tensor | None = None,
        weight: WeightRule | None = None,
        scale: Scale | None = None,
        init: float = 0.05,
    ) -> None:
        super().__init__()
        for name, number, least in (
            ("num_inputs", num_inputs, 1),
            ("num_hidden", num_hidden, 0),
            ("num_outputs", num_outputs, 1),
            ("num_symbols", num_symbols, 1),
        ):
            if not isinstance(number, int) or number < least:
                raise ValueError(expected(name, f"an integer of at least {least}", number))
        if feedback not in get_args(Feedback):
            raise ValueError(expected("feedback", f"one of {', '.join(get_args(Feedback))}", repr(feedback)))
        if not init >= 0:
            raise ValueError(expected("init", "a float of at least 0", init))
        self.num_inputs, self.num_hidden, self.num_outputs = num_inputs, num_hidden, num_outputs
        self.num_symbols, self.basis, self.feedback_basis = num_symbols, basis, feedback_basis
        self._sizes = [num_inputs, num_hidden, num_outputs]
        connections = layered_mask(*self._sizes) if mask is None else self._checked_mask(mask)
        self.outputs_feed_hidden = int(connections[:num_hidden, num_inputs + num_hidden :].sum())

        def circuits(rows: Tensor, sees_itself: bool) -> WTACircuits:
            num_feedback = feedback_basis.num if sees_itself else 0
            return WTACircuits(rows, self._sizes, num_symbols, basis.num, num_feedback, init)

        self.hidden = circuits(connections[:num_hidden], feedback != "none") if num_hidden else None
        self.outputs = circuits(connections[num_hidden:], feedback == "all")
        if weight is not None:
            for group in self.circuits().values():
                real = group.linear
                group.linear = BinaryLinear(real.in_features, real.out_features, weight=check_rule(weight), scale=scale)
                group.linear.bias.data.zero_()
                group.unscaled_weight()
        self.seed, self.counter = new_seed(), 0

    def circuits(self) -> dict[str, WTACircuits]:
        """Return the groups that learn, by name."""
        return {**({} if self.hidden is None else {"hidden": self.hidden}), "outputs": self.outputs}

    def _checked_mask(self, mask: Tensor) -> Tensor:
        shape = (self.num_hidden + self.num_outputs, sum(self._sizes))
        if not isinstance(mask, Tensor) or tuple(mask.shape) != shape:
            got = f"shape {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
            raise ValueError(expected("mask", f"a tensor of shape {shape}", got))
        if not ((mask == 0) | (mask == 1)).all():
            raise ValueError(expected("mask", "only 0 and 1", "other values"))
        if mask[:, self.num_inputs :].diagonal().any():
            raise ValueError(expected("mask", "0 where a circuit would feed itself", "a circuit that does"))
        return mask.bool()

    def _checked_symbols(self, name: str, symbols: Tensor, num_circuits: int) -> Tensor:
        what = f"[T, B, {num_circuits}, {self.num_symbols}]"
        if not isinstance(symbols, Tensor) or not symbols.is_floating_point():
            got = getattr(symbols, "dtype", type(symbols).__name__)
            raise TypeError(expected(name, f"a floating-point tensor {what}", got))
        if symbols.dim() != 4 or symbols.shape[2:] != (num_circuits, self.num_symbols):
            raise ValueError(expected(name, f"of shape {what}", tuple(symbols.shape)))
        if not ((symbols == 0) | (symbols == 1)).all():
            raise ValueError(expected(name, "only 0 and 1", "other values"))
        most = int(symbols.sum(-1).amax()) if symbols.numel() else 0
        if most > 1:
            raise ValueError(expected(name, "at most one symbol per circuit and time step", f"{most} at once"))
        return symbols

    def steps(self, x: Tensor, targets: Tensor | None = None, seed: int | None = None) -> Iterator[WTAStep]:
        """Go through a sequence: inputs clamped, hidden circuits sampled, outputs sampled or clamped.

        The weights may change between two turns.

        Args:
            x: input symbols [T, B, N_in, C], at most one 1 per circuit and time step.
            targets: output symbols [T, B, N_out, C] to clamp, or ``None`` to sample them.
            seed: of the draws, which are a function of it; ``None`` takes the network's own stream and moves it on.

        Yields:
            What the circuits saw and did at each time step.

        Raises:
            TypeError: x or the targets are no floating-point tensor.
            ValueError: a shape or a value is wrong, or two symbols come at once.
        """
        x = self._checked_symbols("x", x, self.num_inputs)
        if targets is not None:
            targets = self._checked_symbols("targets", targets, self.num_outputs)
            if targets.shape[:2] != x.shape[:2]:
                what = f"as long and of as many examples as `x`, {tuple(x.shape[:2])}"
                raise ValueError(expected("targets", what, tuple(targets.shape[:2])))
        if seed is None:
            seed = mix(self.seed, self.counter)
            self.counter += 1
        return self._steps(x, targets, seed)

    def _steps(self, x: Tensor, targets: Tensor | None, seed: int) -> Iterator[WTAStep]:
        memory = self.memory(x.shape[1], x)
        for t in range(len(x)):
            step = self.look(memory, None if targets is None else targets[t], seed, t)
            yield step
            self.remember(memory, x[t], step)

    def memory(self, batch_size: int, like: Tensor) -> WTAMemory:
        """Return a memory at rest for so many sequences, of the dtype and device of ``like``."""
        groups = self.circuits()
        return WTAMemory(
            {
                source: self.basis.traces(batch_size, size * self.num_symbols, like)
                for source, size in enumerate(self._sizes)
                if any(source in group.sources for group in groups.values())
            },
            {
                name: self.feedback_basis.traces(batch_size, group.num_circuits * self.num_symbols, like)
                for name, group in groups.items()
                if group.feedback is not None
            },
        )

    def look(self, memory: WTAMemory, targets: Tensor | None, seed: int, t: int) -> WTAStep:
        """Do one time step after what is in memory, which stays as it is; :meth:`steps` without its checks.

        Args:
            memory: of B sequences.
            targets: output symbols [B, N_out, C] to clamp, or ``None`` to sample them.
            seed: of the draws, with t.
            t: number of the time step.
        """
        traces = {source: seen.read().transpose(1, 2).flatten(1) for source, seen in memory.of_source.items()}
        found: dict[str, CircuitStep] = {}
        for place, (name, group) in enumerate(self.circuits().items()):
            parts = [traces[source] for source in group.sources]
            joined = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
            past = None
            if name in memory.own:
                past = memory.own[name].read().unflatten(2, (group.num_circuits, -1)).permute(0, 2, 3, 1)
            log_probs = symbol_log_probs(group(joined, past))
            if name == "outputs" and targets is not None:
                symbols = targets
            else:
                symbols = draw_symbols(log_probs.detach(), mix(seed, t, place))
            found[name] = CircuitStep(joined, past, log_probs, symbols)
        return WTAStep(found.get("hidden"), found["outputs"])

    def remember(self, memory: WTAMemory, x: Tensor, step: WTAStep) -> None:
        """Take the inputs [B, N_in, C] of a time step and what was emitted in it into memory."""
        hidden = x[:, :0] if step.hidden is None else step.hidden.symbols
        emitted = [symbols.flatten(1) for symbols in (x, hidden, step.outputs.symbols)]
        for source, seen in memory.of_source.items():
            seen.push(emitted[source])
        for name, own in memory.own.items():
            own.push(emitted[1 if name == "hidden" else 2])

    def forward(self, x: Tensor, seed: int | None = None) -> Tensor:
        """Return the outputs' spikes [T, B, N_out], freely sampled; ``seed`` as in :meth:`steps`."""
        spikes = [step.outputs.symbols.sum(-1) for step in self.steps(x, None, seed)]
        return torch.stack(spikes) if spikes else x.new_zeros(0, x.shape[1], self.num_outputs)

    def get_extra_state(self) -> Tensor:
        """Return the seed and counter of the draws, int64."""
        return torch.tensor([self.seed, self.counter], dtype=torch.int64)

    def set_extra_state(self, state: Tensor) -> None:
        """Take up the draws where a checkpoint left them."""
        self.seed, self.counter = (int(value) for value in state)

    def extra_repr(self) -> str:  # noqa: D102  # the class says it
        sizes = "-".join(map(str, self._sizes))
        return f"{sizes}, num_symbols={self.num_symbols}, basis={self.basis}, feedback_basis={self.feedback_basis}"
