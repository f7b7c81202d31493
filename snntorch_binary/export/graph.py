"""A NIR graph, written layer by layer: sums are several edges to one node, concatenations several nodes for a layer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
from torch import Tensor

from snntorch_binary._errors import in_one_line
from snntorch_binary.export.errors import NIRExportError
from snntorch_binary.export.neurons import neuron_node, recurrent_bias
from snntorch_binary.export.place import Place, as_ours
from snntorch_binary.export.shaping import SHAPING, norm_node, shaping_nodes
from snntorch_binary.export.weighted import CONV, LINEAR, Folding, weighted_node
from snntorch_binary.nn.neurons.description import is_neuron
from snntorch_binary.nn.subclasses import computes_as
from snntorch_binary.packed.float_layers import NORM, norm_of
from snntorch_binary.weights import Kind

INPUT = 0
"""The number of the node that is the input."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A Linear or convolution that is no node yet: what stands behind it may become part of it."""

    place: Place
    source: Branch
    folding: Folding


@dataclass(frozen=True, eq=False)
class Branch:
    """A tensor, or one of those of which it is the concatenation: a sum of what nodes give.

    Attributes:
        terms: of the sum: numbers of nodes, or layers that are no node yet.
        shape: of one example at one time step.
        spikes: whether it is nothing but spikes.
    """

    terms: tuple[int | Layer, ...]
    shape: tuple[int, ...]
    spikes: bool = False


Value = tuple[Branch, ...]
"""A tensor: branches, concatenated along the first dimension of an example."""


class GraphWriter:
    """Writes layers as the nodes of a NIR graph.

    Args:
        nir: the package.
        kind: which weights are in force.
        allow_lossy: whether neurons get a hard reset that have another.
        dt: time step in seconds.
    """

    def __init__(self, nir: Any, kind: Kind, allow_lossy: bool, dt: float) -> None:
        self._nir, self._kind, self._allow_lossy, self._dt = nir, kind, allow_lossy, dt
        self._nodes: list[tuple[str, Any]] = [("input", None)]
        self._edges: list[tuple[int, int]] = []
        self._outputs: dict[tuple[int, ...], tuple[int, ...]] = {}  # the shapes of what goes out, by its nodes
        self._written: dict[Layer, int] = {}

    def input(self, shape: tuple[int, ...]) -> Value:
        """Return the input, each example of which has a shape.

        Raises:
            NIRExportError: it has been given with another one.
        """
        name, node = self._nodes[INPUT]
        if node is None:
            node = self._nir.Input(input_type={"input": np.array(shape)})
            self._nodes[INPUT] = name, node
        before = tuple(node.input_type["input"])
        if before != shape:
            raise NIRExportError(f"NIR cannot express an input that is read as {list(before)} and as {list(shape)}.")
        return (Branch((INPUT,), shape),)

    def layer(self, place: Place, x: Value) -> Value:
        """Add a layer or neurons, and return what they give.

        Raises:
            NIRExportError: NIR has no such node, or only one that does something else.
        """
        place = replace(place, layer=as_ours(place.layer))
        if is_neuron(place.layer):
            return self._neurons(place, x)
        if isinstance(place.layer, SHAPING):
            return tuple(self._shaped(_part(place, branch.shape), branch) for branch in x)
        if isinstance(place.layer, (*LINEAR, *CONV)):
            return (self._weighted(place, x),)
        if computes_as(place.layer) in NORM:
            return self._norm(place, x)
        raise place.cannot("the function", "leave it out of the network")

    def sum(self, x: Value, y: Value) -> Value | None:
        """Return the sum of two tensors, or ``None`` where edges cannot say it."""
        alike = [branch.shape for branch in x] == [branch.shape for branch in y]
        terms = [(*a.terms, *b.terms) for a, b in zip(x, y, strict=False)]
        if not alike or any(len(set(both)) < len(both) for both in terms):  # NIR has no two edges between two nodes
            return None
        return tuple(Branch(both, branch.shape) for both, branch in zip(terms, x, strict=True))

    def output(self, x: Value) -> None:
        """Let a tensor be an output, or several if it is a concatenation."""
        for branch in x:
            self._outputs.setdefault(self._sources(branch), branch.shape)

    def reaches_output(self, x: Value) -> bool:
        """Say whether an output depends on a tensor."""
        return all(set(self._sources(branch)) <= self._used() for branch in x)

    def graph(self, metadata: dict[str, Any]) -> Any:
        """Return the graph, without nodes that no output depends on."""
        used = self._used()
        kept = [number for number in range(len(self._nodes)) if number in used or number == INPUT]
        # A file gives nodes back in the order of their names, and nirtorch 2.6 wants recurrent ones in this order.
        width = len(str(max(0, len(kept) - 2)))
        names = {number: f"{place - 1:0{width}}_{self._nodes[number][0]}" for place, number in enumerate(kept)}
        names[INPUT] = "input"
        nodes = {names[number]: self._nodes[number][1] for number in kept}
        edges = [(names[start], names[end]) for start, end in self._edges if end in used]
        width = len(str(max(0, len(self._outputs) - 1)))
        for place, (sources, shape) in enumerate(self._outputs.items()):
            name = "output" if len(self._outputs) == 1 else f"output_{place:0{width}}"
            nodes[name] = self._nir.Output(output_type={"output": np.array(shape)})
            edges += [(names[source], name) for source in sources]
        try:
            return self._nir.NIRGraph(nodes=nodes, edges=edges, metadata=metadata)
        except (ValueError, AssertionError) as error:
            raise NIRExportError(f"NIR does not take the graph of the network: {in_one_line(error)}.") from None

    # ---- layers ----------------------------------------------------------------------------------------------

    def _neurons(self, place: Place, x: Value) -> Value:
        if len(x) > 1:
            raise place.cannot("the concatenation before the input", "put a Linear or convolution between")
        (branch,) = x
        bias = recurrent_bias(place)
        if bias is not None:
            branch = _shifted(place, branch, bias)
        node = neuron_node(self._nir, place, self._dt, self._kind, self._allow_lossy)
        return (Branch((self._add(place, node, self._sources(branch)),), place.after, spikes=True),)

    def _shaped(self, place: Place, branch: Branch) -> Branch:
        terms = self._sources(branch)
        for end, node in shaping_nodes(self._nir, place, branch.spikes, self._dt):
            terms = (self._add(place, node, terms, end),)
        return Branch(terms, place.after, branch.spikes and place.keeps_spikes)

    def _weighted(self, place: Place, x: Value) -> Branch:
        """Return a layer over a tensor, over a concatenation as the sum of layers over its branches."""
        if len(x) == 1:
            return Branch((Layer(place, x[0], Folding()),), place.after)
        if getattr(place.layer, "groups", 1) > 1:
            raise place.cannot("groups behind a concatenation", "use groups=1")
        stops = list(accumulate(branch.shape[0] for branch in x))
        parts = zip(x, [0, *stops], stops, strict=False)
        return Branch(tuple(_over_part(place, branch, start, stop) for branch, start, stop in parts), place.after)

    def _norm(self, place: Place, x: Value) -> Value:
        """Return a batch norm's output: of layers it becomes part, and else it is a layer of its own."""
        features = sum(branch.shape[0] for branch in x)
        if place.layer.running_mean is None:
            raise place.cannot("statistics of the batch", "use track_running_stats=True")
        if place.lead != 1 or place.layer.num_features != features:
            raise place.cannot("a norm over time or batch", "put it into a TimeFirst")
        sizes = [branch.shape[0] for branch in x]
        parts = zip(x, *(each.split(sizes) for each in norm_of(place.layer)), strict=True)
        return tuple(self._normed(place, branch, gain, shift) for branch, gain, shift in parts)

    def _normed(self, place: Place, branch: Branch, gain: Tensor, shift: Tensor) -> Branch:
        layers = [term for term in branch.terms if isinstance(term, Layer)]
        if len(layers) == len(branch.terms):
            first, *others = layers
            folded = [replace(first, folding=first.folding.behind(gain, shift, place.name))]
            folded += [replace(other, folding=other.folding.behind(gain, None, place.name)) for other in others]
            return replace(branch, terms=tuple(folded))
        node = norm_node(self._nir, _part(place, branch.shape), gain, shift)
        return Branch((self._add(place, node, self._sources(branch)),), branch.shape)

    # ---- nodes -----------------------------------------------------------------------------------------------

    def _sources(self, branch: Branch) -> tuple[int, ...]:
        """Return the nodes whose sum a branch is."""
        return tuple(self._number(term) if isinstance(term, Layer) else term for term in branch.terms)

    def _number(self, layer: Layer) -> int:
        """Return the number of a layer's node, which is written when something needs it for the first time."""
        if layer not in self._written:
            sources = self._sources(layer.source)
            node = weighted_node(self._nir, layer.place, self._kind, layer.folding)
            self._written[layer] = self._add(layer.place, node, sources)
        return self._written[layer]

    def _add(self, place: Place, node: Any, sources: tuple[int, ...], end: str = "") -> int:
        node.metadata["name"] = place.name
        number = len(self._nodes)
        self._nodes.append((place.kind.lower().removeprefix("binary") + end, node))
        self._edges += [(source, number) for source in sources]
        return number

    def _used(self) -> set[int]:
        """Return the nodes that an output depends on; a node's number is larger than those of its sources."""
        used = {source for sources in self._outputs for source in sources}
        for start, end in sorted(self._edges, key=lambda edge: -edge[1]):
            if end in used:
                used.add(start)
        return used


def _part(place: Place, shape: tuple[int, ...]) -> Place:
    """Return the place of a layer that takes one part of a concatenation, which is as much smaller behind it."""
    if shape == place.before:
        return place
    return replace(place, before=shape, after=(place.after[0] * shape[0] // place.before[0], *place.after[1:]))


def _over_part(place: Place, branch: Branch, start: int, stop: int) -> Layer:
    """Return a layer over one part of a concatenation; the first has the bias."""
    return Layer(replace(place, before=branch.shape), branch, Folding(start, stop, bias=start == 0))


def _shifted(place: Place, branch: Branch, shift: Tensor) -> Branch:
    """Return what comes before neurons with a bias of their own added."""
    for index, term in enumerate(branch.terms):
        if isinstance(term, Layer):
            shifted = replace(term, folding=term.folding.shifted(shift))
            return replace(branch, terms=(*branch.terms[:index], shifted, *branch.terms[index + 1 :]))
    raise place.cannot("the recurrent bias", "put a Linear or convolution right before it")
