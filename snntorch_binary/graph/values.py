"""The folded form: operations that happen once or at every step, and the values that pass between them.

A value is what stands in an argument: a number, :class:`~snntorch_binary.graph.events.Given`, ``Kept``, ``Constant``,
or one of the classes here. Some are sequences: another tensor at every step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from snntorch_binary.graph.events import Constant, Event, Given, Kept
from snntorch_binary.graph.tree import leaves


@dataclass(eq=False, repr=False)
class Node:
    """An operation or a call of a module.

    Attributes:
        events: what it was in the recording, one event for each step; one event if it happens once.
        steps: how many steps; ``None`` if it happens once.
        args, kwargs: trees of values. Of neurons that hand on their state the first arguments only hold the input.
        initial: of neurons, the values of their states before the first step, by place among the arguments.
        carry: of neurons, where in what they return the states are that come in at the next step.
        chained: whether each step goes on from the state that the same module had after the step before.
    """

    events: list[Event]
    steps: int | None = None
    args: Any = ()
    kwargs: Any = field(default_factory=dict)
    initial: dict[int | str, Any] = field(default_factory=dict)
    carry: dict[int | str, tuple[Any, ...]] = field(default_factory=dict)
    chained: bool = False

    @property
    def first(self) -> Event:
        """What it was at the first step."""
        return self.events[0]

    def __repr__(self) -> str:
        return f"<{self.first.name} x {self.steps or 1}>"

    def values(self) -> Iterator[Any]:
        """Yield what it takes."""
        yield from leaves((self.args, self.kwargs))
        for tree in self.initial.values():
            yield from leaves(tree)


class Value:
    """What another operation takes."""

    sequence: ClassVar[bool] = False
    """Whether it is another tensor at every step."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape at one step; by default that of what it is made of."""
        return self.parts()[0].shape

    def parts(self) -> list[Any]:
        """Return the values that it is made of."""
        return [part for part in vars(self).values() if isinstance(part, (Value, Given, Kept, Constant))]


@dataclass(frozen=True)
class Of(Value):
    """A tensor that a node gives: once, or at every step."""

    node: Node
    path: tuple[Any, ...]

    @property
    def shape(self) -> tuple[int, ...]:  # noqa: D102  # the class says it
        return self.node.events[-1].shapes[self.path]


@dataclass(frozen=True)
class Each(Value):
    """One part of a tensor at every step: ``base[index]``, with the dimension of time at ``position`` put first."""

    sequence = True
    base: Any
    index: Any = field(hash=False)
    position: int
    reverse: bool
    own_shape: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:  # noqa: D102  # the class says it
        return self.own_shape


@dataclass(frozen=True)
class Counted(Value):
    """A number that counts the steps: ``start`` at the first, and one more at each."""

    sequence = True
    start: int
    steps: int

    @property
    def shape(self) -> tuple[int, ...]:  # noqa: D102  # the class says it
        return ()


@dataclass(frozen=True)
class Part(Value):
    """Some steps of a sequence, one after the other."""

    sequence = True
    value: Any
    start: int
    steps: int


@dataclass(frozen=True)
class Earlier(Value):
    """A sequence as it was one step before; ``initial`` at the first step."""

    sequence = True
    value: Any
    initial: Any
    steps: int


@dataclass(frozen=True)
class Backward(Value):
    """A sequence from its last step to its first."""

    sequence = True
    value: Any


@dataclass(frozen=True)
class At(Value):
    """A sequence at one step."""

    value: Any
    step: int


@dataclass(frozen=True)
class Joined(Value):
    """A sequence as one tensor: steps along a new dimension ``dim``, or one after the other along it (``merged``)."""

    value: Any
    dim: int
    merged: bool
    own_shape: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:  # noqa: D102  # the class says it
        return self.own_shape


@dataclass(frozen=True)
class Listed(Value):
    """A sequence as a list of its steps."""

    value: Any


def is_sequence(value: Any) -> bool:
    """Say whether a value is another tensor at every step."""
    if isinstance(value, Of):
        return value.node.steps is not None
    return isinstance(value, Value) and value.sequence


def nodes_of(value: Any) -> Iterator[Node]:
    """Yield the nodes that a value is made of."""
    if isinstance(value, Of):
        yield value.node
    elif isinstance(value, Value):
        for inner in value.parts():
            yield from nodes_of(inner)


def at(value: Any, step: int) -> At:
    """Return a sequence at one step."""
    return At(value.value, value.start + step) if isinstance(value, Part) else At(value, step)


def part(value: Any, start: int, steps: int) -> Part:
    """Return some steps of a sequence."""
    return Part(value.value, value.start + start, steps) if isinstance(value, Part) else Part(value, start, steps)
