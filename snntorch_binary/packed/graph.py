"""A network as a graph over time whose binary layers hold one bit a weight, for inference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from snntorch_binary._errors import expected
from snntorch_binary.graph.function_of import FunctionOf
from snntorch_binary.graph.network import GraphNetwork
from snntorch_binary.graph.neurons import scan_over_time, twin_in_inference
from snntorch_binary.graph.tree import leaves, mapped
from snntorch_binary.graph.whole import is_whole
from snntorch_binary.nn.neurons.base import Neuron
from snntorch_binary.nn.neurons.known import takes_one_step
from snntorch_binary.nn.subclasses import computes_as
from snntorch_binary.nn.time_first import TimeFirst
from snntorch_binary.packed.float_layers import geometry_of, weights_of
from snntorch_binary.packed.layer import PackedLayer
from snntorch_binary.packed.operations import FUNCTIONS, METHODS, name_of
from snntorch_binary.packed.spiking import Spiking

_SILENT = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)  # in evaluation mode


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
    def forward(self, *inputs: Any) -> Any:  # noqa: D102
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

    def extra_repr(self) -> str:  # noqa: D102
        return f"{len(self.instructions)} instructions"


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
    packed.report = writer.report
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

    def _packed_form(self, target: str) -> nn.Module:
        module = self.network.get_submodule(target)
        if isinstance(module, fx.GraphModule):
            return self.program(module.graph, module)
        if isinstance(module, FunctionOf) and step_at_zero(module) is not None:
            return StepAtZero(bool(step_at_zero(module)))
        twin = twin_in_inference(module)
        if twin is not None:
            return twin
        weights = weights_of(module)
        if weights is None:
            return _of_torch(module)
        if self._is_called_with_more(module):
            self.report[target] = "stays as it is: it is called with more than an input, such as an output size"
            return module
        real = target in self.real_input or not self.spiking.gets_spikes(target)
        self.report[target] = "1 bit a weight, " + ("multiplies real numbers" if real else "counts spikes")
        layer = PackedLayer(
            weights.positive[None],
            torch.stack([weights.scale]),
            None if weights.bias is None else torch.stack([weights.bias]),
            geometry=geometry_of(module) if weights.positive.dim() > 2 else None,
            groups=getattr(module, "groups", 1),
            fused_bias=weights.fused_bias,
            real_input=real,
        )
        layer.name = target
        return layer

    def _is_called_with_more(self, layer: nn.Module) -> bool:
        """Say whether a layer gets other arguments than its input, as a transposed convolution can."""
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

    def of(self, graph: fx.Graph) -> PackedGraph:
        output: Any = None
        for node in graph.nodes:
            if node.op == "output":
                output = self._tree(node.args[0])
            else:
                self.done[node] = self._value(node)
        return PackedGraph(self.instructions, output, self.modules, self.tensors)

    def _tree(self, tree: Any) -> Any:
        return mapped(tree, lambda leaf: self.done[leaf] if isinstance(leaf, fx.Node) else leaf)

    def _add(self, kind: str, name: str, args: Any = (), kwargs: Any = None) -> Ref:
        self.instructions.append(Instruction(kind, name, args, kwargs or {}))
        return Ref(len(self.instructions) - 1)

    def _value(self, node: fx.Node) -> Any:
        args, kwargs, target = self._tree(node.args), self._tree(dict(node.kwargs)), node.target
        if node.op == "placeholder":
            return self._add("input", str(sum(each.kind == "input" for each in self.instructions)))
        if node.op == "get_attr":
            return self._attribute(str(target))
        if node.op == "call_module":
            module = self.root.get_submodule(str(target))
            silent = computes_as(module) in _SILENT
            if not args and kwargs.keys() == {"input"}:
                args, kwargs = (kwargs["input"],), {}
            return args[0] if silent else self._add("invoke", self._module(str(target)), args, kwargs)
        if node.op == "call_method":
            return self._add("method" if target in METHODS else "function", str(target), args, kwargs)
        if target is scan_over_time:
            return self._scan(str(node.args[0].target), args)  # type: ignore[union-attr]  # a node
        name = name_of(target)
        if name is not None:
            return self._add("function", name, args, kwargs)
        name = f"function_{len(self.instructions)}"
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
        self.tensors[_plain(target)] = torch.zeros(0) if of_neuron else found.detach().clone()
        return self._add("tensor", _plain(target))

    def _scan(self, target: str, args: Any) -> Ref:
        """Write a scan of neurons as the call of the time-first neurons of this package."""
        name = f"{_plain(target)}_over_time"
        if name not in self.modules:
            neuron = self.root.get_submodule(target)
            self.modules[name] = Scan(twin_in_inference(neuron) or neuron)
        return self._add("invoke", name, args[1:])

    def _module(self, target: str) -> str:
        self.modules[_plain(target)] = self.writer.module(target)
        return _plain(target)


class Scan(nn.Module):
    """Time-first neurons in a packed graph, which give spikes and states."""

    def __init__(self, neuron: nn.Module) -> None:
        super().__init__()
        self.neuron = neuron

    def forward(self, x: Tensor, initial: tuple[Tensor | None, ...], steps: int | None = None) -> Any:  # noqa: D102
        return scan_over_time(self.neuron, x, initial, steps)


class StepAtZero(nn.Module):
    """Spikes where a number is above zero, or also at it: what a user's surrogate gradient is in inference."""

    def __init__(self, fires_at_threshold: bool) -> None:
        super().__init__()
        self.fires_at_threshold = fires_at_threshold

    def forward(self, u: Tensor, *constants: Any) -> Tensor:  # noqa: D102
        return (u >= 0 if self.fires_at_threshold else u > 0).to(u.dtype)


class UnknownFunction(nn.Module):
    """A function that a packed graph in memory calls, and a file cannot hold."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        return self.function(*args, **kwargs)


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


def _plain(name: str) -> str:
    return name.replace(".", "_") or "network"


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
