"""A network of any form as a NIR graph, by its graph over time: branches, sums and several outputs as edges."""

from __future__ import annotations

import operator
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from snntorch_binary._errors import in_one_line
from snntorch_binary.export.errors import NIRExportError
from snntorch_binary.export.graph import WAYS_OUT
from snntorch_binary.export.neurons import neuron_node, recurrent_bias
from snntorch_binary.export.place import Place, is_neuron
from snntorch_binary.export.shaping import SHAPING, shaping_nodes
from snntorch_binary.export.weighted import CONV, LINEAR, weighted_node
from snntorch_binary.graph import running
from snntorch_binary.graph.network import GraphNetwork
from snntorch_binary.graph.neurons import scan_over_time
from snntorch_binary.graph.tree import leaves
from snntorch_binary.weights import Kind, binary_layers, sampled

_SILENT = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)  # in evaluation mode
_PASSING = (running.entries_of, running.as_batch, running.as_steps, running.at_every_step, running.aligned)
_SAME = ("contiguous", "clone", "detach", "float", "dropout", "to")
_ORDERING = ("permute", "transpose", "movedim", "swapaxes")  # of time and batch
_FLATTENING = ("flatten", "view", "reshape")


def graph_over_time(
    nir: Any,
    network: GraphNetwork,
    sample: Tensor,
    kind: Kind,
    generator: torch.Generator | None,
    allow_lossy: bool,
    dt: float,
    metadata: dict[str, Any],
) -> Any:
    """Return the NIR graph of a network that is a graph over time; see :func:`snntorch_binary.export.to_nir`.

    What comes behind the last neurons, such as a sum over time, is left out: a NIR graph gives spikes.
    """
    in_force = sampled(network, kind, generator) if binary_layers(network) else nullcontext()
    with in_force, torch.no_grad():
        return _Builder(nir, network.eval(), sample, (kind, allow_lossy, dt)).graph(metadata)


class _Shapes(fx.Interpreter):
    """Runs a graph and keeps the shape of everything."""

    def __init__(self, network: GraphNetwork) -> None:
        super().__init__(network, graph=network.graph)
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        found = super().run_node(n)
        if isinstance(found, Tensor):
            self.shapes[n] = tuple(found.shape)
        elif isinstance(found, tuple) and found and isinstance(found[0], Tensor):
            self.shapes[n] = tuple(found[0].shape)
        return found


class _Builder:
    def __init__(self, nir: Any, network: GraphNetwork, sample: Tensor, options: tuple[Kind, bool, float]) -> None:
        self.nir, self.network, self.options = nir, network, options
        runner = _Shapes(network)
        runner.run(sample)
        self.shapes = runner.shapes
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.sources: dict[fx.Node, list[str]] = {}  # the nodes whose sum a value is
        self.lead: dict[fx.Node, int] = {}  # dimensions in front of one example
        self.spikes: set[fx.Node] = set()
        self.states: set[fx.Node] = set()  # membrane potentials, which NIR does not give

    def graph(self, metadata: dict[str, Any]) -> Any:
        for node in self.network.graph.nodes:
            self._add(node)
        ends = self._ends()
        if not ends:
            raise NIRExportError("NIR cannot express the network: what it returns is not from neurons or layers.")
        names = ["output"] if len(ends) == 1 else [f"output_{place}" for place in range(len(ends))]
        for name, (sources, shape) in zip(names, ends.items(), strict=True):
            self.nodes[name] = self.nir.Output(output_type={"output": np.array(shape)})
            self.edges += [(source, name) for source in sources]
        try:
            return self.nir.NIRGraph(nodes=self.nodes, edges=list(dict.fromkeys(self.edges)), metadata=metadata)
        except (ValueError, AssertionError) as error:
            raise NIRExportError(f"NIR does not take the graph of the network: {in_one_line(error)}.") from None

    def _ends(self) -> dict[tuple[str, ...], tuple[int, ...]]:
        """Return what the network returns, without what comes behind its neurons, and the shapes."""
        found: dict[tuple[str, ...], tuple[int, ...]] = {}
        output = next(node for node in self.network.graph.nodes if node.op == "output")
        for leaf in leaves(output.args[0]):
            node = self._source_of(leaf)
            if node is not None and node.op != "placeholder":
                found.setdefault(tuple(self.sources[node]), self.shapes[node][self.lead[node] :])
        return found

    def _source_of(self, value: Any) -> fx.Node | None:
        """Return the last thing in the NIR graph that a value is made of."""
        if not isinstance(value, fx.Node) or value in self.sources:
            return value if isinstance(value, fx.Node) else None
        if value in self.states:
            return None
        found = (self._source_of(each) for each in leaves(value.args))
        return next((node for node in found if node is not None), None)

    def _add(self, node: fx.Node) -> None:
        target = node.target
        if node.op == "placeholder":
            if self.sources:
                raise NIRExportError("NIR cannot express the several inputs of the network.")
            self.sources[node], self.lead[node] = ["input"], 1
        elif node.op == "call_module":
            self._add_layer(node, str(target), self.network.get_submodule(str(target)), node.args[0])
        elif target is scan_over_time:
            self._add_layer(node, str(node.args[0].target), None, node.args[1])  # type: ignore[union-attr]  # a node's first argument is a node
        elif target is running.step_by_step:
            self._add_step(node)
        elif target is running.all_steps_at_once:
            self._add_mapped(node)
        elif node.op in ("call_function", "call_method"):
            self._add_operation(node, getattr(target, "__name__", str(target)).removeprefix("_"))

    def _add_operation(self, node: fx.Node, name: str) -> None:
        first = node.args[0] if node.args else None
        if node.target is operator.getitem and isinstance(first, fx.Node) and first in self.sources:
            scanned = first.target in (scan_over_time, running.step_by_step)
            if scanned and node.args[1] != 0:
                self.states.add(node)
                return
            self._pass(node, first, self.lead[first])
        elif name in ("add",) and all(isinstance(each, fx.Node) and each in self.sources for each in node.args):
            self.sources[node] = [source for each in node.args for source in self.sources[each]]  # type: ignore[index]  # as of every such node
            self.lead[node] = max(self.lead[each] for each in node.args)  # type: ignore[index]  # as of every such node
        elif not isinstance(first, fx.Node) or first not in self.sources:
            return
        elif node.target in _PASSING:
            self._pass(node, first, 1 if node.target is running.as_batch else 2)
        elif name in _SAME or (self.sources[first] == ["input"] and name in _ORDERING):
            self._pass(node, first, self.lead[first])
        elif name in ("max_pool2d", "avg_pool2d", "avg_pool1d"):
            arguments = dict(zip(("kernel_size", "stride", "padding"), node.args[1:], strict=False)) | node.kwargs
            pool = {"max_pool2d": nn.MaxPool2d, "avg_pool2d": nn.AvgPool2d, "avg_pool1d": nn.AvgPool1d}[name]
            self._add_layer(node, name, pool(**arguments), first)
        elif name in _FLATTENING and len(self.shapes[node]) == self.lead[first] + 1:
            self._add_layer(node, name, nn.Flatten(self.lead[first]), first)

    def _add_step(self, node: fx.Node) -> None:
        """Add neurons that go step by step by themselves, such as recurrent ones."""
        step, sequences, others = node.args[0], node.args[2], node.args[3]
        inner = self.network.get_submodule(str(step.target))  # type: ignore[union-attr]  # a node's first argument is a node
        assert isinstance(inner, fx.GraphModule)
        calls = [each for each in inner.graph.nodes if each.target is running.call]
        plain = {each.target for each in inner.graph.nodes if each.op in ("call_function", "call_method")}
        modules = [each for each in leaves(others) if isinstance(each, fx.Node)]
        one = len(calls) == len(modules) == 1 and plain <= {running.call, operator.getitem}
        if one and len(sequences) == 1:  # type: ignore[arg-type]  # as above
            self._add_layer(node, str(modules[0].target), None, sequences[0])  # type: ignore[index]  # as of every such node

    def _add_mapped(self, node: fx.Node) -> None:
        """Add what an operation on each step by itself is, if it flattens examples."""
        step, sequences = node.args[0], leaves(node.args[1])
        inner = self.network.get_submodule(str(step.target))  # type: ignore[union-attr]  # a node's first argument is a node
        assert isinstance(inner, fx.GraphModule)
        done = {str(each.target) for each in inner.graph.nodes if each.op in ("call_function", "call_method")}
        x = sequences[0]
        if len(sequences) == 1 and done <= set(_FLATTENING) and x in self.sources and len(self.shapes[node]) == 3:
            self._add_layer(node, "flatten", nn.Flatten(2), x)

    def _pass(self, node: fx.Node, first: fx.Node, lead: int) -> None:
        self.sources[node], self.lead[node] = self.sources[first], lead
        if first in self.spikes:
            self.spikes.add(node)

    def _add_layer(self, node: fx.Node, name: str, layer: nn.Module | None, x: Any) -> None:
        layer = self.network.get_submodule(name) if layer is None else layer
        if type(layer) in _SILENT:
            self._pass(node, x, self.lead[x])
            return
        if not isinstance(x, fx.Node) or x not in self.sources:
            raise self._unknown(x, name, layer)
        lead = self.lead[x]
        after = 2 if node.target in (scan_over_time, running.step_by_step) else lead
        place = Place(name, layer, self.shapes[x][lead:], self.shapes[node][after:], lead)
        before = list(self.sources[x])
        if "input" in before and "input" not in self.nodes:
            self.nodes["input"] = self.nir.Input(input_type={"input": np.array(place.before)})
        for end, made in self._made(node, place, x):
            key = f"{len(self.nodes) - 1}_{place.kind.lower().removeprefix('binary')}{end}"
            made.metadata["name"] = name
            self.nodes[key] = made
            self.edges += [(source, key) for source in before]
            before = [key]
        self.sources[node], self.lead[node] = before, after
        if is_neuron(layer) or (x in self.spikes and isinstance(layer, (nn.Flatten, nn.MaxPool2d))):
            self.spikes.add(node)

    def _unknown(self, x: Any, name: str, layer: nn.Module) -> NIRExportError:
        """Return the error that what stands before a layer is nothing that NIR has."""
        if isinstance(x, fx.Node) and x in self.states:
            what, way_out = "the membrane potential as the input", "give it spikes"
            return NIRExportError.of(what, name, type(layer).__name__, way_out)
        while isinstance(x, fx.Node):
            before = [each for each in leaves(x.args) if isinstance(each, fx.Node)]
            if x.target is running.norm_over_time:
                target = str(before[0].target)
                kind = type(self.network.get_submodule(target)).__name__
                return NIRExportError.of("the function", target, kind, WAYS_OUT.get(kind, "leave it out"))
            if any(each in self.sources for each in before) or not before:
                break
            x = next((each for each in before if each.op != "get_attr"), None)
        what = "what stands" if x is None else repr(x.name.rstrip("_0123456789"))
        way_out = "give it spikes or currents of layers that NIR has"
        return NIRExportError.of(f"{what} before the input", name, type(layer).__name__, way_out)

    def _made(self, node: fx.Node, place: Place, x: fx.Node) -> list[tuple[str, Any]]:
        kind, allow_lossy, dt = self.options
        layer = place.layer
        if is_neuron(layer):
            if recurrent_bias(place) is not None:
                raise place.cannot("the recurrent bias", "set it to zero, or put the layers into an nn.Sequential")
            return [("", neuron_node(self.nir, place, dt, kind, allow_lossy))]
        if isinstance(layer, SHAPING):
            return shaping_nodes(self.nir, place, x in self.spikes, dt)
        if isinstance(layer, (*LINEAR, *CONV)):
            return [("", weighted_node(self.nir, place, kind))]
        raise place.cannot("the function", WAYS_OUT.get(place.kind, "leave it out of the network"))
