"""A NIR graph as a sequence of this package's modules."""

from __future__ import annotations

from typing import Any

from torch import nn

from snntorch_binary._errors import expected, in_one_line
from snntorch_binary.export.errors import NIRFileError
from snntorch_binary.export.modules import Form, conv, flatten, linear, pool
from snntorch_binary.export.neurons import is_node_of_neurons, neuron_of
from snntorch_binary.export.to_nir import DT
from snntorch_binary.nn.neurons.recurrent import Recurrent


def network_of(nir: Any, graph: Any, step: bool, dt: float | None) -> nn.Sequential:
    """Return the network of a graph; see :func:`snntorch_binary.export.from_nir`."""
    if not isinstance(graph, nir.NIRGraph):
        raise TypeError(expected("graph", "a nir.NIRGraph or the path of a file", type(graph).__name__))
    if dt is None:
        kept = graph.metadata.get("dt", DT)
        number = isinstance(kept, (int, float)) and not isinstance(kept, bool)
        if not number or not 0 < kept < 1e30:  # an integer may be too large for a float
            raise NIRFileError(f"The NIR graph has metadata whose time step is {kept!r}.")
        dt = float(kept)
    if not 0 < dt < float("inf"):
        raise ValueError(expected("dt", "a positive float", repr(dt)))
    form = Form(float(dt), step)
    modules: list[nn.Module] = []
    for name, node, weights in _chain(nir, graph):
        try:
            module = _module(nir, name, node, weights, form)
        except NIRFileError:
            raise
        except (RuntimeError, ValueError, TypeError, AttributeError, ArithmeticError, LookupError) as error:
            raise NIRFileError.of(name, f"is damaged: {in_one_line(error)}") from None
        if module is not None:
            modules.append(module)
    return nn.Sequential(*modules)


def _module(nir: Any, name: str, node: Any, weights: Any, form: Form) -> nn.Module | None:
    """Return the module of a node, or ``None`` where the module of the node before does its work too."""
    if isinstance(node, nir.NIRGraph):
        inner = _chain(nir, node)
        if len(inner) != 1:
            raise NIRFileError.of(name, f"is a graph of {len(inner)} nodes in a row, and not of recurrent neurons")
        key, node, weights = inner[0]
        return _module(nir, f"{name}.{key}", node, weights, form)
    if is_node_of_neurons(node):
        if node.metadata.get("module") == "MaxPool2d":
            return None
        if weights is None:
            return neuron_of(name, node, form.dt, form.step)
        layer = _module(nir, weights[0], weights[1], None, Form(form.dt, step=True))
        if not isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            raise NIRFileError.of(weights[0], "is in a loop, and no Linear or convolution")
        return Recurrent(neuron_of(name, node, form.dt, form.step), layer, init_hidden=form.step)
    if isinstance(node, (nir.Affine, nir.Linear)):
        return linear(name, node)
    if isinstance(node, (nir.Conv1d, nir.Conv2d)):
        return conv(name, node, form)
    if isinstance(node, (nir.SumPool2d, nir.AvgPool2d)):
        return pool(nir, name, node, form)
    if isinstance(node, nir.Flatten):
        return flatten(name, node, form)
    raise NIRFileError.of(name, f"is of type {type(node).__name__}, which has no module here")


def _chain(nir: Any, graph: Any) -> list[tuple[str, Any, tuple[str, Any] | None]]:
    """Return the nodes between input and output, each with the recurrent weights around it, if there are any."""
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    before: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for start, end in graph.edges:
        for name in (start, end):
            if name not in graph.nodes:
                raise NIRFileError.of(str(name), "is named by an edge, and is not there")
        after[start].append(end)
        before[end].append(start)
    starts = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    if len(starts) != 1:
        raise NIRFileError(f"The NIR graph has {len(starts)} inputs, and a network here has one.")
    chain: list[tuple[str, Any, tuple[str, Any] | None]] = []
    passed, name = set(starts), starts[0]
    while not isinstance(graph.nodes[name], nir.Output):
        loops = [end for end in after[name] if after[end] == [name] == before[end]]
        ahead = [end for end in after[name] if end not in loops]
        if len(loops) > 1 or len(ahead) != 1 or len(before[name]) > 1 + len(loops) or ahead[0] in passed:
            raise NIRFileError.of(name, "is no link of a chain: it branches, joins, or leads nowhere")
        if name != starts[0]:
            chain.append((name, graph.nodes[name], (loops[0], graph.nodes[loops[0]]) if loops else None))
        name = ahead[0]
        passed.add(name)
    unused = graph.nodes.keys() - passed - {loop[0] for *_, loop in chain if loop}
    if unused:
        raise NIRFileError.of(min(unused), "is no link of the chain from input to output")
    return chain
