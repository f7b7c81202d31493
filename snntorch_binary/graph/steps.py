"""Writing what depends on itself one step before: a graph of one step, which runs once for each."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import fx, nn

from snntorch_binary.graph import running
from snntorch_binary.graph.errors import NotAGraphError
from snntorch_binary.graph.events import STATE, Constant, Given, Kept, Operation
from snntorch_binary.graph.marks import LOCAL
from snntorch_binary.graph.tree import leaves, mapped
from snntorch_binary.graph.values import Earlier, Node, Of, Value, is_sequence, nodes_of

if TYPE_CHECKING:
    from snntorch_binary.graph.writer import Writer


class _Modules(NamedTuple):
    """A module that a step calls, or one for each step."""

    names: tuple[str, ...]


class StepWriter:
    """Writes nodes as one step of a graph, and the call that runs it.

    Args:
        outer: what writes the graph around.
        group: nodes that have the same number of steps, in the order of the user's program.
    """

    def __init__(self, outer: Writer, group: Sequence[Node]) -> None:
        self.outer, self.group = outer, list(group)
        self.graph = fx.Graph()
        self._trees: dict[Node, tuple[Any, Any]] = {}
        self._given: dict[Any, fx.Node] = {}  # what comes from outside, by what it is
        self._made: dict[Node, Any] = {}
        for node in self.group:
            self._check(node)
            # A number that is a size of the input comes from outside, too: as a node of the graph around.
            self._trees[node] = mapped((node.args, node.kwargs), self._number)

    def _check(self, node: Node) -> None:
        for value in node.values():
            inside = any(other in self.group for other in nodes_of(value))
            if inside and (not self._is_inside(value) or node.steps != self.group[0].steps):
                raise NotAGraphError(f"{node.first.name} needs what only later steps give", node.first.place)

    def _number(self, value: Any) -> Any:
        return value if isinstance(value, (Value, Given, Kept, Constant)) else self.outer.constants.next(value)

    def _is_inside(self, value: Any) -> bool:
        plain = value.value if isinstance(value, Earlier) else value
        return isinstance(plain, Of) and plain.node in self.group

    def write(self, mapped_over_time: bool = False) -> dict[Node, dict[tuple[Any, ...], fx.Node]]:
        """Write it, and return for each node what it gives as sequences, by path.

        Args:
            mapped_over_time: run all steps at once, by ``torch.vmap``.
        """
        values = list(dict.fromkeys(value for tree in self._trees.values() for value in leaves(tree)))
        sequences: list[Any] = [value for value in values if is_sequence(value) and not self._is_inside(value)]
        others: list[Any] = [
            value
            for value in values
            if isinstance(value, (Given, Kept, Constant, fx.Node))
            or (isinstance(value, Value) and not is_sequence(value))
        ]
        for node in self.group:
            modules = self._modules(node)
            if modules is not None and modules not in sequences and modules not in others:
                (sequences if len(modules.names) > 1 else others).append(modules)
        for value in (*sequences, *others):
            self._given[value] = self._placeholder("given")
        carried = self._carried()
        for node in self.group:
            self._made[node] = self._step(node)
        wanted = [(node, path) for node in self.group for path in self.outer.paths(node, self.group)]
        gives = tuple(self._item(node, path) for node, path in wanted)
        self.graph.output((gives, tuple(self._item(node, path) for node, path, _ in carried)))
        return self._call(sequences, others, carried, wanted, mapped_over_time)

    def _placeholder(self, name: str) -> fx.Node:
        return self.graph.placeholder(f"{name}_{len(self._given)}")

    def _carried(self) -> list[tuple[Node, tuple[Any, ...], Any]]:
        """Make the inputs that are what a step hands on to the next."""
        found: list[tuple[Node, tuple[Any, ...], Any]] = []
        for node in self.group:
            for value in leaves(self._trees[node]):
                if isinstance(value, Earlier) and self._is_inside(value) and value not in self._given:
                    self._given[value] = self._placeholder("before")
                    found.append((value.value.node, value.value.path, value.initial))
            for place, path in node.carry.items():
                self._given[(node, place)] = self._placeholder("state")
                found.append((node, path, node.initial.get(place)))
        return found

    def _call(
        self,
        sequences: list[Any],
        others: list[Any],
        carried: list[tuple[Node, tuple[Any, ...], Any]],
        wanted: list[tuple[Node, tuple[Any, ...]]],
        mapped_over_time: bool,
    ) -> dict[Node, dict[tuple[Any, ...], fx.Node]]:
        graph = self.outer.graph
        given = tuple(map(self._outside, sequences)), tuple(map(self._outside, others))
        initial = tuple(mapped(tree, self.outer.value) for _, _, tree in carried)
        stateful = dict.fromkeys(str(node.first.target) for node in self.group if _keeps_its_state(node))
        steps = self.outer.constants.next(self.group[0].steps)
        step = graph.get_attr(self.outer.part("_step", fx.GraphModule(nn.Module(), self.graph)))
        if mapped_over_time:
            made = graph.call_function(running.all_steps_at_once, (step, *given))
        else:
            resets = tuple(map(graph.get_attr, stateful))
            made = graph.call_function(running.step_by_step, (step, steps, *given, initial, resets))
        found: dict[Node, dict[tuple[Any, ...], fx.Node]] = {node: {} for node in self.group}
        for place, (node, path) in enumerate(wanted):
            found[node][path] = graph.call_function(operator.getitem, (made, place))
            if mapped_over_time:
                found[node][path].meta[LOCAL] = made.meta[LOCAL] = True
        return found

    def _outside(self, value: Any) -> Any:
        if isinstance(value, fx.Node):
            return value
        if isinstance(value, _Modules):
            found = tuple(map(self.outer.graph.get_attr, value.names))
            return found if len(found) > 1 else found[0]
        return self.outer.value(value)

    # ---- one step --------------------------------------------------------------------------------------------

    def _modules(self, node: Node) -> _Modules | None:
        target = node.first.target
        if isinstance(target, str):
            names = [str(event.target) for event in node.events]
            return _Modules(tuple(names) if len(set(names)) > 1 else (target,))
        return _Modules((self.outer.function(target),)) if target.kind == "autograd" else None

    def _value(self, value: Any) -> Any:
        if value in self._given:
            return self._given[value]
        return self._item(value.node, value.path) if isinstance(value, Of) else value

    def _step(self, node: Node) -> fx.Node:
        tree_args, tree_kwargs = self._trees[node]
        args, kwargs = [mapped(arg, self._value) for arg in tree_args], mapped(tree_kwargs, self._value)
        for place in node.carry:
            if isinstance(place, int):
                args.insert(place, self._given[(node, place)])
            else:
                kwargs[place] = self._given[(node, place)]
        module, target = self._modules(node), node.first.target
        if module is not None:
            return self.graph.call_function(running.call, (self._given[module], *args), kwargs)
        assert isinstance(target, Operation)
        if target.kind == "method":
            return self.graph.call_method(target.name, tuple(args), kwargs)
        if target.kind == "attribute":
            return self.graph.call_function(running.attribute, (args[0], target.name))
        return self.graph.call_function(target.function, tuple(args), kwargs)

    def _item(self, node: Node, path: tuple[Any, ...]) -> fx.Node:
        found: fx.Node = self._made[node]
        if path and path[0] == STATE:
            module = self._modules(node)
            found, path = self.graph.call_function(running.attribute, (self._given[module], path[1])), path[2:]
        for key in path:
            found = self.graph.call_function(operator.getitem, (found, key))
        return self.graph.call_method("detach", (found,)) if node.first.no_grad else found


def _keeps_its_state(node: Node) -> bool:
    """Say whether the first step goes on from what a module keeps."""
    return node.chained and (not node.carry or any(leaf is None for leaf in leaves(node.initial)))
