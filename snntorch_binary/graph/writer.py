"""Writing the folded form as a ``torch.fx.Graph`` whose nodes are calls over whole sequences [T, ...]."""

from __future__ import annotations

import math
import operator
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx, nn

from snntorch_binary.graph import running
from snntorch_binary.graph.constants import Constants
from snntorch_binary.graph.errors import NotAGraphError, Place
from snntorch_binary.graph.events import STATE, Constant, Given, Kept, Operation, Result
from snntorch_binary.graph.fold import Fold
from snntorch_binary.graph.function_of import FunctionOf
from snntorch_binary.graph.marks import DRAWN, ELEMENTS, LOCAL, RANK, SHAPE
from snntorch_binary.graph.neurons import scan_over_time, states_of, why_no_scan
from snntorch_binary.graph.order import groups_of
from snntorch_binary.graph.over_time import way_of_layer, way_of_operation
from snntorch_binary.graph.steps import StepWriter
from snntorch_binary.graph.tree import leaves, mapped
from snntorch_binary.graph.values import (
    At,
    Backward,
    Counted,
    Each,
    Earlier,
    Joined,
    Listed,
    Node,
    Of,
    Part,
    Value,
    is_sequence,
)


class Writer:
    """Writes one graph.

    Attributes:
        graph: the graph.
        parts: modules that the graph calls and that are none of the network's, by name.
        tensors: what comes from outside of the network, by name.
        places: the lines of the user's files that it is made of.
        report: for each layer of the network, what has become of it.
    """

    def __init__(self, fold: Fold, constants: Constants, learns: bool) -> None:
        self.fold, self.constants, self.learns = fold, constants, learns
        self.graph = fx.Graph()
        self.parts: dict[str, nn.Module] = {}
        self.tensors: dict[str, torch.Tensor] = {}
        self.places: list[Place] = []
        self.report: dict[str, str] = {}
        self._groups = groups_of(fold.output)
        self._done: dict[Node, Any] = {}
        self._values: dict[Any, Any] = {}
        self._users: dict[Of, list[Node | None]] = defaultdict(list)
        inputs = fold.recording.inputs
        tensors = [index for index, value in enumerate(inputs) if isinstance(value, torch.Tensor)]
        self._inputs = {
            index: self.graph.placeholder("x" if len(tensors) == 1 else f"x_{place}")
            for place, index in enumerate(tensors)
        }
        for index, placeholder in self._inputs.items():
            placeholder.meta[SHAPE] = tuple(inputs[index].shape)
        self.constants.begin(self.graph, [self._inputs[index] for index in tensors])
        for node in self._groups:
            for value in node.values():
                self._note_use(value, node)
        for value in leaves(fold.output):
            self._note_use(value, None)
        self.graph.output(mapped(fold.output, self.value))

    def _note_use(self, value: Any, user: Node | None) -> None:
        if isinstance(value, Of):
            self._users[value].append(user)
        elif isinstance(value, Value):
            for inner in value.parts():
                self._note_use(inner, user)

    def paths(self, node: Node, group: Sequence[Node] = ()) -> list[tuple[Any, ...]]:
        """Return which of a node's tensors are used outside a group of nodes."""
        found = [value.path for value, users in self._users.items() if value.node is node and set(users) - set(group)]
        return sorted(found, key=str)

    # ---- values ----------------------------------------------------------------------------------------------

    def value(self, value: Any) -> Any:
        """Return what stands for a value in the graph: a node of it, or a number."""
        if not isinstance(value, (Value, Given, Kept, Constant)):
            return self.constants.next(value)
        if value not in self._values:
            self._values[value] = found = self._written(value)
            if is_sequence(value) and isinstance(found, fx.Node):
                found.meta[ELEMENTS] = self._size(value)
        return self._values[value]

    def _written(self, value: Any) -> Any:
        call, number = self.graph.call_function, self.constants.next
        if isinstance(value, Given):
            return self._inputs[value.index]
        if isinstance(value, Kept):
            return self.graph.get_attr(value.name)
        if isinstance(value, Constant):
            return self._constant(value.index)
        if isinstance(value, Of):
            return self._item(value.node, value.path)
        if isinstance(value, Each):
            index = mapped(value.index, number)
            return call(running.entries_of, (self.value(value.base), index, value.position, value.reverse))
        if isinstance(value, Part):
            start = number(value.start)
            stop = number(value.start + value.steps)
            return call(operator.getitem, (self.value(value.value), slice(start, stop)))
        if isinstance(value, Counted):
            device = self.constants.made("device", "call_function", getattr, (self.constants.x, "device"))
            return call(running.step_numbers, (number(value.start), number(value.steps), device))
        if isinstance(value, Earlier):
            return call(
                running.one_step_later, (self.value(value.value), self.value(value.initial), number(value.steps))
            )
        if isinstance(value, Backward):
            return self.graph.call_method("flip", (self.value(value.value), 0))
        if isinstance(value, At):
            return call(operator.getitem, (self.value(value.value), number(value.step)))
        if isinstance(value, Joined):
            sequence = self.value(value.value)
            if value.dim == 0 and not value.merged:
                return sequence
            return call(running.joined, (sequence, value.dim, value.merged))
        assert isinstance(value, Listed)
        return call(running.as_list, (self.value(value.value),))

    def _constant(self, index: int) -> fx.Node:
        tensor = self.fold.recording.constants[index]
        if tensor.requires_grad:
            reason = "it uses a tensor with a gradient that is neither its input nor a parameter of its own"
            raise NotAGraphError(reason, self.constants.place)
        name = f"_constant_{len(self.tensors)}"
        self.tensors[name] = tensor
        return self.graph.get_attr(name)

    def _item(self, node: Node, path: tuple[Any, ...]) -> Any:
        if node not in self._done:
            outer, self.constants.place = self.constants.place, node.first.place
            self.places.append(node.first.place)
            self._write(node)
            self.constants.place = outer
        found = self._done[node]
        if isinstance(found, dict):  # what is given by path
            return found[path]
        for key in path:
            found = self.graph.call_function(operator.getitem, (found, key))
        if not node.first.no_grad:
            return found
        local = isinstance(found, fx.Node) and LOCAL in found.meta
        found = self.graph.call_method("detach", (found,))
        return _as_local(found) if local else found

    # ---- nodes -----------------------------------------------------------------------------------------------

    def _write(self, node: Node) -> None:
        group = self._groups[node]
        if group:
            self._write_group(group)
        elif node.steps is None:
            args, kwargs = self._args(node), self._kwargs(node)
            if node.first.states:
                args = (self.graph.get_attr(str(node.first.target)), *args)
                self._done[node] = self.graph.call_function(running.call_at_rest, args, kwargs)
            else:
                self._done[node] = self.operation(node.first.target, args, kwargs)
                self._done[node].meta[RANK] = self._rank(node.args[0]) if node.args else None
                self._done[node].meta[SHAPE] = next(iter(node.first.shapes.values()), ())
            self._drew(node, self._done[node])
            self._say(node, "once")
        elif node.chained:
            self._write_neurons(node)
        elif node.first.module is not None:
            self._write_layer(node)
        else:
            self._write_operation(node)

    def operation(self, target: str | Operation, args: Any, kwargs: Any) -> fx.Node:
        """Write an operation or the call of a module."""
        if isinstance(target, str):
            return self.graph.call_module(target, args, kwargs)
        if target.kind == "method":
            return self.graph.call_method(target.name, args, kwargs)
        if target.kind == "attribute":
            return self.graph.call_function(running.attribute, (args[0], target.name))
        if target.kind == "autograd":
            return self.graph.call_module(self.function(target), args, kwargs)
        return self.graph.call_function(target.function, args, kwargs)

    def _drew(self, node: Node, made: fx.Node) -> None:
        """Take note of what random numbers gave in the recording, by which a proof compares the rest."""
        if node.first.random:
            values = [self.fold.recording.values[Result(event.index, ())] for event in node.events]
            made.meta[DRAWN] = values[0] if node.steps is None else torch.stack(values)

    def function(self, target: Operation) -> str:
        """Return the name of the module by which the graph calls a user's autograd Function."""
        for name, part in self.parts.items():
            if isinstance(part, FunctionOf) and part.function == target.function:
                return name
        return self.part("_function", FunctionOf(target.function))

    def part(self, kind: str, module: nn.Module) -> str:
        """Keep a module for the graph, and return its name."""
        name = f"{kind}_{sum(other.startswith(kind) for other in self.parts)}"
        self.parts[name] = module
        return name

    def _args(self, node: Node) -> Any:
        return tuple(mapped(arg, self.value) for arg in node.args)

    def _kwargs(self, node: Node) -> Any:
        return mapped(node.kwargs, self.value)

    def _say(self, node: Node, what: str) -> None:
        for event in node.events:
            if event.module is not None and isinstance(event.target, str):
                self.report[event.target] = f"{type(event.module).__name__}, {what}"

    def _write_group(self, group: list[Node]) -> None:
        total = self._running_sum(group)
        if total is not None:
            self._done[group[0]] = total
            return
        for node, found in StepWriter(self, group).write().items():
            self._done[node] = found
            self._say(node, "step by step")

    def _running_sum(self, group: list[Node]) -> Any:
        (node, *others) = group
        if others or node.first.module is not None or node.first.name != "add" or node.kwargs or len(node.args) != 2:
            return None
        for own, other in (node.args, node.args[::-1]):
            itself = isinstance(own, Earlier) and own.value == Of(node, ())
            if itself and is_sequence(other) and other.shape == node.first.shapes[()]:
                return self.graph.call_function(running.running_sum, (self.value(other), self.value(own.initial)))
        return None

    def _write_neurons(self, node: Node) -> None:
        neuron = node.first.module
        assert neuron is not None
        assert isinstance(node.first.target, str)
        reason = why_no_scan(neuron, self.learns)
        states = states_of(neuron) if reason is None else ()
        where: dict[tuple[Any, ...], int] = {(): 0, (0,): 0}
        for place, name in enumerate(states, 1):
            where.update({(place,): place, (STATE, name): place, (STATE, "_kept", place - 1): place})
        known: dict[int | str, tuple[Any, ...]] = {index: (index,) for index in range(1, 1 + len(states))}
        known.update({name: (index,) for index, name in enumerate(states, 1)})
        plain = all(node.carry[key] == known.get(key) for key in node.carry)
        used = set(self.paths(node)) <= set(where) and len(node.args) == 1 and not node.kwargs and plain
        if reason is not None or not used:
            reason = reason or "its states are used in another way"
            for member, found in StepWriter(self, [node]).write().items():
                self._done[member] = found
            self._say(node, f"step by step: {reason}")
            return
        initial = tuple(
            None if place is None else self._initial(node.initial[place])
            for place in (
                index if index in node.initial else name if name in node.initial else None
                for index, name in enumerate(states, 1)
            )
        )
        x = self.value(node.args[0])
        args: tuple[Any, ...] = (self.graph.get_attr(node.first.target), x, initial)
        if not is_sequence(node.args[0]):
            args += (self.constants.next(node.steps),)
        scanned = _as_local(self.graph.call_function(scan_over_time, args))
        scanned.meta[ELEMENTS] = max(map(math.prod, node.first.shapes.values()))
        self._done[node] = {
            path: _as_local(self.graph.call_function(operator.getitem, (scanned, where[path])))
            for path in self.paths(node)
        }
        self._say(node, "one scan")

    def _initial(self, value: Any) -> Any:
        """Return what a state starts from, ``None`` for zeros."""
        zeros = ("zeros", "zeros_like", "new_zeros", "zero_like")
        if isinstance(value, Of) and value.node.steps is None and value.node.first.name in zeros:
            return None
        return self.value(value)

    def _write_layer(self, node: Node) -> None:
        layer, target = node.first.module, node.first.target
        assert layer is not None
        assert isinstance(target, str)
        plain = len(node.args) == 1 and not node.kwargs and len({event.target for event in node.events}) == 1
        x = node.args[0] if node.args else None
        rank = self._rank(x)
        self.write_way(node, way_of_layer(layer, rank) if plain and rank is not None else "steps")
        if isinstance(self._done[node], fx.Node):
            self._done[node].meta[RANK] = (rank or 0) + 1

    def _write_operation(self, node: Node) -> None:
        assert isinstance(node.first.target, Operation)
        tensors = [value for value in node.values() if self._rank(value) is not None]
        way = way_of_operation(node.first.target, self._rank(tensors[0]) or 0 if tensors else 0)
        if way == "batch" and any(is_sequence(value) for value in tensors[1:]):
            way = "steps"
        if node.first.name == "linear" and any(is_sequence(value) for value in tensors[1:]):
            way = "mapped"
        if not any(map(is_sequence, tensors)) and way != "all":
            way = "steps"
        self.write_way(node, way)

    def write_way(self, node: Node, way: str) -> None:
        """Write a node that remembers nothing, in one of the ways of :mod:`snntorch_binary.graph.over_time`."""
        call = self.graph.call_function
        x = node.args[0] if node.args else None
        if way == "norm":
            args: tuple[Any, ...] = (self.graph.get_attr(str(node.first.target)), self.value(x))
            if not is_sequence(x):
                args += (self.constants.next(node.steps),)
            self._done[node] = _as_local(call(running.norm_over_time, args))
            self._say(node, "all steps at once, in training each step by itself")
        elif way == "batch":
            sequence = self._sequence(x, node)
            rest = tuple(mapped(arg, self.value) for arg in node.args[1:])
            batch = _as_local(call(running.as_batch, (sequence,)))
            made = _as_local(self.operation(node.first.target, (batch, *rest), self._kwargs(node)))
            self._done[node] = _as_local(call(running.as_steps, (made, sequence)))
            self._drew(node, self._done[node])
            self._say(node, "all steps as one batch")
        elif way == "all":
            rank = max(self._rank(value) or 0 for value in node.values())
            first = [not any(map(is_sequence, node.values()))]  # repeat the first tensor if none is a sequence

            def operand(value: Any) -> Any:
                own = self._rank(value)
                if own is not None and (is_sequence(value) or first[0]):
                    found = self._sequence(value, node)
                    first[0] = False
                    missing = rank - own
                    if not missing or node.first.module is not None:
                        return found
                    return _as_local(call(running.aligned, (found, missing)), self._size(value))
                return self.value(value)

            args = tuple(mapped(arg, operand) for arg in node.args)
            self._done[node] = _as_local(self.operation(node.first.target, args, mapped(node.kwargs, operand)))
            self._drew(node, self._done[node])
            self._say(node, "all steps at once")
        else:
            for member, found in StepWriter(self, [node]).write(mapped_over_time=way == "mapped").items():
                self._done[member] = found
            self._say(node, "step by step")

    def _rank(self, value: Any) -> int | None:
        """Return the number of dimensions of a tensor, at one step; ``None`` of what is none."""
        shape = self._shape(value)
        return None if shape is None else len(shape)

    def _shape(self, value: Any) -> tuple[int, ...] | None:
        """Return the shape of a tensor in the recording, at one step; ``None`` of what is none."""
        recording = self.fold.recording
        if isinstance(value, Given):
            return tuple(recording.inputs[value.index].shape)
        if isinstance(value, Constant):
            return tuple(recording.constants[value.index].shape)
        if isinstance(value, Kept):
            return tuple(operator.attrgetter(value.name)(recording.network).shape)
        return value.shape if isinstance(value, Value) and not isinstance(value, Listed) else None

    def _size(self, value: Any) -> int:
        """Return how many elements a tensor has in the recording, at one step."""
        return math.prod(self._shape(value) or ())

    def _sequence(self, value: Any, node: Node) -> Any:
        if is_sequence(value):
            return self.value(value)
        args = (self.value(value), self.constants.next(node.steps))
        return _as_local(self.graph.call_function(running.at_every_step, args), self._size(value))


def _as_local(node: fx.Node, elements: int | None = None) -> fx.Node:
    """Say of a node that it takes each time step by itself, and of a sequence how many elements a step of it has."""
    node.meta[LOCAL] = True
    if elements is not None:
        node.meta[ELEMENTS] = elements
    return node
