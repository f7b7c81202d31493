"""Networks that take whole sequences as they are: which of their layers see each time step by itself.

Neurons in their time-first form say where time is. Layers before and behind them that keep the first dimension apart
are marked as what the folded form of a loop is, so that both can go through time a number of steps at a time.
"""

from __future__ import annotations

import math
import operator
from typing import Any

from torch import fx, nn

from snntorch_binary.graph.chunks import time_first_scan
from snntorch_binary.graph.marks import ELEMENTS, LOCAL, SHAPE
from snntorch_binary.graph.over_time import ANY_LEADING_DIMENSIONS, way_of_layer
from snntorch_binary.nn.binary import BinaryLayer
from snntorch_binary.nn.neurons.base import Neuron
from snntorch_binary.nn.time_first import TimeFirst


def with_time_first_layers(graph: fx.Graph, network: nn.Module) -> None:
    """Mark sequences, and what takes each of their steps by itself, in a graph of a network that takes sequences."""
    for node in list(graph.nodes):
        neuron = _neuron_of(node, network)
        if neuron is None:
            continue
        with graph.inserting_before(node):
            module = graph.get_attr(str(node.target))
        node.op, node.target = "call_function", time_first_scan
        node.args = (module, node.args[0], (None,) * len(neuron.State._fields))
        node.meta[LOCAL] = True
        node.meta[ELEMENTS] = _elements(node)
        _mark_before(node.args[1], network)
        _mark_behind(node, network)


def _neuron_of(node: fx.Node, network: nn.Module) -> Neuron | None:
    if node.op != "call_module" or len(node.args) != 1 or node.kwargs or len(node.meta.get(SHAPE, ())) < 2:
        return None
    module = network.get_submodule(str(node.target))
    if not isinstance(module, Neuron) or not type(module).__module__.startswith("snntorch_binary."):
        return None
    return module if module.resumes and not module.one_step else None


def _elements(node: Any) -> int:
    return math.prod(node.meta[SHAPE][1:])


def _mark_before(node: Any, network: nn.Module) -> None:
    while isinstance(node, fx.Node) and SHAPE in node.meta and ELEMENTS not in node.meta:
        node.meta[ELEMENTS] = _elements(node)
        if not _keeps_time(node, network):
            return
        node.meta[LOCAL] = True
        node = node.args[0]


def _mark_behind(node: fx.Node, network: nn.Module) -> None:
    for user in node.users:
        is_output = user.target is operator.getitem and node.target is time_first_scan
        if (is_output or _keeps_time(user, network)) and LOCAL not in user.meta:
            user.meta[LOCAL] = True
            user.meta[ELEMENTS] = node.meta[ELEMENTS] if is_output else _elements(user)
            _mark_behind(user, network)


def _keeps_time(node: fx.Node, network: nn.Module) -> bool:
    """Say whether a node is a layer that makes each entry of what it gives of that of what it is given."""
    if node.op != "call_module" or len(node.args) != 1 or node.kwargs or SHAPE not in node.meta:
        return False
    layer = network.get_submodule(str(node.target))
    rank = len(node.meta[SHAPE])
    if type(layer) is nn.Flatten:
        return layer.start_dim > 0
    if any(getattr(part, "inplace", False) for part in layer.modules()):
        return False
    if type(layer) is TimeFirst:  # all steps as one batch
        return type(layer.module) in ANY_LEADING_DIMENSIONS or way_of_layer(layer.module, rank - 1) == "batch"
    if isinstance(layer, BinaryLayer):
        return way_of_layer(layer, rank) == "all" and layer.latent.dim() <= rank
    return type(layer) in ANY_LEADING_DIMENSIONS
