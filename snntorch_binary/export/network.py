"""A NIR graph as a network of this package's modules."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from torch import fx, nn

from snntorch_binary._errors import expected, in_one_line
from snntorch_binary.export.errors import NIRFileError
from snntorch_binary.export.modules import Form, conv, flatten, linear, pool
from snntorch_binary.export.neurons import is_node_of_neurons, neuron_of
from snntorch_binary.export.to_nir import DT
from snntorch_binary.nn.neurons.recurrent import Recurrent


@dataclass(frozen=True)
class Link:
    """A node in its graph.

    Attributes:
        name: of the node.
        node: the node.
        sources: names of the nodes whose sum it gets.
        weights: name and node of the recurrent weights around it, if there are any.
    """

    name: str
    node: Any
    sources: tuple[str, ...]
    weights: tuple[str, Any] | None


def network_of(nir: Any, graph: Any, step: bool, dt: float | None) -> nn.Module:
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
    links = _links(nir, graph)
    modules: dict[str, nn.Module] = {}
    for link in links:
        try:
            module = _module(nir, link, form)
        except NIRFileError:
            raise
        except (RuntimeError, ValueError, TypeError, AttributeError, ArithmeticError, LookupError) as error:
            raise NIRFileError.of(link.name, f"is damaged: {in_one_line(error)}") from None
        if module is not None:
            modules[link.name] = module
    return _connected(nir, links, modules)


def _connected(nir: Any, links: list[Link], modules: dict[str, nn.Module]) -> nn.Module:
    """Return a sequence of modules, or the graph that they are where branches join or several things go out."""
    sequence = nn.Sequential(*modules.values())
    if all(link.sources == before for link, before in zip(links, _each_alone(links), strict=True)):
        return sequence
    # A file's names are not to be trusted: modules go by their places, as in a sequence.
    places = {name: str(place) for place, name in enumerate(modules)}
    graph = fx.Graph()
    values: dict[str, fx.Node] = {}
    outputs: list[fx.Node] = []
    for link in links:
        if not link.sources:
            values[link.name] = graph.placeholder("x")
            continue
        first, *others = (values[source] for source in link.sources)
        for other in others:
            first = graph.call_function(operator.add, (first, other))
        if link.name in places:
            first = graph.call_module(places[link.name], (first,))
        values[link.name] = first
        if isinstance(link.node, nir.Output):
            outputs.append(first)
    graph.output(outputs[0] if len(outputs) == 1 else tuple(outputs))
    return fx.GraphModule(dict(sequence.named_children()), graph, "NIRNetwork")


def _each_alone(links: list[Link]) -> list[tuple[str, ...]]:
    """Return the sources that nodes have in a chain."""
    return [(), *((link.name,) for link in links[:-1])]


def _module(nir: Any, link: Link, form: Form) -> nn.Module | None:
    """Return the module of a node, or ``None`` where the module of the node before does its work too."""
    name, node, weights = link.name, link.node, link.weights
    if isinstance(node, nir.NIRGraph):
        inner = [each for each in _links(nir, node) if not isinstance(each.node, (nir.Input, nir.Output))]
        if len(inner) != 1:
            raise NIRFileError.of(name, f"is a graph of {len(inner)} nodes, and not of recurrent neurons")
        if weights is None:
            return _module(nir, Link(f"{name}.{inner[0].name}", inner[0].node, (), inner[0].weights), form)
    if is_node_of_neurons(node):
        if node.metadata.get("module") == "MaxPool2d":
            return None
        if weights is None:
            return neuron_of(name, node, form.dt, form.step)
        layer = _module(nir, Link(*weights, (), None), Form(form.dt, step=True))
        if not isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            raise NIRFileError.of(weights[0], "is in a loop, and no Linear or convolution")
        return Recurrent(neuron_of(name, node, form.dt, form.step), layer, init_hidden=form.step)
    if weights is not None:
        raise NIRFileError.of(name, "has a loop around it, and is no node of neurons")
    if isinstance(node, (nir.Input, nir.Output)):
        return None
    if isinstance(node, (nir.Affine, nir.Linear)):
        return linear(name, node)
    if isinstance(node, (nir.Conv1d, nir.Conv2d)):
        return conv(name, node, form)
    if isinstance(node, (nir.SumPool2d, nir.AvgPool2d)):
        return pool(nir, name, node, form)
    if isinstance(node, nir.Flatten):
        return flatten(name, node, form)
    raise NIRFileError.of(name, f"is of type {type(node).__name__}, which has no module here")


def _links(nir: Any, graph: Any) -> list[Link]:
    """Return the nodes, each behind those that it needs; recurrent weights stand with their neurons."""
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    before: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for start, end in dict.fromkeys(graph.edges):
        for name in (start, end):
            if name not in graph.nodes:
                raise NIRFileError.of(str(name), "is named by an edge, and is not there")
        after[start].append(end)
        before[end].append(start)
    starts = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    if len(starts) != 1:
        raise NIRFileError(f"The NIR graph has {len(starts)} inputs, and a network here has one.")
    loops: dict[str, str] = {}  # the recurrent weights of each node
    for name, node in graph.nodes.items():
        if isinstance(node, (nir.Input, nir.Output)):
            continue
        if len(after[name]) == 1 and after[name] == before[name] and _leads_on(name, before, after):
            neurons = after[name][0]
            if neurons in loops:
                raise NIRFileError.of(neurons, "has several loops around it, and one is what neurons here have")
            loops[neurons] = name
    aside = set(loops.values())
    sources = {name: [each for each in before[name] if each not in aside] for name in graph.nodes if name not in aside}
    try:
        order = list(TopologicalSorter(sources).static_order())
    except CycleError as error:
        what = "is in a loop through several nodes, which no neurons here have"
        raise NIRFileError.of(error.args[1][0], what) from None
    outputs = [name for name in graph.nodes if name in sources and isinstance(graph.nodes[name], nir.Output)]
    _check_ways(order, sources, starts[0], outputs)
    weights = {name: (loop, graph.nodes[loop]) for name, loop in loops.items()}
    names = [*(name for name in order if name not in outputs), *outputs]  # outputs in the order of the file
    return [Link(name, graph.nodes[name], tuple(sources[name]), weights.get(name)) for name in names]


def _leads_on(loop: str, before: dict[str, list[str]], after: dict[str, list[str]]) -> bool:
    """Say whether the only neighbour of a node has others: of two nodes in a circle one is the neurons."""
    (neighbour,) = after[loop]
    return neighbour != loop and (len(after[neighbour]) > 1 or len(before[neighbour]) > 1)


def _check_ways(order: list[str], sources: dict[str, list[str]], start: str, outputs: list[str]) -> None:
    """Check that every node is on a way from the input to an output, and no output on one to another."""
    reached, needed, ends = {start}, set(outputs), set(outputs)
    for name in order:
        if any(source in reached for source in sources[name]):
            reached.add(name)
    for name in reversed(order):
        if name in needed:
            needed.update(sources[name])
            ends.difference_update(sources[name])
    for name in order:
        if name not in reached & needed or (name in outputs and name not in ends):
            raise NIRFileError.of(name, "is no part of a way from the input to an output")
