"""The maximum before the scale: of counts it costs less than of real numbers, and of fewer numbers the scale does.

A convolution that takes it itself needs no room for what is not the largest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from snntorch_binary.export.c.program import Const, Delay, Gather, Map, Node, Pool, Program, Weighted, Window


def pooled_first(program: Program) -> None:
    """Let max pooling come before the scale and bias of each channel.

    Neither, nor a rounding, changes which of two numbers is larger or makes equal numbers differ: answers stay the same
    bit for bit.
    """
    for pool in [node for node in program.nodes if isinstance(node, Pool)]:
        chain = list(_chain(pool, program.users(), program.reading.node))
        if not chain or pool is program.reading.node:
            continue
        counts = chain[0].sources[0]
        place = program.nodes.index(pool)
        last: Node = counts
        if isinstance(counts, Weighted) and _can_pool(counts, pool.window, program.users()[counts]):
            counts.pool, counts.size = pool.window, pool.size
        else:
            last = Pool(pool.size, "sum", counts, pool.window)
        made = [] if last is counts else [last]
        for each in chain:
            operands = (_pooled(operand, pool) if isinstance(operand, Const) else last for operand in each.operands)
            last = Map(pool.size, "real", each.name, tuple(operands))
            made.append(last)
        program.nodes[place : place + 1] = made
        for node in program.nodes:
            _replace(node, pool, last)
        program.nodes = [node for node in program.nodes if node not in chain]


def _chain(pool: Pool, users: dict[Node, list[Node]], read: Node) -> Iterator[Map]:
    """Return the maps from counts to a pooling that no one else reads, if that is all they are."""
    found: list[Map] = []
    node = pool.source
    while isinstance(node, Map) and users[node] == [found[-1] if found else pool] and node is not read:
        constants = [each for each in node.operands if isinstance(each, Const)]
        if len(node.sources) != 1 or not isinstance(node.operands[0], Node) or not _keeps_order(node.name, constants):
            return
        if not all(_by_channel(each.values, pool) for each in constants):
            return
        found.append(node)
        node = node.sources[0]
    if found and node.kind == "sum":
        yield from reversed(found)


def _can_pool(counts: Weighted, window: Window, users: list[Node]) -> bool:
    """Say whether a convolution can take the maximum itself: no one else reads it, and no count is taken twice."""
    geometry = window.geometry
    apart = all(kernel <= stride for kernel, stride in zip(geometry.kernel, geometry.stride, strict=True))
    return counts.window is not None and len(users) == 1 and apart and set(geometry.dilation) == {1}


def _keeps_order(name: str, constants: list[Const]) -> bool:
    """Say whether of two numbers the larger one stays so, or they become equal; constants are behind the number."""
    return name in ("real", "add") or (name in ("mul", "fma") and bool((constants[0].values >= 0).all()))


def _by_channel(values: Tensor, pool: Pool) -> bool:
    if values.shape[-1] == 1:
        return True
    rows = values.view(*values.shape[:-1], -1, math.prod(pool.window.before))
    return bool((rows == rows[..., :1]).all())


def _pooled(constant: Const, pool: Pool) -> Const:
    if constant.values.shape[-1] == 1:
        return constant
    before, after = (math.prod(sides) for sides in (pool.window.before, pool.window.after))
    return Const(constant.values[..., ::before].repeat_interleave(after, -1))


def _replace(node: Any, old: Node, new: Node) -> None:
    """Let a node read another one."""
    if isinstance(node, Map):
        node.operands = tuple(new if each is old else each for each in node.operands)
    elif isinstance(node, Gather):
        node.parts = [new if each is old else each for each in node.parts]
    elif isinstance(node, Delay):
        node.next = new if node.next is old else node.next
    elif isinstance(node, (Weighted, Pool)):
        node.source = new if node.source is old else node.source
