"""A program, run here as the device runs it: in float32, or in int32 with a point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from snntorch_binary.export.c.numbers import Fixed, Floats, Numbers
from snntorch_binary.export.c.program import Const, Delay, Gather, Input, Map, Node, Pool, Program, Weighted, Window

_MOST = 2**31 - 1
Watch = Callable[[Node, Tensor], None]


class Simulation:
    """One member of a program on many examples at once.

    Args:
        program: the program.
        numbers: how real numbers are computed with.
        member: which one.
        watch: is shown what every node gives at every step, [B, size].
    """

    def __init__(self, program: Program, numbers: Numbers, member: int = 0, watch: Watch | None = None) -> None:
        self.program, self.numbers, self.member, self.watch = program, numbers, member, watch
        self._kept: dict[Delay, Tensor] = {}
        self._weights = {node: _matrix(node, member) for node in program.nodes if isinstance(node, Weighted)}

    def scores(self, x: Tensor) -> Tensor:
        """Return class scores [B, C] for inputs [T, B, N]; they start at rest."""
        reading, total = self.program.reading, torch.zeros(())
        counts = reading.node.kind != "real"
        self._kept = {}
        for step, x_t in enumerate(x):
            outputs = self._step(x_t)[reading.node]
            if step >= reading.skipped:
                total = outputs if reading.over_time == "last" else total + outputs
                total = total if counts else self._held(total)
        steps = len(x) - reading.skipped
        scores = total.float() if counts else self._as_floats(total)
        scores = scores / steps if reading.over_time == "mean" else scores
        return scores * (steps if reading.scale is None else reading.scale)

    def real(self, value: Tensor, node: Node) -> Tensor:
        """Return what a node gives as real numbers."""
        if node.kind == "real":
            return value
        return value.float() if isinstance(self.numbers, Floats) else value.long() << self.numbers.point

    def _as_floats(self, value: Tensor) -> Tensor:
        return value if isinstance(self.numbers, Floats) else value.float() / 2**self.numbers.point

    def _held(self, value: Tensor) -> Tensor:
        return value if isinstance(self.numbers, Floats) else value.clamp(-_MOST, _MOST)

    def _step(self, x: Tensor) -> dict[Node, Tensor]:
        values: dict[Node, Tensor] = {}
        for node in self.program.nodes:
            values[node] = self._value(node, values, x)
            if self.watch is not None:
                self.watch(node, values[node])
        for node in self.program.nodes:
            if isinstance(node, Delay) and node.next is not None:
                after = values[node.next]
                self._kept[node] = after if node.kind == "bit" else self.real(after, node.next)
        return values

    def _value(self, node: Node, values: dict[Node, Tensor], x: Tensor) -> Tensor:
        if isinstance(node, Input):
            return x if node.kind == "bit" else self._constant_of(x)
        if isinstance(node, Delay):
            if node not in self._kept:
                start = self._constant(node.initial).expand(len(x), node.size)
                self._kept[node] = (start != 0).float() if node.kind == "bit" else start
            return self._kept[node]
        if isinstance(node, Weighted):
            return self._sums(node, values[node.source])
        if isinstance(node, Pool):
            windows = _windows(values[node.source], node.window, float("-inf"))
            return windows.amax(-1).flatten(1)
        if isinstance(node, Gather):
            stacked = [values[part] for part in node.parts]
            found = torch.empty(len(x), node.size, dtype=stacked[0].dtype)
            for place, part in enumerate(stacked):
                here = node.which == place
                found[:, here] = part[:, node.index[here]]
            return found
        assert isinstance(node, Map)
        return self._map(node, values)

    def _sums(self, node: Weighted, x: Tensor) -> Tensor:
        weights = self._weights[node]  # [groups, outputs, inputs of each]
        if node.window is None:
            sums = x.double() @ weights[0].T
        else:
            windows = _windows(x, node.window, 0).double()  # [B, C, Q, taps]
            parts = windows.unflatten(1, (node.groups, -1)).transpose(2, 3).flatten(3)  # [B, groups, Q, inputs]
            sums = torch.einsum("bgqi,goi->bgoq", parts, weights).flatten(1)
        if node.pool is not None:
            sums = _windows(sums, node.pool, float("-inf")).amax(-1).flatten(1)
        if isinstance(self.numbers, Fixed) or node.kind == "sum":
            return self._held(sums.round().long())
        return sums.float()

    def _map(self, node: Map, values: dict[Node, Tensor]) -> Tensor:
        kinds = [each.kind if isinstance(each, Node) else "real" for each in node.operands]
        raw = [values[each] if isinstance(each, Node) else self._constant(each) for each in node.operands]
        if node.name == "not":
            return 1 - raw[0]
        if node.name == "and":
            return raw[0] * raw[1]
        by_constant = any(isinstance(each, Const) for each in node.operands[:2])
        if node.name == "mul" and "sum" in kinds and by_constant and isinstance(self.numbers, Fixed):
            count = kinds.index("sum")
            return raw[count].long() * self.real(raw[1 - count], _like(node.operands[1 - count]))
        a, *rest = (self.real(value, _like(each)) for value, each in zip(raw, node.operands, strict=True))
        if node.name in ("gt", "ge"):
            return (a > rest[0] if node.name == "gt" else a >= rest[0]).float()
        if node.name == "select":
            return torch.where(raw[0] != 0, rest[0], rest[1])
        if node.name in ("real", "neg"):
            return a if node.name == "real" else -a
        if node.name in ("max", "min"):
            return torch.maximum(a, rest[0]) if node.name == "max" else torch.minimum(a, rest[0])
        if node.name in ("add", "sub"):
            return self._held(a + rest[0] if node.name == "add" else a - rest[0])
        if isinstance(self.numbers, Floats):
            if node.name == "fma":
                return torch.addcmul(rest[1], a, rest[0])
            return a * rest[0] if node.name == "mul" else a / rest[0]
        if node.name == "div":
            return self._held(torch.div(a << self.numbers.point, rest[0], rounding_mode="trunc"))
        exact = node.name == "fma" and "sum" in kinds[:2] and by_constant
        if exact:
            count = kinds.index("sum")
            product = raw[count].long() * (rest[0] if count == 0 else a)
        else:
            product = self._product(a, rest[0])
        return product if node.name == "mul" else self._held(product + rest[1])

    def _product(self, a: Tensor, b: Tensor) -> Tensor:
        assert isinstance(self.numbers, Fixed)
        product, half = a * b, 1 << (self.numbers.point - 1)
        rounded = torch.where(
            product < 0, -((half - product) >> self.numbers.point), (product + half) >> self.numbers.point
        )
        return self._held(rounded)

    def _constant(self, constant: Const) -> Tensor:
        values = constant.values
        return self._constant_of(values[self.member] if values.dim() == 2 else values)

    def _constant_of(self, values: Tensor) -> Tensor:
        if isinstance(self.numbers, Floats):
            return values
        return (values.double() * 2**self.numbers.point).round().long().clamp(-_MOST, _MOST)


def _like(operand: Any) -> Node:
    return operand if isinstance(operand, Node) else Node(1, "real")


def _matrix(node: Weighted, member: int) -> Tensor:
    """Return the weights [groups, outputs, inputs of each] as ±1."""
    positive = node.positive[member]
    signs = torch.where(positive, 1.0, -1.0).double()
    return signs.unflatten(0, (node.groups, -1)).flatten(2)


def _windows(x: Tensor, window: Window, fill: float) -> Tensor:
    """Return what every output position sees, [B, C, positions, taps], of x [B, C · positions]."""
    size = torch.Size(window.before).numel()
    taps = window.geometry.taps(window.before).long()
    channels = x.unflatten(1, (-1, size))
    nothing = torch.full((*channels.shape[:2], 1), -(2**31) if x.dtype == torch.int64 and fill else fill, dtype=x.dtype)
    return torch.cat([channels, nothing], 2)[:, :, torch.where(taps < 0, size, taps)]
