"""Programs of all members of an ensemble as one: they share what they do, and differ in constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from snntorch_binary.export.c.errors import CExportError
from snntorch_binary.export.c.program import Const, Delay, Gather, Input, Map, Node, Pool, Program, Weighted


def together(programs: Sequence[Program]) -> Program:
    """Return one program whose constants, where members differ in them, are those of all members, [K, ...].

    Raises:
        CExportError: the members do not do the same.
    """
    first = programs[0]
    first.members = len(programs)
    if not are_alike(programs):
        raise CExportError("C cannot express an ensemble whose members differ in more than their constants.")
    for nodes in zip(*(program.nodes for program in programs), strict=True):
        node: Any = nodes[0]
        if isinstance(node, Weighted):
            node.positive = torch.stack([each.positive for each in nodes])
        elif isinstance(node, Delay):
            node.initial = _joined([each.initial for each in nodes])
        elif isinstance(node, Map):
            operands = zip(*(each.operands for each in nodes), strict=True)
            node.operands = tuple(each[0] if isinstance(each[0], Node) else _joined(each) for each in operands)
    return first


def are_alike(programs: Sequence[Program]) -> bool:
    """Say whether programs differ in nothing but constants."""
    shapes = [_shape_of(program) for program in programs]
    return all(shape == shapes[0] for shape in shapes)


def _joined(constants: Sequence[Const]) -> Const:
    size = max(each.values.numel() for each in constants)
    values = torch.stack([each.values.expand(size) for each in constants])
    return constants[0] if bool((values == values[:1]).all()) else Const(values)


def _shape_of(program: Program) -> Any:
    place = {node: index for index, node in enumerate(program.nodes)}
    reading = program.reading
    nodes = [
        (type(node), node.size, node.kind, [place[source] for source in node.sources], *_own(node, place))
        for node in program.nodes
    ]
    return nodes, place[reading.node], reading.over_time, reading.scale, reading.skipped


def _own(node: Any, place: dict[Node, int]) -> tuple[Any, ...]:
    if isinstance(node, Delay):
        return (place[node.next],) if node.next is not None else ()
    if isinstance(node, Weighted):
        return tuple(node.positive.shape), node.groups, node.window
    if isinstance(node, Pool):
        return (node.window,)
    if isinstance(node, Gather):
        return node.which.tolist(), node.index.tolist()
    if isinstance(node, Map):
        return node.name, [isinstance(each, Const) for each in node.operands]
    assert isinstance(node, Input)
    return ()
