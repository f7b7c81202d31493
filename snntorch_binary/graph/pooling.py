"""Pooling in a graph: of a binary convolution both in one call, without the maps in between; means by themselves."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from snntorch_binary.graph import running
from snntorch_binary.graph.convolution import convolved, is_ours
from snntorch_binary.kernels.average import averages
from snntorch_binary.nn.binary import BinaryConv2d
from snntorch_binary.nn.hooks import is_watched


def with_pooled_convolutions(graph: fx.Graph, network: nn.Module) -> None:
    """Let convolutions of a graph answer pooled where nothing but a max pooling takes what they give."""
    for node in list(graph.nodes):
        if node.op != "call_module" or len(node.args) != 1:
            continue
        layer = network.get_submodule(node.target)
        if not isinstance(layer, BinaryConv2d) or not is_ours(layer):
            continue
        found = _pooling_behind(node, network)
        if found is not None:
            *_, last = nodes = found
            with graph.inserting_before(last):
                names = [node.target, *(each.target for each in nodes if each.op == "call_module")]
                modules = tuple(graph.get_attr(str(name)) for name in names)
                geometry = None if len(modules) == 2 else _geometry_of_call(nodes[1])
                pooled = graph.call_function(convolved_and_pooled, (*modules, node.args[0], geometry))
                pooled.meta.update(last.meta)
            last.replace_all_uses_with(pooled)
            for each in (*nodes[::-1], node):
                graph.erase_node(each)


def with_averages(graph: fx.Graph, network: nn.Module) -> None:
    """Let average poolings of a graph be done by :func:`averaged`."""
    for node in list(graph.nodes):
        if node.op != "call_module" or len(node.args) != 1 or node.kwargs:
            continue
        if type(network.get_submodule(node.target)) is nn.AvgPool2d:
            with graph.inserting_before(node):
                module = graph.get_attr(str(node.target))
            node.op, node.target, node.args = "call_function", averaged, (module, *node.args)


def averaged(pool: nn.Module, x: Tensor) -> Tensor:
    """Return what an average pooling makes of [N, C, H, W]; whatever stands there by now is called as it is."""
    if type(pool) is nn.AvgPool2d and not is_watched(pool) and pool.divisor_override is None:
        geometry = _geometry(pool.kernel_size, pool.stride, pool.padding, 1, pool.ceil_mode)
        if geometry is not None and geometry[0] == geometry[1]:
            found = averages(x, geometry[0])
            if found is not None:
                return found
    return pool(x)


def convolved_and_pooled(layer: Any, *rest: Any) -> Tensor:
    """Return the max pooling [T, B, C, ...] of a binary convolution of [T, B, ...].

    Args:
        layer: the convolution.
        *rest: the pooling, where it is a module; the input; window and step of the pooling, where it is none.
    """
    *modules, x, geometry = rest
    pool = modules[0] if modules else None
    if pool is not None:
        geometry = _geometry_of(pool) if type(pool) is nn.MaxPool2d else None
    watched = is_watched(layer) or (pool is not None and is_watched(pool))
    if geometry is not None and not watched and is_ours(layer):
        found: Tensor | None = layer.pooled(x, *geometry)
        if found is not None:
            return found
    maps = convolved(layer, x)
    batch = running.as_batch(maps)
    return running.as_steps(torch.max_pool2d(batch, *geometry) if pool is None else pool(batch), maps)


def _pooling_behind(node: fx.Node, network: nn.Module) -> list[fx.Node] | None:
    """Return the nodes that pool what a node gives, where these are all that take it."""
    batches = [user for user in node.users if user.target is running.as_batch]
    steps = [user for user in node.users if user.target is running.as_steps]
    if len(node.users) != 2 or len(batches) != 1 or len(steps) != 1 or len(batches[0].users) != 1:
        return None
    (pool,) = batches[0].users
    if len(pool.users) != 1 or next(iter(pool.users)) is not steps[0] or steps[0].args != (pool, node):
        return None
    if pool.op == "call_module":
        fits = type(network.get_submodule(str(pool.target))) is nn.MaxPool2d and len(pool.args) == 1 and not pool.kwargs
    else:
        fits = pool.target in (F.max_pool2d, torch.max_pool2d) and _geometry_of_call(pool) is not None
    return [batches[0], pool, steps[0]] if fits else None


def _geometry_of(pool: Any) -> tuple[tuple[int, int], tuple[int, int]] | None:
    if pool.return_indices:
        return None
    return _geometry(pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode)


def _geometry_of_call(pool: fx.Node) -> tuple[tuple[int, int], tuple[int, int]] | None:
    names = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode")
    given = {**dict(zip(names, pool.args, strict=False)), **pool.kwargs}
    del given["input"]
    if given.pop("return_indices", False):
        return None
    if not set(given) <= set(names) or any(isinstance(value, fx.Node) for value in given.values()):
        return None
    of = (given.get(name, default) for name, default in zip(names[1:], (None, None, 0, 1, False), strict=True))
    return _geometry(*of)


def _geometry(window: Any, step: Any, padding: Any, dilation: Any, ceil_mode: Any) -> Any:
    """Return window and step as pairs, of a pooling that leaves no border and has no other options."""
    window = _pair(window)
    step = window if step is None or step in ((), []) else _pair(step)
    if window is None or step is None or _pair(padding) != (0, 0) or _pair(dilation) != (1, 1) or ceil_mode:
        return None
    return window, step


def _pair(value: Any) -> tuple[int, int] | None:
    if isinstance(value, int):
        return value, value
    fits = isinstance(value, (tuple, list)) and len(value) in (1, 2) and all(isinstance(each, int) for each in value)
    return (value[0], value[-1]) if fits else None
