"""A chain of layers as a NIR graph."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from snntorch_binary._errors import in_one_line
from snntorch_binary.export.errors import NIRExportError
from snntorch_binary.export.neurons import neuron_node, recurrent_bias
from snntorch_binary.export.place import Place
from snntorch_binary.export.shaping import SHAPING, shaping_nodes
from snntorch_binary.export.weighted import CONV, LINEAR, weighted_node
from snntorch_binary.nn.neurons.description import is_neuron
from snntorch_binary.weights import Kind, binary_layers, sampled

WAYS_OUT = {
    "BatchNorm1d": "fold it into the layer before, torch.nn.utils.fusion on the frozen network",
    "BatchNorm2d": "fold it into the layer before, torch.nn.utils.fusion on the frozen network",
}


def graph_of(
    nir: Any,
    chain: list[Place],
    kind: Kind,
    generator: torch.Generator | None,
    allow_lossy: bool,
    dt: float,
    metadata: dict[str, Any],
) -> Any:
    """Return the graph of a chain with one kind of weights; see :func:`snntorch_binary.export.to_nir`."""
    holder = nn.ModuleList(dict.fromkeys(place.layer for place in chain))
    in_force = sampled(holder, kind, generator) if binary_layers(holder) else nullcontext()
    with in_force, torch.no_grad():
        nodes = _nodes(nir, chain, kind, allow_lossy, dt)
    names = ["input", *nodes, "output"]
    nodes = {
        "input": nir.Input(input_type={"input": np.array(chain[0].before)}),
        **nodes,
        "output": nir.Output(output_type={"output": np.array(chain[-1].after)}),
    }
    try:
        return nir.NIRGraph(nodes=nodes, edges=list(pairwise(names)), metadata=metadata)
    except (ValueError, AssertionError) as error:
        raise NIRExportError(f"NIR does not take the graph of the network: {in_one_line(error)}.") from None


def _nodes(nir: Any, chain: list[Place], kind: Kind, allow_lossy: bool, dt: float) -> dict[str, Any]:
    found: list[tuple[str, Any]] = []
    of_spikes = False
    for before, place, behind in zip([None, *chain], chain, [*chain[1:], None], strict=False):
        own = place.kind.lower().removeprefix("binary")
        if is_neuron(place.layer):
            if recurrent_bias(place) is not None and not (before and type(before.layer) in (*LINEAR, *CONV)):
                raise place.cannot("the recurrent bias", "put a Linear or convolution right before it")
            new = [(own, neuron_node(nir, place, dt, kind, allow_lossy))]
        elif isinstance(place.layer, SHAPING):
            new = [(own + end, node) for end, node in shaping_nodes(nir, place, of_spikes, dt)]
        elif isinstance(place.layer, (*LINEAR, *CONV)):
            new = [(own, weighted_node(nir, place, kind, None if behind is None else recurrent_bias(behind)))]
        else:
            raise place.cannot("the function", WAYS_OUT.get(place.kind, "leave it out of the network"))
        of_spikes = is_neuron(place.layer) or (of_spikes and isinstance(place.layer, (nn.Flatten, nn.MaxPool2d)))
        for _, node in new:
            node.metadata["name"] = place.name
        found += new
    # A file gives nodes back in the order of their names, and nirtorch 2.6 wants recurrent ones in the chain's.
    width = len(str(len(found) - 1))
    return {f"{index:0{width}}_{name}": node for index, (name, node) in enumerate(found)}
