"""Makes nodes, with what is known about arithmetic: a product with a spike is a choice, and equal nodes are one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from snntorch_binary.export.c.errors import CExportError, no_form
from snntorch_binary.export.c.program import Const, Gather, Kind, Map, Node, Program, scalar

MOST_ELEMENTS = 2**24
Operand = Node | Const


class Builder:
    """Makes the nodes of one network.

    Args:
        steps: time steps of the sample with which its shapes are followed; ``None`` of a network that makes time steps
            of one input.
        examples: of that sample.
        uses_constants: whether what is made may depend on which number a constant is, as a product with one.
    """

    def __init__(self, steps: int | None, examples: int, uses_constants: bool = True) -> None:
        self._uses_constants = uses_constants
        self.steps, self.examples = steps or 1, examples
        self.is_shown_once = steps is None
        self._made: int | None = None
        self.program = Program()
        self._number: dict[Node, int] = {}
        self._known: dict[Any, Node] = {}

    def make_steps(self, steps: int) -> None:
        """Take note of how many time steps the network makes of what it is shown once.

        Raises:
            CExportError: it is shown a sequence, of which this would be one step, or it makes several numbers of steps.
        """
        if not self.is_shown_once:
            raise no_form("one time step of the input that is seen at every step", "let each step see its own input")
        if self._made not in (None, steps):
            raise no_form(f"loops of {self._made} and of {steps} time steps", "make as many steps in each of them")
        self._made = self.steps = steps

    def add(self, node: Node) -> Node:
        """Add a node."""
        if node.size > MOST_ELEMENTS:
            raise CExportError(f"A layer has {node.size} elements, and at most {MOST_ELEMENTS} can be addressed.")
        self._number[node] = len(self.program.nodes)
        self.program.nodes.append(node)
        return node

    def number(self, node: Node) -> int:
        """Return the place of a node in the program."""
        return self._number[node]

    def node(self, number: int) -> Node:
        """Return the node at a place in the program."""
        return self.program.nodes[number]

    def gathered(self, numbers: Tensor, index: Tensor) -> Node:
        """Return the node that has these elements, of the nodes with these numbers."""
        found, which = torch.unique(numbers, return_inverse=True)
        first = self.node(int(found[0]))
        if len(found) == 1 and first.size == len(index) and torch.equal(index, torch.arange(len(index))):
            return first
        parts = [self.node(int(number)) for number in found]
        if len({part.kind for part in parts}) > 1:
            parts = [self.real(part) for part in parts]
        key = ("gather", tuple(found.tolist()), tuple(which.tolist()), tuple(index.tolist()))
        if key not in self._known:
            self._known[key] = self.add(Gather(len(index), parts[0].kind, parts, which.clone(), index.clone()))
        return self._known[key]

    def map(self, name: str, size: int, *operands: Operand) -> Operand:
        """Return one operation on elements, in the form that costs least."""
        if all(isinstance(each, Const) for each in operands):
            raise CExportError("C cannot express an output that no input has a part in.")
        made = getattr(self, f"_{name}", None)
        return made(size, *operands) if made else self._map(name, "real", size, *operands)

    def real(self, node: Node) -> Node:
        """Return what a node gives as real numbers."""
        return node if node.kind == "real" else self._map("real", "real", node.size, node)

    def step(self, u: Operand, at_threshold: bool, size: int) -> Operand:
        """Return spikes where a number is above zero, or also at it."""
        name = "ge" if at_threshold else "gt"
        if isinstance(u, Map) and u.name == "sub":  # x - y > 0 says x > y, as small differences do not vanish
            return self._map(name, "bit", size, *u.operands)
        return self._map(name, "bit", size, u, scalar(0.0))

    def _map(self, name: str, kind: Kind, size: int, *operands: Operand) -> Node:
        parts = [self._number[each] if isinstance(each, Node) else _values(each) for each in operands]
        key = (
            (name, *parts)
            if self._uses_constants or not any(isinstance(each, Const) for each in operands)
            else object()
        )
        if key not in self._known:
            self._known[key] = self.add(Map(size, kind, name, operands))
        return self._known[key]

    def _mul(self, size: int, a: Operand, b: Operand) -> Operand:
        if all(isinstance(each, Node) and each.kind == "bit" for each in (a, b)):
            return self._map("and", "bit", size, a, b)
        for bit, other in ((a, b), (b, a)):
            if self._uses_constants and is_constant(other, 1.0):
                return bit
            if isinstance(bit, Node) and bit.kind == "bit":
                if isinstance(bit, Map) and bit.name == "not":
                    return self._map("select", "real", size, *bit.operands, scalar(0.0), other)
                return self._map("select", "real", size, bit, other, scalar(0.0))
        return self._map("mul", "real", size, a, b)

    def _sub(self, size: int, a: Operand, b: Operand) -> Operand:
        if isinstance(b, Node) and b.kind == "bit" and is_constant(a, 1.0):
            return self._map("not", "bit", size, b)
        if isinstance(b, Map) and b.name == "select" and is_constant(b.operands[2], 0.0):
            bit, subtracted, _ = b.operands
            return self._map("select", "real", size, bit, self._map("sub", "real", size, a, subtracted), a)
        return self._map("sub", "real", size, a, b)

    def _select(self, size: int, bit: Operand, a: Operand, b: Operand) -> Operand:
        if isinstance(bit, Node) and bit.kind == "bit":
            if is_constant(a, 1.0) and is_constant(b, 0.0):
                return bit
            if is_constant(a, 0.0) and is_constant(b, 1.0):
                return self._map("not", "bit", size, bit)
        return self._map("select", "real", size, bit, a, b)

    def _gt(self, size: int, a: Operand, b: Operand) -> Operand:
        return self._map("gt", "bit", size, a, b)

    def _ge(self, size: int, a: Operand, b: Operand) -> Operand:
        return self._map("ge", "bit", size, a, b)

    def _max(self, size: int, a: Operand, b: Operand) -> Operand:
        if isinstance(a, Node) and a.kind == "bit" and is_constant(b, 0.0):  # relu of spikes
            return a
        return self._map("max", "real", size, a, b)


def is_constant(value: Operand, number: float) -> bool:
    """Say whether something is a number for all elements."""
    return isinstance(value, Const) and bool((value.values == number).all())


def _values(constant: Const) -> Any:
    return tuple(constant.values.shape), constant.values.numpy().tobytes()
