"""A recorded network as a NIR graph: its graph over time, read operation by operation."""

from __future__ import annotations

import math
import operator
from typing import Any

from torch import Tensor, fx, nn

from snntorch_binary.export.behind import Behind, between
from snntorch_binary.export.errors import NIRExportError
from snntorch_binary.export.graph import GraphWriter, Value
from snntorch_binary.export.place import SILENT, Place, as_ours, takes_sequences, without_wrapper
from snntorch_binary.export.shapes import ORDERING, RESHAPING, SAME, Shapes, name_of
from snntorch_binary.graph import running
from snntorch_binary.graph.network import GraphNetwork
from snntorch_binary.graph.neurons import scan_over_time
from snntorch_binary.graph.tree import leaves
from snntorch_binary.nn.neurons.description import is_neuron

_PASSING = (running.entries_of, running.as_batch, running.as_steps)
_FLATTENING = ("flatten", "view", "reshape")
_CONCATENATING = ("cat", "concat", "concatenate")
_ENTRIES = "entries other than whole steps in their order"
_POOLING = {"max_pool2d": nn.MaxPool2d, "avg_pool2d": nn.AvgPool2d, "avg_pool1d": nn.AvgPool1d}
_OF_AVERAGE = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
_OF_MAXIMUM = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_ADAPTIVE: dict[str, Any] = {"adaptive_avg_pool2d": nn.AdaptiveAvgPool2d, "adaptive_avg_pool1d": nn.AdaptiveAvgPool1d}


def write_recorded(writer: GraphWriter, network: GraphNetwork, sample: Tensor) -> None:
    """Write a network that is a graph over time; see :func:`snntorch_binary.export.to_nir`.

    What comes behind one of the last neurons, such as a sum over time, is left out: a NIR graph gives spikes. Other
    classes than those of the neurons are refused.

    Raises:
        NIRExportError: NIR has no nodes that do the same.
    """
    shapes = Shapes(network, network.graph)
    shapes.run(sample)
    reader = _Reader(writer, network, shapes)
    for node in network.graph.nodes:
        reader.read(node)
    reader.write_outputs()
    reader.check_classes(sample)


class _Reader:
    def __init__(self, writer: GraphWriter, network: GraphNetwork, found: Shapes) -> None:
        self.writer, self.network, self.shapes = writer, network, found.shapes
        self.several, self.started, self.found = found.several, found.started, found
        self.inputs: set[fx.Node] = set()  # the input, in whatever order
        self.fronts: set[tuple[int, ...]] = set()  # which of its dimensions can be time and batch
        self.batch: int | None = None  # size of the batch of a sequence
        self.values: dict[fx.Node, Value] = {}
        self.names: dict[fx.Node, tuple[str, str]] = {}  # of layers, and their kinds
        self.lead: dict[fx.Node, int] = {}  # dimensions in front of one example
        self.gives: dict[fx.Node, list[Any]] = {}  # of what is done to each step by itself: what it gives
        self.states: dict[fx.Node, fx.Node] = {}  # membrane potentials, which NIR does not give, and their neurons

    def read(self, node: fx.Node) -> None:
        """Read an operation; what NIR has not is refused where a layer needs it."""
        target = node.target
        if node.op == "placeholder":
            self._read_input(node)
        elif node.op == "call_module":
            self._read_layer(node, str(target), node.args[0] if node.args else node.kwargs.get("input"))
        elif target in (scan_over_time, running.norm_over_time) or self._takes_sequences_at_rest(node):
            self._read_layer(node, str(node.args[0].target), node.args[1])  # type: ignore[union-attr]  # a node
        elif target is running.step_by_step:
            self._read_neurons_of_steps(node)
        elif target is running.all_steps_at_once:
            self._read_mapped(node)
        elif node.op in ("call_function", "call_method"):
            self._read_operation(node, name_of(node))

    def write_outputs(self) -> None:
        """Let what the network returns be outputs, without what comes behind its neurons."""
        output = next(node for node in self.network.graph.nodes if node.op == "output")
        ends = [node for leaf in leaves(output.args[0]) for node in self._ends(leaf) if node not in self.inputs]
        for node in ends:
            if node in self.values:
                self.writer.output(self.values[node])
        for node in ends:
            if node in self.states and not self.writer.reaches_output(self.values[self.states[node]]):
                name, kind = self.names[self.states[node]]
                way_out = "return its spikes too"
                raise NIRExportError.of("the membrane potential as the output", name, kind, way_out)
        if not ends:
            raise NIRExportError("NIR cannot express the network: what it returns is not from neurons or layers.")

    def check_classes(self, sample: Tensor) -> None:
        """Check that what comes behind the last neurons leaves the classes in their places, at each step its own.

        Raises:
            NIRExportError: it does not.
        """
        output = next(node for node in self.network.graph.nodes if node.op == "output")
        changed = [leaf for leaf in leaves(output.args[0]) if isinstance(leaf, fx.Node) and self._ends(leaf) - {leaf}]
        behind = Behind(self.network, self.network.graph, sample) if changed else None
        for leaf in changed:
            ends = self._ends(leaf) - self.inputs
            if any(node.target is running.one_step_later for node in between(ends, leaf)):
                raise NIRExportError("NIR cannot express outputs of the step before: return those of each step.")
            lead = max((self.lead[self.states.get(node, node)] for node in ends), default=0)
            if behind is not None and ends and not behind.keeps_classes(ends, leaf, lead):
                what = "outputs that are not one class for each of the last neurons in their order"
                raise NIRExportError(f"NIR cannot express {what}: return the spikes of all of them as they are.")

    def _ends(self, value: Any) -> set[fx.Node]:
        """Return what a returned value is made of: the last thing in the NIR graph, or a membrane potential.

        Raises:
            NIRExportError: it is made of several, or by what neurons do that NIR has not.
        """
        if not isinstance(value, fx.Node) or value not in self.shapes:
            return set()
        if len(self.values.get(value, ())) > 1:
            raise NIRExportError("NIR cannot express a concatenation as the output: return each of its parts.")
        if value in self.values or value in self.states or value in self.inputs:
            return {value}
        if value.target is running.step_by_step:  # neurons of the user's own, or a layer for each step
            modules = [str(each.target) for each in leaves(value.args[2:4]) if getattr(each, "op", "") == "get_attr"]
            what = f"with {modules[0]!r} " if modules else ""
            raise NIRExportError(
                f"NIR cannot express what the network does {what}one step after the other behind its last neurons: "
                "let neurons that NIR has be the last."
            )
        if name_of(value).endswith("_like") or name_of(value).startswith("new_"):
            return set()
        ends = [node for each in leaves((value.args, value.kwargs)) for node in self._ends(each)]
        if len({self.values.get(self.states.get(node, node)) for node in ends}) > 1:
            what = f"{self._operation(value)} of several tensors behind the last neurons"
            raise NIRExportError(f"NIR cannot express {what}: return each of them instead.")
        return set(ends)

    # ---- operations ------------------------------------------------------------------------------------------

    def _read_input(self, node: fx.Node) -> None:
        if self.inputs:
            raise NIRExportError("NIR cannot express the several inputs of the network.")
        called = [str(each.target) for each in self.network.graph.nodes if each.op == "call_module"]
        time_first = any(takes_sequences(self.network.get_submodule(name)) for name in called)
        time_first = time_first or any(map(self._takes_sequences_at_rest, self.network.graph.nodes))
        self.inputs.add(node)
        self.lead[node] = 2 if time_first else 1

    def _value(self, node: Any) -> Value | None:
        """Return what a node gives, or ``None`` where NIR has it not."""
        if isinstance(node, fx.Node) and node in self.inputs and self._is_known(node):
            self._settle(node)
            return self.writer.input(self.shapes[node][self.lead[node] :])
        return self.values.get(node)

    def _is_known(self, node: Any) -> bool:
        """Say whether something is the input, its examples as they were, or is given by the graph."""
        if isinstance(node, fx.Node) and node in self.inputs:
            return bool(self._fronts_of(node))
        return isinstance(node, fx.Node) and node in self.values

    def _fronts_of(self, node: fx.Node) -> set[tuple[int, ...]]:
        """Return which dimensions of the input can be time and batch in what is the input in some order."""
        fronts = self.found.fronts(node, self.lead[node])
        return fronts if self._is_of_whole_input(node) else fronts & {(0,), (0, 1)}

    def _is_of_whole_input(self, node: fx.Node) -> bool:
        """Say whether no step or repetition has settled which dimensions are time and batch."""
        source = self.found.source(node)
        return source.op == "placeholder" and source.graph is self.network.graph

    def _settle(self, node: fx.Node) -> None:
        """Take note of which dimensions of the input are time and batch.

        Raises:
            NIRExportError: they are others elsewhere.
        """
        here = self._fronts_of(node)
        before = self.shapes[self.found.source(node)]
        self.batch = next((before[dims[1]] for dims in here if len(dims) == 2), self.batch)
        if self._is_of_whole_input(node):
            self.fronts = here & (self.fronts or here)
            if not self.fronts:
                raise NIRExportError("NIR cannot express an input that is read in several orders of time and batch.")

    def _keep(self, node: fx.Node, value: Value | None, lead: int) -> None:
        if value is not None:
            self.values[node], self.lead[node] = value, lead

    def _pass(self, node: fx.Node, first: fx.Node, lead: int) -> None:
        self.lead[node] = lead
        if first in self.inputs:
            self.inputs.add(node)
        else:
            self.values[node] = self.values[first]

    def _pass_known(self, node: fx.Node, first: fx.Node, lead: int) -> None:
        """Pass a tensor as one that starts anew: a step, or a repetition."""
        if self._is_known(first):
            if first in self.inputs:
                self._settle(first)
            self._pass(node, first, lead)

    def _pass_moved(self, node: fx.Node, first: fx.Node, lead: int) -> None:
        """Pass a tensor in another shape; whether the input's examples are as they were, its use will show."""
        if first in self.inputs or self.found.is_in_order(node):
            self._pass(node, first, lead)

    def _read_operation(self, node: fx.Node, name: str) -> None:
        first = node.args[0] if node.args else None
        if node.target is operator.getitem and isinstance(first, fx.Node):
            self._read_item(node, first)
        elif name == "add" and len(node.args) == 2 and not node.kwargs and all(map(self._is_known, node.args)):
            self._read_sum(node, *node.args)
        elif name in _CONCATENATING:
            self._read_concatenation(node)
        elif not isinstance(first, fx.Node) or not (first in self.inputs or first in self.values):
            return
        elif name in ORDERING and first in self.inputs:  # whether of time and batch alone, its use will show
            self._pass(node, first, self.lead[first])
        elif node.target is running.at_every_step:
            self._pass_known(node, first, 2)
        elif node.target in _PASSING:
            self._pass_moved(node, first, 1 if node.target is running.as_batch else 2)
        elif name in RESHAPING and self._lead_behind(node, first):
            self._pass_moved(node, first, self._lead_behind(node, first))
        elif name in SAME and node not in self.found.changed:
            self._pass(node, first, self.lead[first])
        elif not self._is_known(first):
            return
        elif name in _POOLING:
            names = _OF_MAXIMUM if name == "max_pool2d" else _OF_AVERAGE
            arguments = dict(zip(names, node.args[1:], strict=False)) | node.kwargs
            self._add(node, name, _POOLING[name](**arguments), first)
        elif name in _ADAPTIVE:
            self._add(node, name, _ADAPTIVE[name](*node.args[1:], **node.kwargs), first)
        elif name in _FLATTENING and self._flattens(node, first):
            self._add(node, name, nn.Flatten(self.lead[first]), first)

    def _lead_behind(self, node: fx.Node, first: fx.Node) -> int:
        """Return the dimensions in front of an example where time and batch are joined or parted, and 0 elsewhere."""
        lead, before, after = self.lead[first], self.shapes[first], self.shapes[node]
        for own in (1, 2):
            joined = math.prod(after[:own]) == math.prod(before[:lead])
            if after[own:] == before[lead:] and joined and self._parts_as_before(first, own, after):
                return own
        return 0

    def _parts_as_before(self, first: fx.Node, own: int, after: tuple[int, ...]) -> bool:
        """Say whether steps and examples are those that were joined, and not each some of both."""
        if own == 1 or first in self.inputs:
            return True
        batch = self.shapes[first][1] if self.lead[first] == 2 else self.batch
        return batch in (None, after[1])

    def _flattens(self, node: fx.Node, first: fx.Node) -> bool:
        lead, before, after = self.lead[first], self.shapes[first], self.shapes[node]
        return after == (*before[:lead], math.prod(before[lead:]))

    def _read_item(self, node: fx.Node, first: fx.Node) -> None:
        if first in self.gives:
            given = self.gives[first][node.args[1]]  # type: ignore[index]  # a number
            if self._is_known(given):
                self._pass(node, given, 2)
        elif first in self.values and first in self.several:  # and not a part of a tensor
            if node.args[1] == 0:
                self._pass(node, first, self.lead[first])
            else:
                self.states[node] = first

    def _read_sum(self, node: fx.Node, first: Any, second: Any) -> None:
        one, other = self._value(first), self._value(second)
        if one is not None and other is not None:
            self._keep(node, self.writer.sum(one, other), max(self.lead[first], self.lead[second]))

    def _read_concatenation(self, node: fx.Node) -> None:
        tensors: Any = node.args[0] if node.args else node.kwargs.get("tensors", ())
        dim: Any = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", node.kwargs.get("axis", 0))
        if not all(map(self._is_known, tensors)):
            return
        leads = {self.lead[each] for each in tensors}
        if len(leads) == 1 and {dim % len(self.shapes[each]) for each in tensors} == leads:
            parts = [self._value(each) for each in tensors]
            self._keep(node, tuple(branch for part in parts if part is not None for branch in part), leads.pop())

    def _read_neurons_of_steps(self, node: fx.Node) -> None:
        """Read neurons that go step by step by themselves, such as recurrent ones."""
        step, sequences, others = node.args[0], leaves(node.args[2]), node.args[3]
        inner = self._graph_of(step)
        calls = [each for each in inner.nodes if each.target is running.call]
        plain = {each.target for each in inner.nodes if each.op in ("call_function", "call_method")}
        modules = [each for each in leaves(others) if isinstance(each, fx.Node)]
        if len(calls) == len(modules) == len(sequences) == 1 and plain <= {running.call, operator.getitem}:
            self._read_layer(node, str(modules[0].target), sequences[0])

    def _read_mapped(self, node: fx.Node) -> None:
        """Read what is done to each step by itself."""
        inner = self._graph_of(node.args[0])
        given = [each for each in inner.nodes if each.op == "placeholder"]
        sequences = leaves(node.args[1])
        for place, outer in zip(given, (*sequences, *leaves(node.args[2])), strict=True):
            if self._is_known(outer):
                self._pass_known(place, outer, self.lead[outer] - (outer in sequences))
        for each in inner.nodes:
            if each.op in ("call_function", "call_method"):
                self.read(each)
        output = next(each for each in inner.nodes if each.op == "output")
        self.gives[node] = list(output.args[0][0])

    def _graph_of(self, step: Any) -> fx.Graph:
        part = self.network.get_submodule(str(step.target))
        assert isinstance(part, fx.GraphModule)
        return part.graph

    # ---- layers ----------------------------------------------------------------------------------------------

    def _takes_sequences_at_rest(self, node: fx.Node) -> bool:
        """Say whether neurons of another library are called once, with all time steps."""
        if node.target is not running.call_at_rest or len(node.args) != 2 or node.kwargs:
            return False
        ours = as_ours(self.network.get_submodule(str(node.args[0].target)))  # type: ignore[union-attr]  # a node
        return takes_sequences(ours)

    def _read_layer(self, node: fx.Node, name: str, x: Any) -> None:
        self._add(node, name, self.network.get_submodule(name), x)

    def _add(self, node: fx.Node, name: str, wrapped: nn.Module, x: Any) -> None:
        layer = without_wrapper(wrapped)
        if isinstance(layer, SILENT):
            if self._is_known(x):
                self._pass(node, x, self.lead[x])
            return
        value = self._value(x)
        if value is None:
            raise self._unknown(x, name, layer)
        if node in self.started and is_neuron(layer):
            raise NIRExportError.of("the initial state", name, type(layer).__name__, "let it start at rest")
        lead = self.lead[x]
        same_rank = len(self.shapes[node]) == len(self.shapes[x])
        runs = node.target in (scan_over_time, running.step_by_step) or takes_sequences(wrapped)
        if is_neuron(layer) and runs and same_rank and lead == 1:
            way_out = "give it a sequence [T, B, ...]"
            raise NIRExportError.of("time and batch as one before the input", name, type(layer).__name__, way_out)
        whole = (scan_over_time, running.step_by_step, running.norm_over_time)
        after = len(self.shapes[node]) - len(self.shapes[x]) + lead if node.target in whole else lead
        own = 1 if layer is not wrapped or node.target is running.norm_over_time else lead
        place = Place(name, layer, self.shapes[x][lead:], self.shapes[node][after:], own)
        self.names[node] = name, place.kind
        self._keep(node, self.writer.layer(place, value), after)

    def _unknown(self, x: Any, name: str, layer: nn.Module) -> NIRExportError:
        """Return the error that what stands before a layer is nothing that NIR has."""
        if isinstance(x, fx.Node) and x in self.states:
            what, way_out = "the membrane potential as the input", "give it spikes"
            return NIRExportError.of(what, name, type(layer).__name__, way_out)
        while isinstance(x, fx.Node):
            before = [each for each in leaves(x.args) if isinstance(each, fx.Node) and each in self.shapes]
            if any(map(self._is_known, before)) or not before:
                break
            x = next((each for each in before if each.op != "get_attr"), None)
        what = "what stands" if x is None else self._operation(x)
        whole = "give it all features of each step, from the first step on"
        way_out = whole if what == _ENTRIES else "give it spikes or currents of layers that NIR has"
        return NIRExportError.of(f"{what} before the input", name, type(layer).__name__, way_out)

    def _operation(self, node: fx.Node) -> str:
        """Return what an operation is called that NIR has not; in one on each step, the first such."""
        if node in self.gives:
            inside = [
                each for each in self._graph_of(node.args[0]).nodes if each.op in ("call_function", "call_method")
            ]
            node = next((each for each in inside if not self._is_known(each)), node)
        if node.target is running.entries_of:
            return _ENTRIES
        return repr(node.name.rstrip("_0123456789"))
