"""Numbers in a graph that are sizes of the input: seen by how they change where the input has other sizes."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx

from snntorch_binary.graph.errors import NotAGraphError, Place

CHANGES = "what it does depends on the size of its input, on which step it is, or on training mode"


@dataclass(frozen=True)
class Setting:
    """How a network was run when it was recorded.

    Attributes:
        sizes: the first two dimensions of its first tensor.
        training: whether it was in training mode.
    """

    sizes: tuple[int, ...]
    training: bool


@dataclass
class Constants:
    """The numbers of a graph, in the order in which it is written.

    Attributes:
        seen: them, in one recording.
        places: where in the user's program each is from.
        formulas: what stands for each; ``None`` to take them as they are.
        place: where what is now written is from.
    """

    seen: list[Any] = field(default_factory=list)
    places: list[Place | None] = field(default_factory=list)
    place: Place | None = None
    formulas: list[Any] | None = None
    _graph: fx.Graph | None = None
    _x: fx.Node | None = None
    _made: dict[Any, fx.Node] = field(default_factory=dict)

    def begin(self, graph: fx.Graph, inputs: Sequence[fx.Node]) -> None:
        """Take note of the graph that is written."""
        self._graph, self._x = graph, inputs[0] if inputs else None

    def next(self, value: Any) -> Any:
        """Return what stands for a number in the graph."""
        self.seen.append(value)
        self.places.append(self.place)
        if self.formulas is None:
            return value
        if len(self.seen) > len(self.formulas):
            raise NotAGraphError(CHANGES, self.place)
        formula = self.formulas[len(self.seen) - 1]
        return formula.write(self) if isinstance(formula, Formula) else formula

    def check(self, setting: Setting) -> None:
        """Refuse numbers that are others than the formulas say in a setting.

        Raises:
            NotAGraphError: one is.
        """
        for number, formula, place in zip(self.seen, self.formulas or self.seen, self.places, strict=True):
            if isinstance(formula, Formula) and formula.what == "device":
                continue
            wanted = formula.of(setting) if isinstance(formula, Formula) else formula
            if number is not wanted and number != wanted and number == number:
                shown = f"{str(wanted)[:20]}, {str(number)[:20]}"
                raise NotAGraphError(f"a number is another one in some calls ({shown})", place)

    def made(self, key: Any, *how: Any) -> fx.Node:
        """Return a node of the graph that computes something from the sizes of the input."""
        assert self._graph is not None
        if key not in self._made:
            kind, *rest = how
            # Before everything else, so that it can be used anywhere.
            self._made[key] = getattr(self._graph, kind)(*rest)
        return self._made[key]

    @property
    def x(self) -> fx.Node:
        """The first input."""
        assert self._x is not None
        return self._x


@dataclass(frozen=True)
class Formula:
    """``factor`` times the sizes of some of the input's dimensions, plus ``offset``; or the training mode.

    Attributes:
        dims: dimensions of the first input.
    """

    dims: tuple[int, ...] = ()
    factor: int = 1
    offset: int = 0
    what: str = "size"

    def of(self, setting: Setting) -> Any:
        """Return the number in a setting."""
        if self.what == "training":
            return setting.training
        total = self.factor
        for dim in self.dims:
            total *= setting.sizes[dim]
        return total + self.offset

    def write(self, constants: Constants) -> fx.Node:
        """Write it into a graph."""
        if self.what == "training":
            return constants.made("training", "get_attr", "training")
        if self.what == "device":
            return constants.made("device", "call_function", getattr, (constants.x, "device"))
        total: fx.Node | None = None
        for dim in self.dims:
            size = constants.made(dim, "call_method", "size", (constants.x, dim))
            total = size if total is None else constants.made(self.dims, "call_function", operator.mul, (total, size))
        assert total is not None
        if self.factor != 1:
            total = constants.made((self.dims, self.factor), "call_function", operator.mul, (total, self.factor))
        if self.offset:
            total = constants.made(
                (self.dims, self.factor, self.offset), "call_function", operator.add, (total, self.offset)
            )
        return total


def formulas_of(found: Sequence[Constants], settings: Sequence[Setting], device: torch.device | None) -> list[Any]:
    """Return what stands for each number: itself where it is the same in all recordings, or a formula.

    Args:
        found: the numbers of each recording.
        settings: of each recording.
        device: that of the input.

    Raises:
        NotAGraphError: a number changes and is no such formula.
    """
    rows = zip(*(each.seen for each in found), strict=True)
    return [_formula(row, settings, device, place) for row, place in zip(rows, found[0].places, strict=True)]


def _formula(
    numbers: tuple[Any, ...], settings: Sequence[Setting], device: torch.device | None, place: Place | None
) -> Any:
    first = numbers[0]
    if device is not None and (first == device or first == str(device)):
        return Formula(what="device")
    if all(type(number) is type(first) and number == first for number in numbers):
        return first
    if all(type(number) is bool for number in numbers):
        candidates = [Formula(what="training")]
    elif all(type(number) is int for number in numbers):
        candidates = list(_sizes(first, settings[0]))
    else:
        candidates = []
    for formula in candidates:
        if all(formula.of(setting) == number for number, setting in zip(numbers, settings, strict=True)):
            return formula
    shown = ", ".join(dict.fromkeys(str(number)[:20] for number in numbers))
    raise NotAGraphError(f"a number changes from call to call and is no size of the input ({shown})", place)


def _sizes(number: int, setting: Setting) -> list[Formula]:
    found = []
    for dims in ((0,), (1,), (0, 1)):
        if max(dims) < len(setting.sizes):
            product = Formula(dims).of(setting)
            if product and number % product == 0:
                found.append(Formula(dims, number // product))
            found.append(Formula(dims, 1, number - product))
            found.append(Formula(dims, -1, number + product))
    return found
