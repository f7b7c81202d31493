"""A network as a graph over time whose binary layers hold one bit a weight, for inference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.graph.neurons import scan_over_time
from snntorch_binary.graph.tree import leaves, mapped
from snntorch_binary.packed.operations import FUNCTIONS


@dataclass(frozen=True)
class Ref:
    """What an earlier instruction gave."""

    index: int


@dataclass(frozen=True)
class Instruction:
    """One thing that a packed graph does.

    Attributes:
        kind: ``"input"``, ``"tensor"``, ``"module"`` (the module itself), ``"invoke"`` (what a module gives),
            ``"method"`` or ``"function"``.
        name: of the input, the tensor, the module, the method or the function.
        args, kwargs: trees of numbers and :class:`Ref`.
    """

    kind: str
    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


class PackedGraph(nn.Module):
    """What :func:`snntorch_binary.pack` makes of a network that is no sequence: its graph over time, packed.

    Args:
        instructions: what is done, in order.
        output: the tree that is returned, of numbers and :class:`Ref`.
        modules: those that are called, by name.
        tensors: parameters and others that are used, by name.

    Attributes:
        report: what has become of each binary layer, by its name in the network before.
    """

    as_recorded = True
    """Takes sequences and returns them in whatever order the network does that it was made of."""

    def __init__(
        self, instructions: list[Instruction], output: Any, modules: dict[str, nn.Module], tensors: dict[str, Tensor]
    ) -> None:
        super().__init__()
        self.instructions, self.output = instructions, output
        self.report: dict[str, str] = {}
        for name, module in modules.items():
            self.add_module(name, module)
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)
        self._last = _last_uses(instructions, output)

    @torch.no_grad()
    def forward(self, *inputs: Any) -> Any:  # noqa: D102  # the class says it
        wanted = sum(instruction.kind == "input" for instruction in self.instructions)
        if len(inputs) != wanted:
            raise ValueError(expected("inputs", f"{wanted} of them", len(inputs)))
        values: dict[int, Any] = {}

        def value(leaf: Any) -> Any:
            return values[leaf.index] if isinstance(leaf, Ref) else leaf

        for index, instruction in enumerate(self.instructions):
            args, kwargs = mapped(instruction.args, value), mapped(instruction.kwargs, value)
            values[index] = self._done(instruction, inputs, args, kwargs)
            for used in self._last.get(index, ()):
                del values[used]
        return mapped(self.output, value)

    def _done(self, instruction: Instruction, inputs: tuple[Any, ...], args: Any, kwargs: Any) -> Any:
        kind, name = instruction.kind, instruction.name
        if kind == "input":
            return inputs[int(name)]
        if kind == "tensor":
            return self._buffers[name]
        if kind == "module":
            return self._modules[name]
        if kind == "invoke":
            return self._modules[name](*args, **kwargs)  # type: ignore[misc]  # a module
        if kind == "method":
            return getattr(args[0], name)(*args[1:], **kwargs)
        return FUNCTIONS[name](*args, **kwargs)

    def extra_repr(self) -> str:  # noqa: D102  # the class says it
        return f"{len(self.instructions)} instructions"


def is_reserved(name: str) -> bool:
    """Say whether a name is one that a packed graph has itself, which no module or tensor in it can have."""
    return hasattr(PackedGraph([], None, {}, {}), name)


class Scan(nn.Module):
    """Time-first neurons in a packed graph, which give spikes and states."""

    def __init__(self, neuron: nn.Module) -> None:
        super().__init__()
        self.neuron = neuron

    def forward(self, x: Tensor, initial: tuple[Tensor | None, ...], steps: int | None = None) -> Any:  # noqa: D102  # the class says it
        return scan_over_time(self.neuron, x, initial, steps)


class StepAtZero(nn.Module):
    """Spikes where a number is above zero, or also at it: what a user's surrogate gradient is in inference."""

    def __init__(self, fires_at_threshold: bool) -> None:
        super().__init__()
        self.fires_at_threshold = fires_at_threshold

    def forward(self, u: Tensor, *constants: Any) -> Tensor:  # noqa: D102  # the class says it
        return (u >= 0 if self.fires_at_threshold else u > 0).to(u.dtype)


class UnknownFunction(nn.Module):
    """A function that a packed graph in memory calls, and a file cannot hold."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102  # the class says it
        return self.function(*args, **kwargs)


def _last_uses(instructions: list[Instruction], output: Any) -> dict[int, list[int]]:
    """Return after which instruction what is no longer needed."""
    last: dict[int, int] = {index: index for index in range(len(instructions))}
    for index, instruction in enumerate(instructions):
        for leaf in leaves((instruction.args, instruction.kwargs)):
            if isinstance(leaf, Ref):
                last[leaf.index] = index
    kept = {leaf.index for leaf in leaves(output) if isinstance(leaf, Ref)}
    found: dict[int, list[int]] = {}
    for index, user in last.items():
        if index not in kept:
            found.setdefault(user, []).append(index)
    return found
