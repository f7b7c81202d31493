"""A network as a graph over time whose binary layers hold one bit a weight, for inference."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.graph.network import check_fixed, check_sizes
from snntorch_binary.graph.tree import mapped
from snntorch_binary.kernels.engine import compiled
from snntorch_binary.packed.chains import CHAIN, Chain, chains_of, instruction_of, run_plainly
from snntorch_binary.packed.firing import Firing
from snntorch_binary.packed.instructions import Instruction, Ref, last_uses
from snntorch_binary.packed.lazy_spikes import LazySpikes, on_bits
from snntorch_binary.packed.operations import FUNCTIONS, check_cost


class PackedGraph(nn.Module):
    """What :func:`snntorch_binary.pack` makes of a network that is no sequence: its graph over time, packed.

    Args:
        instructions: what is done, in order.
        output: the tree that is returned, of numbers and :class:`Ref`.
        modules: those that are called, by name.
        tensors: parameters and others that are used, by name.

    Attributes:
        report: what has become of each binary layer, by its name in the network before.
        fixed_arguments: arguments that are no tensors, by place: it is called with them, equal to those of the sample.
    """

    as_recorded = True
    """Takes sequences and returns them in whatever order the network does that it was made of."""

    def __init__(
        self, instructions: list[Instruction], output: Any, modules: dict[str, nn.Module], tensors: dict[str, Tensor]
    ) -> None:
        super().__init__()
        self.instructions, self.output = instructions, output
        self.report: dict[str, str] = {}
        self.fixed_arguments: dict[int, Any] = {}
        for name, module in modules.items():
            self.add_module(name, module)
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)
        self._kept_plan: _Plan | None = None

    @torch.no_grad()
    def forward(self, *args: Any) -> Any:  # noqa: D102  # the class says it
        wanted = sum(instruction.kind == "input" for instruction in self.instructions) + len(self.fixed_arguments)
        if len(args) != wanted:
            raise ValueError(expected("inputs", f"{wanted} of them", len(args)))
        for place, fixed in self.fixed_arguments.items():
            check_fixed(args[place], fixed)
        inputs = tuple(value for place, value in enumerate(args) if place not in self.fixed_arguments)
        plan = self._plan(chained=compiled("packed_maps") is not None)
        values: dict[int, Any] = {}
        for index, instruction in plan.instructions.items():
            if instruction.kind == CHAIN:
                values[index] = self._chained(plan.chains[index], inputs, values)
            else:
                values[index] = self._value(instruction, inputs, values)
            for used in plan.last.get(index, ()):
                values.pop(used, None)
        return self._numbers(self.output, values)

    def _plan(self, chained: bool) -> _Plan:
        modules = [*self._modules.values()] if chained else None
        if self._kept_plan is None or self._kept_plan.modules != modules:
            self._kept_plan = _Plan.of(self, modules)
        return self._kept_plan

    def _chained(self, chain: Chain | Firing, inputs: tuple[Any, ...], values: dict[int, Any]) -> Any:
        """Return what a chain gives, as its last instruction gives it."""
        given = [values[ref.index] for ref in chain.given]
        found = chain.spikes(*(each.bits if isinstance(each, LazySpikes) else each for each in given))
        if found is not None:
            return (LazySpikes(found),)
        return run_plainly(chain, values, lambda instruction, within: self._value(instruction, inputs, within))

    def _value(self, instruction: Instruction, inputs: tuple[Any, ...], values: dict[int, Any]) -> Any:
        found = on_bits(instruction, self._modules, values)
        if found is not None:
            return found
        args, kwargs = (self._numbers(tree, values) for tree in (instruction.args, instruction.kwargs))
        return self._done(instruction, inputs, args, kwargs)

    @staticmethod
    def _numbers(tree: Any, values: dict[int, Any]) -> Any:
        """Return a tree with what there is in place of references to it."""

        def value(leaf: Any) -> Any:
            found = values[leaf.index] if isinstance(leaf, Ref) else leaf
            return found.numbers if isinstance(found, LazySpikes) else found

        return mapped(tree, value)

    def _done(self, instruction: Instruction, inputs: tuple[Any, ...], args: Any, kwargs: Any) -> Any:
        kind, name = instruction.kind, instruction.name
        if kind == "input":
            check_sizes(inputs[int(name)], dict(args))
            return inputs[int(name)]
        if kind == "tensor":
            return self._buffers[name]
        if kind == "module":
            return self._modules[name]
        if kind == "invoke":
            return self._modules[name](*args, **kwargs)  # type: ignore[misc]  # a module
        check_cost(name, args)
        if kind == "method":
            # Of a packed convolution's currents the channels are last in memory, which no view puts in another shape.
            as_torch = name == "view" and isinstance(args[0], Tensor) and not args[0].is_contiguous()
            as_torch = as_torch and not any(isinstance(size, torch.dtype) for size in args[1:])
            return getattr(args[0], "reshape" if as_torch else name)(*args[1:], **kwargs)
        return FUNCTIONS[name](*args, **kwargs)

    def extra_repr(self) -> str:  # noqa: D102  # the class says it
        return f"{len(self.instructions)} instructions"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept_plan": None}


@dataclass(frozen=True)
class _Plan:
    """What is done, by place, with which chains, after what something is no longer needed, and by which modules."""

    instructions: dict[int, Instruction]
    chains: dict[int, Chain | Firing]
    last: dict[int, list[int]]
    modules: list[nn.Module | None] | None

    @staticmethod
    def of(graph: PackedGraph, modules: list[nn.Module | None] | None) -> _Plan:
        """Return the plan of a graph; without modules, one thing after the other."""
        chains = {} if modules is None else chains_of(graph.instructions, graph.output, graph._modules)
        inside = {place for chain in chains.values() for place in chain.inside}
        plan = {index: each for index, each in enumerate(graph.instructions) if index in chains or index not in inside}
        plan |= {index: instruction_of(chain) for index, chain in chains.items()}
        return _Plan(plan, chains, last_uses(plan, graph.output), modules)


def with_fixed(graph: PackedGraph, tensors: Iterable[Any]) -> tuple[Any, ...]:
    """Return what a graph is called with that gets some tensors."""
    args = list(tensors)
    for place, value in sorted(graph.fixed_arguments.items()):
        args.insert(place, value)
    return tuple(args)


def is_reserved(name: str) -> bool:
    """Say whether a name is one that a packed graph has itself, which no module or tensor in it can have."""
    return hasattr(PackedGraph([], None, {}, {}), name)
