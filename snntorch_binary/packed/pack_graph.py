"""`pack_graph`: a graph over time becomes a packed one, its binary layers a bit a weight."""

from __future__ import annotations

import itertools
import operator
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn

from snntorch_binary._errors import expected
from snntorch_binary.graph.function_of import FunctionOf
from snntorch_binary.graph.network import GraphNetwork
from snntorch_binary.graph.neurons import scan_over_time, twin_in_inference
from snntorch_binary.graph.tree import mapped
from snntorch_binary.graph.whole import is_whole
from snntorch_binary.nn.neurons.base import Neuron
from snntorch_binary.nn.neurons.known import takes_one_step
from snntorch_binary.nn.subclasses import computes_as
from snntorch_binary.nn.time_first import TimeFirst
from snntorch_binary.packed.float_layers import Weights, geometry_of, norm_of, weights_of, without_time
from snntorch_binary.packed.graph import PackedGraph, is_reserved
from snntorch_binary.packed.graph_modules import Scan, StepAtZero, UnknownFunction
from snntorch_binary.packed.instructions import Instruction, Ref
from snntorch_binary.packed.layer import PackedLayer
from snntorch_binary.packed.operations import FUNCTIONS, METHODS, name_of
from snntorch_binary.packed.spiking import Spiking
from snntorch_binary.packed.together import Pairs, Together, is_silent

_LONGEST_NAME = 60


def is_whole_when_packed(module: nn.Module) -> bool:
    """Say whether a module is one thing in a packed graph; neurons of which it knows no form are what they compute."""
    neurons = takes_one_step(module) is not None and type(module).__module__.startswith("snntorch.")
    if neurons and not (isinstance(module, Neuron) or twin_in_inference(module)):
        return False
    return is_whole(module)


def pack_graph(network: GraphNetwork, spiking_inputs: list[bool], real_input: set[str]) -> PackedGraph:
    """Return a copy of a graph in evaluation mode whose layers with weights of ±1 are packed.

    Args:
        network: the graph; a copy, which is taken apart.
        spiking_inputs: whether each input is spikes.
        real_input: names of layers that get real numbers whatever is found out.

    Raises:
        ValueError: no layer can be packed.
    """
    writer = _Writer(network.cpu().eval(), spiking_inputs, real_input)
    packed = writer.program(network.graph, network)
    if not any(isinstance(module, PackedLayer) for module in packed.modules()):
        what = "a network with a binary Linear or Conv layer that can be packed"
        raise ValueError(expected("net", what, f"a {network.name}"))
    packed.report, packed.fixed_arguments = writer.report, network.fixed_arguments()
    return packed.eval()


class _Writer:
    """Packs the modules of a graph, and writes it and the steps inside it as programs."""

    def __init__(self, network: GraphNetwork, spiking_inputs: list[bool], real_input: set[str]) -> None:
        self.network, self.real_input = network, real_input
        self.spiking = Spiking(network, spiking_inputs)
        self.report: dict[str, str] = {}
        self._packed: dict[str, nn.Module] = {}

    def program(self, graph: fx.Graph, root: nn.Module) -> PackedGraph:
        """Return a graph as a program."""
        return _Program(self, root).of(graph)

    def module(self, target: str) -> nn.Module:
        """Return the packed form of a module."""
        if target not in self._packed:
            self._packed[target] = self._packed_form(target)
        return self._packed[target]

    def _at(self, target: str) -> Any:
        """Return a module, without what lets it see one time step after the other: a packed layer sees all."""
        return without_time(self.network.get_submodule(target))

    def _name(self, target: str) -> str:
        module = self.network.get_submodule(target)
        return f"{target}.module" if without_time(module) is not module else target

    def _packed_form(self, target: str) -> nn.Module:
        module = self._at(target)
        if isinstance(module, fx.GraphModule):
            return self.program(module.graph, module)
        if isinstance(module, FunctionOf) and step_at_zero(module) is not None:
            return StepAtZero(bool(step_at_zero(module)))
        twin = twin_in_inference(module)
        if twin is not None:
            return twin
        weights = weights_of(module)
        if weights is None:
            return _of_torch(self.network.get_submodule(target))
        if self._is_called_with_more(target):
            self.report[self._name(target)] = (
                "stays as it is: it is called with more than an input, such as an output size"
            )
            return module
        return self.layer(target, weights)

    def layer(self, target: str, weights: Weights, behind: Together | None = None) -> PackedLayer:
        """Return the packed form of a layer, with the neurons behind it."""
        module = self._at(target)
        real = not self._gets_spikes(target)
        self.report[self._name(target)] = "1 bit a weight, " + ("multiplies real numbers" if real else "counts spikes")
        norm = None if behind is None or behind.norm is None else [value[None] for value in norm_of(behind.norm)]
        layer = PackedLayer(
            weights.positive[None],
            torch.stack([weights.scale]),
            None if weights.bias is None else torch.stack([weights.bias]),
            None if behind is None else behind.neuron,
            geometry_of(module) if weights.positive.dim() > 2 else None,
            groups=getattr(module, "groups", 1),
            packed_output=behind is not None and behind.gives_bits,
            fused_bias=weights.fused_bias,
            norm=None if norm is None else (norm[0], norm[1]),
            real_input=real,
        )
        layer.name = self._name(target)
        return layer

    def counting_spikes(self, target: str) -> Weights | None:
        """Return the weights of a layer that is packed and gets spikes, ``None`` of any other module."""
        weights = weights_of(self._at(target)) if self._gets_spikes(target) else None
        return None if weights is None or self._is_called_with_more(target) else weights

    def _gets_spikes(self, target: str) -> bool:
        return self._name(target) not in self.real_input and self.spiking.gets_spikes(target)

    def _is_called_with_more(self, target: str) -> bool:
        """Say whether a layer gets other arguments than its input, as a transposed convolution can."""
        layer = self.network.get_submodule(target)
        owners: list[Any] = [
            self.network,
            *(part for part in self.network.modules() if isinstance(part, fx.GraphModule)),
        ]
        calls = [(owner, node) for owner in owners for node in owner.graph.nodes if node.op == "call_module"]
        return any(
            len(node.args) + len(node.kwargs) > 1
            for owner, node in calls
            if owner.get_submodule(str(node.target)) is layer
        )


class _Program:
    def __init__(self, writer: _Writer, root: nn.Module) -> None:
        self.writer, self.root = writer, root
        self.instructions: list[Instruction] = []
        self.modules: dict[str, nn.Module] = {}
        self.tensors: dict[str, Tensor] = {}
        self.done: dict[fx.Node, Any] = {}
        self.names: dict[tuple[str, str], str] = {}
        self.taken: set[str] = set()
        self.pairs: Pairs | None = None

    def of(self, graph: fx.Graph) -> PackedGraph:
        output: Any = None
        if self.root is self.writer.network:
            self.pairs = Pairs(graph, self.root, self.writer.counting_spikes)
        for node in graph.nodes:
            if node.op == "output":
                output = self._tree(node.args[0])
            elif self.pairs is None or node not in self.pairs.silent:
                self.done[node] = self._value(node)
        return PackedGraph(self.instructions, output, self.modules, self.tensors)

    def _tree(self, tree: Any) -> Any:
        return mapped(tree, lambda leaf: self.done[leaf] if isinstance(leaf, fx.Node) else leaf)

    def _add(self, kind: str, name: str, args: Any = (), kwargs: Any = None) -> Ref:
        self.instructions.append(Instruction(kind, name, args, kwargs or {}))
        return Ref(len(self.instructions) - 1)

    def _value(self, node: fx.Node) -> Any:
        if self.pairs is not None and node in self.pairs.scans:
            return self._layer_with_neurons(self.pairs.scans[node])
        if self.pairs is not None and node in self.pairs.shaping:
            module, spikes = self.pairs.shaping[node]
            if is_silent(module):
                return self.done[spikes]
            on_bits = self._named("bits")
            self.modules[on_bits] = module
            return self._add("invoke", on_bits, (self.done[spikes],))
        args, kwargs, target = self._tree(node.args), self._tree(dict(node.kwargs)), node.target
        if node.op == "placeholder":
            place = sum(each.kind == "input" for each in self.instructions)
            held = self.root.held_sizes[place] if isinstance(self.root, GraphNetwork) else {}
            return self._add("input", str(place), tuple(held.items()))
        if node.op == "get_attr":
            return self._attribute(str(target))
        if node.op == "call_module":
            module = self.root.get_submodule(str(target))
            if not args and kwargs.keys() == {"input"}:
                args, kwargs = (kwargs["input"],), {}
            return args[0] if is_silent(module) else self._add("invoke", self._module(str(target)), args, kwargs)
        if node.op == "call_method":
            if target in METHODS or target in FUNCTIONS:
                return self._add("method" if target in METHODS else "function", str(target), args, kwargs)
            target = getattr(Tensor, str(target))
        if target is operator.getitem and self._is_scan_with_layer(node.args[0]):
            return args[0]  # the spikes, and nothing else is given
        if target is scan_over_time:
            return self._scan(str(node.args[0].target), args)  # type: ignore[union-attr]  # a node
        name = name_of(target)
        if name is not None:
            return self._add("function", name, args, kwargs)
        name = self._named("function")
        self.modules[name] = UnknownFunction(target)
        return self._add("invoke", name, args, kwargs)

    def _attribute(self, target: str) -> Any:
        found: Any = self.root
        for part in target.split("."):
            owner, found = found, getattr(found, part)
        if isinstance(found, nn.Module):
            return self._add("module", self._module(target))
        if not isinstance(found, Tensor):
            return found
        of_neuron = takes_one_step(owner) and part in owner._non_persistent_buffers_set
        # What neurons keep from a call before is of no consequence: an empty state is one at rest.
        name = self._name_of(target)
        self.tensors[name] = torch.zeros(0) if of_neuron else found.detach().clone()
        return self._add("tensor", name)

    def _is_scan_with_layer(self, node: Any) -> bool:
        return self.pairs is not None and node in self.pairs.scans and node.target is scan_over_time

    def _layer_with_neurons(self, found: Together) -> Ref:
        target = str(found.layer.target)
        weights = self.writer.counting_spikes(target)
        assert weights is not None
        name = self._name_of(target)
        self.modules[name] = self.writer.layer(target, weights, found)
        return self._add("invoke", name, self._tree(found.layer.args), self._tree(dict(found.layer.kwargs)))

    def _scan(self, target: str, args: Any) -> Ref:
        """Write a scan of neurons as the call of the time-first neurons of this package."""
        name = self._name_of(target, "over_time")
        if name not in self.modules:
            neuron = self.root.get_submodule(target)
            self.modules[name] = Scan(twin_in_inference(neuron) or neuron)
        return self._add("invoke", name, args[1:])

    def _module(self, target: str) -> str:
        name = self._name_of(target)
        found = self.root.get_submodule(target)
        self.modules[name] = nn.Identity() if is_silent(found) else self.writer.module(target)
        return name

    def _name_of(self, target: str, what: str = "") -> str:
        """Return the name in the program of what the network has by another, for one use of it."""
        if (target, what) not in self.names:
            plain = target.replace(".", "_") or "network"
            self.names[target, what] = self._named(f"{plain}_{what}" if what else plain)
        return self.names[target, what]

    def _named(self, name: str) -> str:
        """Return a name that a file can hold and nothing else in the program has."""
        short = re.sub(r"[^A-Za-z0-9_]", "_", name)[:_LONGEST_NAME]
        free = next(each for each in _numbered(short) if each not in self.taken and not is_reserved(each))
        self.taken.add(free)
        return free


def step_at_zero(function: nn.Module) -> bool | None:
    """Say whether a function is a step that fires at zero (``True``) or only above; ``None`` where it is none."""
    around = torch.tensor([-1.0, -1e-38, 0.0, 1e-38, 1.0])
    found = None
    for constants in ((), (1.0,)):  # such as the width of its gradient
        try:
            with torch.no_grad():
                found = function(around, *constants)
            break
        except (TypeError, ValueError, RuntimeError):  # it takes other arguments
            continue
    if not isinstance(found, Tensor) or found.shape != around.shape:
        return None
    below, tie, above = found.split([2, 1, 2])
    is_step = bool((below == 0).all()) and bool((above == 1).all()) and float(tie) in (0.0, 1.0)
    return bool(tie) if is_step else None


def _of_torch(layer: nn.Module) -> nn.Module:
    """Return a layer of another library as the one of torch that does the same, or as it is."""
    kind = computes_as(layer)
    if kind is type(layer):
        return layer
    twin = kind.__new__(kind)
    twin.__dict__.update(vars(layer))
    return TimeFirst(twin) if getattr(layer, "step_mode", None) == "m" else twin


def _numbered(name: str) -> Iterator[str]:
    """Yield a name, and then the same with numbers."""
    yield name
    yield from (f"{name}_{number}" for number in itertools.count(2))
