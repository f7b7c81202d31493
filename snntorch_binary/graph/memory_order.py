"""Maps between layers may lie channels-last in memory where nothing looks at their order: it is faster."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from snntorch_binary.graph import running
from snntorch_binary.graph.convolution import convolved
from snntorch_binary.graph.neurons import scan_over_time
from snntorch_binary.graph.pooling import averaged, convolved_and_pooled
from snntorch_binary.nn.binary import BinaryConv1d, BinaryConv2d
from snntorch_binary.nn.subclasses import leaves_forward

_LAYERS = (nn.MaxPool2d, nn.AvgPool2d, nn.Conv2d, nn.BatchNorm2d, nn.Dropout, nn.Identity, nn.ReLU)
_FUNCTIONS = (
    *(running.as_batch, running.as_steps, running.norm_over_time, scan_over_time),
    *(averaged, convolved, convolved_and_pooled),
    *(F.max_pool2d, torch.max_pool2d, F.avg_pool2d, operator.add),
)


def with_free_order(graph: fx.Graph, network: nn.Module) -> None:
    """Let the binary convolutions of a graph answer channels-last.

    Behind them follow layers that take any order, and keep it; everything else, and whoever called the network, gets
    what is contiguous, as an operation such as ``view`` asks for it.
    """
    free: set[fx.Node] = set()
    for node in list(graph.nodes):
        layer = network.get_submodule(node.target) if node.op == "call_module" else None
        takes = _takes_any_order(node, layer)
        if takes:
            answers = isinstance(layer, (BinaryConv1d, BinaryConv2d)) or node.target is convolved_and_pooled
            if answers or any(source in free for source in node.all_input_nodes):
                free.add(node)
            if layer is not None and answers:
                with graph.inserting_before(node):
                    module = graph.get_attr(str(node.target))
                node.op, node.target, node.args = "call_function", convolved, (module, *node.args)
            elif node in free and node.target is scan_over_time:
                node.kwargs = {**node.kwargs, "any_order": True}
    for node in free:
        if node.target is scan_over_time and _reaches_convolution(node, free):
            node.kwargs = {**node.kwargs, "to_convolution": True}
    for node in list(graph.nodes):
        if node not in free or node.op == "output":
            with graph.inserting_before(node):
                for source in node.all_input_nodes:
                    if source in free:
                        node.replace_input_with(source, graph.call_function(contiguous, (source,)))


def _reaches_convolution(node: fx.Node, free: set[fx.Node]) -> bool:
    """Say whether a binary convolution takes what a node gives, or what is made of it in the same order."""
    found = [user for user in node.users if user in free]
    answers = (convolved, convolved_and_pooled)
    return any(user.target in answers or _reaches_convolution(user, free) for user in found)


def contiguous(x: Any) -> Any:
    """Return a tensor, or those of a tuple, contiguous."""
    if isinstance(x, torch.Tensor):
        return x.contiguous()
    return type(x)(*map(contiguous, x)) if hasattr(x, "_fields") else tuple(map(contiguous, x))


def _takes_any_order(node: fx.Node, layer: nn.Module | None) -> bool:
    if layer is not None:
        ours = isinstance(layer, (BinaryConv1d, BinaryConv2d)) and leaves_forward(type(layer))
        return (ours and len(node.args) == 1 and not node.kwargs) or type(layer) in _LAYERS
    if node.op != "call_function":
        return False
    if node.target is operator.getitem:
        return isinstance(node.args[1], int) and node.args[0].target is scan_over_time  # type: ignore[union-attr]
    return node.target in _FUNCTIONS
