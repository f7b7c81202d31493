"""Convolutions in a graph: binary ones take all time steps [T, B, C, ...], torch's one batch [B, C, ...].

A graph is made when a convolution is binary, and called when it may be one of torch, such as in what has been frozen.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx, nn

from snntorch_binary.graph.marks import LOCAL, RANK
from snntorch_binary.graph.running import as_batch, as_steps
from snntorch_binary.nn.binary import BINARY_TWINS, BinaryConv1d, BinaryConv2d
from snntorch_binary.nn.subclasses import computes_as, leaves_forward

_OF_TORCH = {kind.forward for kind in BINARY_TWINS if kind is not nn.Linear}
_BINARY = {binary.forward for kind, binary in BINARY_TWINS.items() if kind is not nn.Linear}


def convolved(layer: nn.Module, x: Tensor) -> Tensor:
    """Return what a layer makes of its input; a binary convolution in whatever order it is faster.

    Whatever stands there by now, such as what has been frozen, is called as it takes its input.
    """
    if is_ours(layer):
        return layer(x, any_order=True)
    return as_steps(layer(as_batch(x)), x) if _takes_less(layer, x.dim()) else layer(x)


def is_ours(layer: nn.Module) -> bool:
    """Say whether a layer is a binary convolution that may answer channels-last."""
    return isinstance(layer, (BinaryConv1d, BinaryConv2d)) and leaves_forward(type(layer))


def with_any_convolutions(graph: fx.Graph, network: nn.Module) -> None:
    """Call binary convolutions so that torch's may stand in their place."""
    for node in list(graph.nodes):
        if _is_plain_call(node) and type(network.get_submodule(node.target)).forward in _BINARY:
            with graph.inserting_before(node):
                module = graph.get_attr(str(node.target))
            node.op, node.target, node.args = "call_function", convolved, (module, *node.args)


def with_batches(graph: fx.Graph, network: nn.Module) -> None:
    """Give all steps as one batch to convolutions of torch that stand where there were binary ones."""
    for node in list(graph.nodes):
        rank = node.meta.get(RANK)
        if rank is None or not _is_plain_call(node) or not _takes_less(network.get_submodule(node.target), rank):
            continue
        (x,) = node.args
        with graph.inserting_before(node):
            batch = graph.call_function(as_batch, (x,))
        with graph.inserting_after(node):
            steps = graph.call_function(as_steps, (node, x))
        node.replace_all_uses_with(steps, lambda user, steps=steps: user is not steps)
        node.args = (batch,)
        steps.meta.update(node.meta)
        for each in (batch, node):
            each.meta = {LOCAL: True} if LOCAL in node.meta else {}


def _is_plain_call(node: fx.Node) -> bool:
    return node.op == "call_module" and len(node.args) == 1 and not node.kwargs


def _takes_less(layer: Any, rank: int) -> bool:
    """Say whether a layer is a convolution of torch that is given a time dimension more than it takes."""
    of_torch = computes_as(layer).forward in _OF_TORCH and getattr(layer, "step_mode", "s") == "s"
    return of_torch and rank == len(layer.kernel_size) + 3
