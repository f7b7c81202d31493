"""A NIR graph computed by its definition, in float64: what each node does, sums where edges meet, Euler's rule."""

from graphlib import TopologicalSorter

import nir
import torch
from torch.nn import functional as F

DT = 1e-4


def by_hand(graph, x):
    """Outputs of a graph [T, B, ...], by the names of its output nodes."""
    ways = {name: [start for start, end in graph.edges if end == name] for name in graph.nodes}
    order = list(TopologicalSorter(ways).static_order())
    state, found = {}, {}
    for x_t in x.double():
        values = {}
        for name in order:
            node = graph.nodes[name]
            given = x_t if isinstance(node, nir.Input) else sum(values[start] for start in ways[name])
            values[name] = step(name, node, given, state)
            if isinstance(node, nir.Output):
                found.setdefault(name, []).append(values[name])
    return {name: torch.stack(steps) for name, steps in found.items()}


def step(name, node, x, state):
    array = {key: torch.as_tensor(value).double() for key, value in vars(node).items() if key in ARRAYS}
    if isinstance(node, (nir.Input, nir.Output)):
        return x
    if isinstance(node, (nir.Affine, nir.Linear)):
        return x @ array["weight"].T + array.get("bias", 0)
    if isinstance(node, nir.Conv2d):
        return F.conv2d(x, array["weight"], array["bias"], *map(sides, (node.stride, node.padding, node.dilation)))
    if isinstance(node, nir.SumPool2d):
        kernel, stride = sides(node.kernel_size), sides(node.stride)
        return F.avg_pool2d(x, kernel, stride, divisor_override=1)
    if isinstance(node, nir.Flatten):
        return x.flatten(node.start_dim, node.end_dim)
    assert isinstance(node, nir.LIF)
    v = state.get(name, torch.zeros_like(x))
    v = v + DT / array["tau"] * (array["r"] * x - v)
    spikes = (v > array["v_threshold"]).double()
    state[name] = v * (1 - spikes)
    return spikes


ARRAYS = ("weight", "bias", "tau", "r", "v_threshold")


def sides(value):
    return tuple(int(each) for each in value)
