"""Networks for other runtimes: `torch.export` and ONNX, with plain weights and all time steps in one program."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from snntorch_binary._errors import in_one_line, require
from snntorch_binary._files import replacing
from snntorch_binary.convert.copies import copy_model
from snntorch_binary.convert.foreign import Apart, taken_apart
from snntorch_binary.convert.plain import become_fixed, plain_class_of, plain_weight
from snntorch_binary.export.to_nir import weights_of_kind
from snntorch_binary.fuse import as_graph
from snntorch_binary.graph.network import GraphNetwork
from snntorch_binary.graph.tree import leaves
from snntorch_binary.weights import binary_layers, sampled

_CLOSE = 1e-5


class RuntimeExportError(ValueError):
    """A network cannot be exported, or what was exported answers otherwise; the message says what is in the way."""


def to_torch_export(net: nn.Module, sample: Any, weights: Literal["mode", "mean"] | int = "mode") -> Any:
    """Return a network with plain weights as a program of ``torch.export``, for C++, mobile and compilers.

    The program does all time steps of the sample in turn: it takes sequences of that length, of any number of examples
    (where an operation fixes that, a warning says so), and needs nothing of this package or of snnTorch. Weights are
    float32, scale · (±1); for one bit each see :func:`snntorch_binary.save_packed`. It is compared with the network
    before it is returned: spikes equal, other numbers to 1e-5.

    Args:
        net: a network of any form that :func:`snntorch_binary.fuse` takes, binary or not; it is left as it was.
        sample: an input as it takes it, with as many time steps as will be asked for, or a tuple of its arguments.
        weights: ``"mode"``, ``"mean"``, or the seed of a posterior draw.

    Returns:
        A ``torch.export.ExportedProgram``; ``torch.export.save(program, path)`` writes it.

    Raises:
        RuntimeExportError: an operation cannot be exported, or the program answers otherwise; a ``ValueError``.
        NotAGraphError: the network does not fold over time; a ``ValueError``.
        TypeError: the sample is no tensor, or a binary layer is of a class of your own.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> from snntorch_binary.export import to_torch_export
        >>> net = torch.nn.Sequential(sb.nn.BinaryLinear(8, 4), sb.nn.Leaky(beta=0.9))
        >>> program = to_torch_export(net, torch.zeros(5, 2, 8))
        >>> program.module()(torch.ones(5, 7, 8)).shape
        torch.Size([5, 7, 4])
    """
    return _exported(plain_graph(net, sample, weights), _tensors(sample))[0]


def _exported(graph: GraphNetwork, inputs: list[Tensor]) -> tuple[Any, list[Tensor], list[set[int]]]:
    """Return the program, the inputs that it was made with, and which of their sizes are free."""
    program, free = _program_and_sizes(graph, inputs)
    if not free[0] & {0, 1}:
        inputs = _of_several_examples(graph, inputs)
        program, free = _program_and_sizes(graph, inputs)
    if not free[0] & {0, 1}:
        sizes = " and ".join(str(list(value.shape)) for value in inputs)
        warnings.warn(
            f"What is exported takes inputs of the shape {sizes} only, no other number of examples.", stacklevel=3
        )
    _check(graph, inputs, free, program.module())
    return program, inputs, free


def _program_and_sizes(graph: GraphNetwork, inputs: list[Tensor]) -> tuple[Any, list[set[int]]]:
    of_inputs = zip(inputs, graph.held_sizes, strict=True)
    several = [{dim for dim, size in enumerate(value.shape) if size > 1} - held.keys() for value, held in of_inputs]
    # Of sequences [T, B, ...] the number of examples alone is free, and to find that out takes as long as a program.
    likely = [dims & {1} if value.dim() > 2 else set() for dims, value in zip(several, inputs, strict=True)]
    free = several
    for sizes in (likely, several):
        if sizes[0]:
            program = _program(graph, inputs, sizes)
            free = _free_sizes(program)
            if free == sizes:
                return program, free
    # A size that turned out to be fixed has to be said, or other runtimes do not look at it.
    return _program(graph, inputs, free), free


def _of_several_examples(graph: GraphNetwork, inputs: list[Tensor]) -> list[Tensor]:
    """Return inputs of two examples in place of one, as a size of 1 is taken for one that has to be 1."""
    found = []
    for dim in range(min(2, inputs[0].dim())):
        if inputs[0].shape[dim] > 1:
            continue
        doubled = [torch.cat([value, value], dim) if value.dim() > dim else value for value in inputs]
        with suppress(Exception), torch.no_grad():  # not the dimension of examples
            graph.graph_answer(*doubled)
            found.append(doubled)
    if len(found) > 1:
        raise RuntimeExportError("Give a sample of two examples or more: of one it cannot be told where examples are.")
    return found[0] if found else inputs


def _program(graph: GraphNetwork, inputs: list[Tensor], free: list[set[int]]) -> Any:
    auto = torch.export.Dim.AUTO
    shapes = tuple(dict.fromkeys(sorted(dims), auto) for dims in free)
    try:
        with _quietly(), torch.no_grad():
            module = graph.graph_module().eval()
            return torch.export.export(module, tuple(inputs), dynamic_shapes=shapes, strict=False)
    except Exception as error:  # of torch's, of many kinds
        raise RuntimeExportError(f"The network cannot be exported: {in_one_line(str(error), 300)}") from None


def _free_sizes(program: Any) -> list[set[int]]:
    """Return the dimensions of each input that can be of another size than in the sample."""
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    shapes = [nodes[name].meta["val"].shape for name in program.graph_signature.user_inputs]
    # A size that is fixed can be a symbol, too: of a number.
    return [{dim for dim, size in enumerate(shape) if not str(size).isdigit()} for shape in shapes]


def to_onnx(
    net: nn.Module, sample: Any, path: str | PathLike[str], weights: Literal["mode", "mean"] | int = "mode"
) -> None:
    """Write a network with plain weights as an ONNX file, which onnxruntime and many others run.

    It is what :func:`to_torch_export` makes, for any number of examples, and onnxruntime's answers are compared with
    the network's.

    Args:
        net: as there.
        sample: as there.
        path: the file to write; one that is there is replaced.
        weights: as there.

    Raises:
        RuntimeExportError: as there.
        NotAGraphError: as there.
        TypeError: as there.
        MissingPackageError: onnx, onnxscript or onnxruntime is not installed.
        OSError: the file cannot be written.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> net = torch.nn.Sequential(sb.nn.BinaryLinear(8, 4), sb.nn.Leaky(beta=0.9))
        >>> sb.export.to_onnx(net, torch.zeros(5, 2, 8), "net.onnx")  # doctest: +SKIP
    """
    for package in ("onnx", "onnxscript"):
        require(package, "onnx")
    runtime = require("onnxruntime", "onnx")
    graph = plain_graph(net, sample, weights)
    program, inputs, free = _exported(graph, _tensors(sample))
    try:
        with _quietly():
            written: Any = torch.onnx.export(program, dynamo=True, verbose=False)
    except Exception as error:  # of torch's, of many kinds
        raise RuntimeExportError(f"The network cannot be written as ONNX: {in_one_line(str(error), 300)}") from None
    with replacing(Path(path)) as temporary:
        written.save(str(temporary))
        session = runtime.InferenceSession(str(temporary), providers=["CPUExecutionProvider"])
        names = [each.name for each in session.get_inputs()]

        def answer(*given: Tensor) -> list[Tensor]:
            feed = {name: value.numpy() for name, value in zip(names, given, strict=True)}
            return [torch.from_numpy(value) for value in session.run(None, feed)]

        _check(graph, inputs, free, answer)


def plain_graph(net: nn.Module, sample: Any, weights: Literal["mode", "mean"] | int = "mode") -> GraphNetwork:
    """Return a copy of a network as a graph over time in evaluation mode, whose weights are torch's own."""
    kind, generator = weights_of_kind(weights)
    graph = copy_model(net if isinstance(net, GraphNetwork) else as_graph(net, sample)).cpu().eval()
    layers = binary_layers(graph)
    for layer in layers.values():
        plain_class_of(layer)
    inputs = _tensors(sample)
    with sampled(graph, kind, generator) if layers else nullcontext(), torch.no_grad():
        answer = _seeded(graph.graph_answer, inputs)
        of_cells = {
            layer for cell in graph.modules() if isinstance(cell, Apart) for layer in binary_layers(cell).values()
        }
        weights_of_cells = {layer: plain_weight(layer.weight) for layer in of_cells}
        plain = {name: PlainLayer(layer) for name, layer in layers.items() if layer not in of_cells}
    for name, module in plain.items():
        parent, _, last = name.rpartition(".")
        graph.get_submodule(parent).add_module(last, module)
    with taken_apart(graph):
        for layer, weight in weights_of_cells.items():
            become_fixed(layer, weight)
    with torch.no_grad():
        _compare(answer, _seeded(graph.graph_answer, inputs))
    return graph


class PlainLayer(nn.Module):
    """A layer of torch with the weights of a binary layer that are in force, which scales its sums as that one does.

    So they are rounded alike. It takes [T, B, C, ...], too.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        weight, scale, self.is_fused = (
            plain_weight(layer.in_force()),
            layer._scale(),
            isinstance(layer._scale(), Tensor),
        )
        self.spatial = len(layer.kernel_size) if hasattr(layer, "kernel_size") else 0
        by_channel = (-1, *(1,) * self.spatial)
        bias = layer.bias
        become_fixed(layer, weight)
        layer.bias = None
        self.layer = layer
        self.register_buffer("scale", torch.as_tensor(scale, dtype=weight.dtype).detach().clone().reshape(by_channel))
        self.register_buffer("bias", None if bias is None else bias.detach().clone().reshape(by_channel))

    def forward(self, x: Tensor, *more: Any, **options: Any) -> Tensor:
        """Return the scaled sums and the bias."""
        folded = self.spatial > 0 and x.dim() == self.spatial + 3
        y = self.layer(x.flatten(0, 1) if folded else x, *more, **options)
        scale: Any = self.scale
        bias: Any = self.bias
        if bias is not None and self.is_fused:
            y = torch.addcmul(bias, y, scale)
        else:
            y = y * scale if bias is None else y * scale + bias
        return y.unflatten(0, x.shape[:2]) if folded else y


def _tensors(sample: Any) -> list[Tensor]:
    return [leaf.cpu() for leaf in leaves(sample) if isinstance(leaf, Tensor)]


def _check(graph: GraphNetwork, inputs: list[Tensor], free: list[set[int]], exported: Callable[..., Any]) -> None:
    """Compare what was exported with the network, on the sample and on as many examples again."""
    with torch.no_grad():
        _compare(_seeded(graph.graph_answer, inputs), _seeded(exported, inputs))
        for dim in sorted(free[0] & {0, 1})[-1:]:
            pairs = zip(inputs, free, strict=True)
            doubled = [torch.cat([value, value.flip(dim)], dim) if dim in dims else value for value, dims in pairs]
            try:
                answer = _seeded(exported, doubled)
            except Exception as error:  # of a runtime, of many kinds
                why = in_one_line(str(error), 300)
                raise RuntimeExportError(f"What was exported does not take another number of examples: {why}") from None
            _compare(_seeded(graph.graph_answer, doubled), answer)


def _seeded(call: Callable[..., Any], inputs: list[Tensor]) -> Any:
    """Call a function so that a network which draws spikes itself draws the same ones each time."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return call(*inputs)


def _compare(expected_answer: Any, answer: Any) -> None:
    """Say where answers differ: spikes at all, other numbers by more than 1e-5."""
    pairs = zip(leaves(expected_answer), leaves(answer), strict=True)
    for one, other in pairs:
        if not isinstance(one, Tensor):
            continue
        spikes = bool(((one == 0) | (one == 1)).all())
        same = torch.equal(one, other) if spikes else torch.allclose(one, other, rtol=_CLOSE, atol=_CLOSE)
        if not same:
            what = "spikes" if spikes else "numbers"
            apart = float((one - other).abs().max())
            raise RuntimeExportError(f"What was exported gives other {what} than the network, by up to {apart:.2g}.")


@contextmanager
def _quietly() -> Iterator[None]:
    """Leave out what torch's exporters log of packages that nobody needs here."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch._export", "torch.export")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            # Neurons keep their last state as an attribute, which no call of a graph looks at.
            warnings.filterwarnings("ignore", "The tensor attributes? .* assigned during export", UserWarning)
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
