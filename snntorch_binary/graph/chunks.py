"""Long sequences a number of time steps at a time: what lies between layers and neurons is never there as a whole.

Layers that see each time step by itself, and the scans of neurons between them, are one stretch of a graph. It goes
through the first time steps from its inputs to its outputs, then through the next ones, from the state that neurons
were left in. At the end there is what a backward pass needs and nothing else, and what passes from one layer to the
next has stayed in the cache.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

from snntorch_binary.graph import running
from snntorch_binary.graph.marks import ELEMENTS, LOCAL
from snntorch_binary.graph.memory_order import contiguous
from snntorch_binary.graph.neurons import goes_on_from_a_state, scan_and_last, scan_over_time
from snntorch_binary.graph.program import program_of
from snntorch_binary.nn.hooks import is_watched
from snntorch_binary.nn.neurons.base import Neuron

_LEAST_STEPS = 8
_LEAST_BYTES, _LEAST_BYTES_OF_MAPS = 4 << 20, 12 << 20
"""Of the scans' results in a chunk, without convolutions and with them, whose calls cost more. Measured: with fewer,
what a chunk costs by itself, its calls and a gradient as large as the weights, is more than the cache gains."""

# Where such a node has the number of time steps, which it takes where its input is the same at all of them.
_PLACE_OF_STEPS: dict[Any, int] = {scan_over_time: 3, running.norm_over_time: 2, running.at_every_step: 1}


def time_first_scan(neuron: Any, x: Tensor, initial: tuple[None, ...]) -> Any:
    """Return what neurons in their time-first form do."""
    return neuron(x)


def _time_first_and_last(neuron: Any, x: Tensor, initial: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return the same from a state on, and the state to go on from."""
    if is_watched(neuron) or not _goes_on(time_first_scan, neuron):
        return neuron(x), ()
    given = None if all(state is None for state in initial) else initial
    spikes, states, last = neuron._resumed(neuron._checked(x), given)
    return ((spikes, *states) if neuron.output else spikes), last


def _goes_on(scan: Any, neuron: nn.Module) -> bool:
    """Say whether neurons that go through time by a scan can go on from where they were left."""
    if scan is time_first_scan:
        return isinstance(neuron, Neuron) and neuron.resumes and not neuron.one_step
    return goes_on_from_a_state(neuron)


_SCANS: dict[Any, Callable[..., Any]] = {scan_over_time: scan_and_last, time_first_scan: _time_first_and_last}
"""What goes through time, and the same with the state to go on from: of neurons, currents and first states."""


def with_chunks(graph: fx.Graph, network: nn.Module) -> fx.Graph:
    """Return a graph whose stretches go through long sequences a number of time steps at a time."""
    levels = _levels(graph)
    stretches = {node: stretch for stretch in _stretches(graph, levels, network) for node in stretch.nodes}
    found, copies, done = fx.Graph(), dict[fx.Node, fx.Node](), set[int]()
    # What a stretch is given comes before it; in their own order otherwise.
    for node in sorted(graph.nodes, key=lambda node: (node.op == "output", levels[node], _is_local(node))):
        if node not in stretches:
            copies[node] = found.node_copy(node, copies.__getitem__)
        elif id(stretches[node]) not in done:
            done.add(id(stretches[node]))
            copies.update(stretches[node].write(found, copies))
    return found


def _is_local(node: fx.Node) -> bool:
    return LOCAL in node.meta or (node.target is contiguous and _is_local(node.all_input_nodes[0]))


def _elements(node: fx.Node) -> int | None:
    """Return how many elements a time step of a sequence had in the recording; ``None`` of what is no sequence."""
    return _elements(node.all_input_nodes[0]) if node.target is contiguous else node.meta.get(ELEMENTS)


def _is_sequence(node: fx.Node) -> bool:
    return _elements(node) is not None


def _levels(graph: fx.Graph) -> dict[fx.Node, int]:
    """Return how often something before each node has to be whole: local nodes of one level do without."""
    levels: dict[fx.Node, int] = {}
    for node in graph.nodes:
        before = (levels[one] + (_is_local(one) and not _is_local(node)) for one in node.all_input_nodes)
        levels[node] = max(before, default=0)
    return levels


def _stretches(graph: fx.Graph, levels: dict[fx.Node, int], network: nn.Module) -> list[_Stretch]:
    """Return what is local, of one level and connected, by what is given or taken, and has neurons that can go on."""
    members: dict[fx.Node, list[fx.Node]] = {}
    takers: dict[tuple[fx.Node, int], fx.Node] = {}
    for node in filter(_is_local, graph.nodes):
        members[node] = [node]
        for source in node.all_input_nodes:
            if _is_local(source) and levels[source] == levels[node]:
                _join(members, source, node)
            elif _is_sequence(source):
                _join(members, takers.setdefault((source, levels[node]), node), node)
    place = {node: index for index, node in enumerate(graph.nodes)}
    groups = {id(nodes): sorted(nodes, key=place.__getitem__) for nodes in members.values()}
    found = (_Stretch(nodes, network) for nodes in groups.values())
    return [stretch for stretch in found if stretch.can_go_on()]


def _join(members: dict[fx.Node, list[fx.Node]], one: fx.Node, other: fx.Node) -> None:
    if members[one] is not members[other]:
        members[one].extend(members[other])
        members.update(dict.fromkeys(members[other], members[one]))


class _Stretch:
    """Nodes that go through time together.

    Args:
        nodes: in their order.
        network: whose modules they call.
    """

    def __init__(self, nodes: list[fx.Node], network: nn.Module) -> None:
        inside = set(nodes)
        self.nodes, self.network = nodes, network
        self.gives = [node for node in nodes if set(node.users) - inside]
        self.scans = [node for node in nodes if node.target in _SCANS]
        self.repeating = [node for node in nodes if _place_of_steps(node) is not None]
        self.steps = {node.args[_place_of_steps(node)] for node in self.repeating}  # type: ignore[index]
        taken = (source for node in nodes for source in _inputs(node))
        outside = [source for source in dict.fromkeys(taken) if source not in inside]
        self.sequences = [node for node in outside if _is_sequence(node)]
        self.others = [node for node in outside if not _is_sequence(node)]

    def can_go_on(self) -> bool:
        """Say whether chunk by chunk it does the same: its neurons go on from a state, and nothing draws numbers."""
        names = [str(scan.args[0].target) for scan in self.scans]  # type: ignore[union-attr]  # that is a node
        neurons = zip(self.scans, map(self.network.get_submodule, names), strict=True)
        if not names or not all(_goes_on(scan.target, neuron) for scan, neuron in neurons):
            return False
        if any(_draws(node) or _writes(node) for node in self.nodes):
            return False
        return bool(self.sequences or self.steps) and all(map(_is_sequence, self.gives))

    def write(self, graph: fx.Graph, copies: dict[fx.Node, fx.Node]) -> dict[fx.Node, fx.Node]:
        """Write a call that does what these nodes do, and return what stands for those that are used elsewhere."""
        names = list(dict.fromkeys(str(node.target) for node in self.nodes if node.op == "call_module"))
        neurons = [(scan.target, self.others.index(scan.args[0])) for scan in self.scans]  # type: ignore[arg-type]
        run = _function(program_of(self._program(names)), self._size(), neurons)
        given = (self.sequences, self.others, list(self.steps), [scan.args[2] for scan in self.scans])
        sequences, others, steps, initial = fx.node.map_arg(given, copies.__getitem__)
        modules = map(graph.get_attr, names)
        made = graph.call_function(
            run, (tuple(sequences), (*others, *modules), next(iter(steps), None), tuple(initial))
        )
        return {node: graph.call_function(operator.getitem, (made, place)) for place, node in enumerate(self.gives)}

    def _size(self) -> _Size:
        total = sum(_elements(scan) or 0 for scan in self.scans)
        if self.sequences:
            return _Size(total / max(1, _elements(self.sequences[0]) or 0), None)
        repeats = self.repeating[0]  # what it gives is of the size of what it is given
        source = repeats.args[0 if repeats.target is running.at_every_step else 1]
        return _Size(total / max(1, _elements(repeats) or 0), self.others.index(source))  # type: ignore[arg-type]

    def _program(self, names: list[str]) -> fx.Graph:
        """Return the nodes as a graph of some time steps, which also gives the states that these end in."""
        graph = fx.Graph()
        made, modules, states = (
            {one: graph.placeholder(f"{what}_{place}") for place, one in enumerate(of)}
            for what, of in (("given", (*self.sequences, *self.others)), ("module", names), ("state", self.scans))
        )
        steps = graph.placeholder("steps")
        after: dict[fx.Node, fx.Node] = {}
        for node in self.nodes:
            args = list(node.args)
            place = _place_of_steps(node)
            if place is not None:
                args[place] = steps
            if node in states:
                args[2] = states[node]
            args, kwargs = fx.node.map_arg((args, node.kwargs), lambda n: made.get(n, n))
            if node in states:
                scanned = graph.call_function(_SCANS[node.target], tuple(args), kwargs)
                made[node], after[node] = (graph.call_function(operator.getitem, (scanned, place)) for place in (0, 1))
            elif node.op == "call_module":
                made[node] = graph.call_function(running.call, (modules[str(node.target)], *args), kwargs)
            else:
                made[node] = graph.create_node(node.op, node.target, tuple(args), dict(kwargs))
        graph.output((tuple(made[node] for node in self.gives), tuple(after[scan] for scan in self.scans)))
        return graph


@dataclass(frozen=True)
class _Size:
    """How much scans give at a time step.

    Attributes:
        elements: how many of them for one of the first sequence that is given, or of another tensor.
        of_other: which of the others that is; ``None`` for the sequence.
    """

    elements: float
    of_other: int | None

    def bytes_a_step(self, sequences: tuple[Tensor, ...], others: tuple[Any, ...]) -> float:
        """Return how many bytes they have in float32."""
        given = sequences[0][0] if self.of_other is None else others[self.of_other]
        return 4 * self.elements * given.numel()


_RANDOM = {"dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout", "alpha_dropout", "bernoulli"} | {
    f"{kind}_like" for kind in ("rand", "randn", "randint")
}
"""Operations that draw numbers, which would be others in chunks."""


def _name(node: fx.Node) -> str:
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")


def _draws(node: fx.Node) -> bool:
    """Say whether an operation may draw numbers."""
    return _name(node).removesuffix("_") in _RANDOM


def _writes(node: fx.Node) -> bool:
    """Say whether an operation may write to its input."""
    name = _name(node)
    in_place = name.endswith("_") and not name.endswith("__") and node.op != "call_module"
    return in_place or bool(node.kwargs.get("inplace")) or any(arg is True for arg in node.args)


def _place_of_steps(node: fx.Node) -> int | None:
    place = _PLACE_OF_STEPS.get(node.target)
    return place if place is not None and len(node.args) > place else None


def _inputs(node: fx.Node) -> list[fx.Node]:
    """Return what a node takes, but for numbers of steps and the states that neurons start from."""
    left = [_place_of_steps(node), 2 if node.target in _SCANS else None]
    found: list[fx.Node] = []
    fx.node.map_arg(([arg for place, arg in enumerate(node.args) if place not in left], node.kwargs), found.append)
    return found


def _function(run: Callable[..., Any], size: _Size, neurons: Sequence[tuple[Any, int]]) -> Callable[..., Any]:
    """Return the function that goes through time.

    Args:
        run: takes sequences, what is the same at all steps, the states of neurons and the number of steps.
        size: how much it gives.
        neurons: how neurons go through time, and which of what is the same at all steps they are.
    """

    def in_chunks(
        sequences: tuple[Tensor, ...], others: tuple[Any, ...], steps: int | None, initial: tuple[Any, ...]
    ) -> tuple[Tensor, ...]:
        total = len(sequences[0]) if sequences else steps
        assert total is not None
        at_once = total
        go_on = all(_goes_on(scan, others[place]) for scan, place in neurons)  # other ones may stand there by now
        if total >= 2 * _LEAST_STEPS and go_on and _may_be_cut(sequences, others, total):
            at_once = _steps_at_once(total, size.bytes_a_step(sequences, others), others)
        if at_once == total:
            return run(None, *sequences, *others, *initial, total)[0]
        found, states, firsts = [], initial, range(0, total, at_once)
        # One node of autograd for all parts: each slice by itself would have a gradient of the whole.
        parts = list(zip(*(each.split(at_once) for each in sequences), strict=True)) or [()] * len(firsts)
        for first, given in zip(firsts, parts, strict=True):
            gave, states = run(None, *given, *others, *states, min(at_once, total - first))
            found.append(gave)
        return tuple(map(torch.cat, zip(*found, strict=True)))

    in_chunks.__module__ = __name__
    return in_chunks


def _may_be_cut(sequences: tuple[Tensor, ...], others: tuple[Any, ...], total: int) -> bool:
    """Say whether it changes nothing, as where nobody looks on, and is worth it: on a GPU fewer calls count for more.

    Dropout would draw other numbers in chunks, which depend on the size of the batch and the number of threads. What
    writes to its input may not be given a part of a sequence.
    """
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return False
    tensors = (*sequences, *(each for each in others if isinstance(each, Tensor)))
    if any(each.device.type != "cpu" for each in tensors) or any(len(each) != total for each in sequences):
        return False
    parts = [part for each in others if isinstance(each, nn.Module) for part in each.modules()]
    drops = any(isinstance(part, _DropoutNd) and part.training and part.p for part in parts)
    return not drops and not any(is_watched(part) or getattr(part, "inplace", False) for part in parts)


def _steps_at_once(total: int, bytes_a_step: float, others: tuple[Any, ...]) -> int:
    """Return how many time steps a chunk has: all, or enough for what each chunk costs to be little."""
    if total * bytes_a_step < 2 * _LEAST_BYTES:
        return total
    modules = [each for each in others if isinstance(each, nn.Module)]
    weights = sum(4 * weight.numel() for module in modules for weight in module.parameters())
    of_maps = any(isinstance(module, _ConvNd) for module in modules)
    least_bytes = torch.get_num_threads() * max(_LEAST_BYTES_OF_MAPS if of_maps else _LEAST_BYTES, weights)
    least = max(_LEAST_STEPS, math.ceil(least_bytes / bytes_a_step))
    return math.ceil(total / max(1, total // least))
