"""Which nodes depend on themselves through an earlier step, and so go step by step together."""

from __future__ import annotations

from collections.abc import Iterable

from snntorch_binary.graph.tree import leaves
from snntorch_binary.graph.values import Node, nodes_of


def groups_of(output: object) -> dict[Node, list[Node]]:
    """Return for each node that an output needs the nodes that must go step by step with it; none where it needs not.

    These are the strongly connected components (Tarjan, 1972) that have more than one node or a node that needs itself.
    """
    order: dict[Node, int] = {}
    low: dict[Node, int] = {}
    waiting: list[Node] = []
    found: dict[Node, list[Node]] = {}

    def visit(node: Node) -> None:
        order[node] = low[node] = len(order)
        waiting.append(node)
        needs = list(dict.fromkeys(_needed(node.values())))
        for other in needs:
            if other not in order:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other not in found:
                low[node] = min(low[node], order[other])
        if low[node] == order[node]:
            group = waiting[waiting.index(node) :]
            del waiting[-len(group) :]
            alone = len(group) == 1 and node not in needs
            group.sort(key=lambda member: member.events[-1].index)
            for member in group:
                found[member] = [] if alone else group

    for node in _needed(leaves(output)):
        if node not in order:
            visit(node)
    return found


def _needed(values: Iterable[object]) -> Iterable[Node]:
    for value in values:
        yield from nodes_of(value)
