"""The folded form: operations that happen once or at every step, and the values that pass between them.

A value is what stands in an argument: a number, :class:`~snntorch_binary.graph.events.Given`, ``Kept``, ``Constant``,
or one of the classes here. Some are sequences: another tensor at every step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from snntorch_binary.graph.events import Event
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
        return self.events[0]

    def __repr__(self) -> str:
        return f"<{self.first.name} x {self.steps or 1}>"

    def values(self) -> Iterator[Any]:
        """Yield what it takes."""
        yield from leaves((self.args, self.kwargs))
        for tree in self.initial.values():
            yield from leaves(tree)


class Value:
    """What another operation takes; ``shape`` is that of one step, ``inner`` what it is made of."""

    shape: tuple[int, ...]

    @property
    def is_sequence(self) -> bool:
        return False

    @property
    def inner(self) -> tuple[Any, ...]:
        return ()


@dataclass(frozen=True)
class Of(Value):
    """A tensor that a node gives: once, or at every step."""

    node: Node
    path: tuple[Any, ...]

    @property
    def is_sequence(self) -> bool:
        return self.node.steps is not None

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.node.events[-1].shapes[self.path]


@dataclass(frozen=True)
class Each(Value):
    """One part of a tensor at every step: ``base[index]``, with the dimension of time at ``position`` put first."""

    base: Any
    index: Any = field(hash=False)
    position: int
    reverse: bool
    shape: tuple[int, ...]

    @property
    def is_sequence(self) -> bool:
        return True

    @property
    def inner(self) -> tuple[Any, ...]:
        return (self.base,)


@dataclass(frozen=True)
class Part(Value):
    """Some steps of a sequence, one after the other."""

    value: Any
    start: int
    steps: int

    @property
    def is_sequence(self) -> bool:
        return True

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.value.shape

    @property
    def inner(self) -> tuple[Any, ...]:
        return (self.value,)


@dataclass(frozen=True)
class Earlier(Value):
    """A sequence as it was one step before; ``initial`` at the first step."""

    value: Any
    initial: Any
    steps: int

    @property
    def is_sequence(self) -> bool:
        return True

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.value.shape

    @property
    def inner(self) -> tuple[Any, ...]:
        return (self.value, self.initial)


@dataclass(frozen=True)
class Backward(Value):
    """A sequence from its last step to its first."""

    value: Any

    @property
    def is_sequence(self) -> bool:
        return True

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.value.shape

    @property
    def inner(self) -> tuple[Any, ...]:
        return (self.value,)


@dataclass(frozen=True)
class At(Value):
    """A sequence at one step."""

    value: Any
    step: int

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.value.shape

    @property
    def inner(self) -> tuple[Any, ...]:
        return (self.value,)


@dataclass(frozen=True)
class Joined(Value):
    """A sequence as one tensor: steps along a new dimension ``dim``, or one after the other along it (``merged``)."""

    value: Any
    dim: int
    merged: bool
    shape: tuple[int, ...]

    @property
    def inner(self) -> tuple[Any, ...]:
        return (self.value,)


@dataclass(frozen=True)
class Listed(Value):
    """A sequence as a list of its steps."""

    value: Any

    @property
    def inner(self) -> tuple[Any, ...]:
        return (self.value,)


def is_sequence(value: Any) -> bool:
    """Say whether a value is another tensor at every step."""
    return isinstance(value, Value) and value.is_sequence


def nodes_of(value: Any) -> Iterator[Node]:
    """Yield the nodes that a value is made of."""
    if isinstance(value, Of):
        yield value.node
    elif isinstance(value, Value):
        for part in value.inner:
            yield from nodes_of(part)


def at(value: Any, step: int) -> At:
    """Return a sequence at one step."""
    return At(value.value, value.start + step) if isinstance(value, Part) else At(value, step)


def part(value: Any, start: int, steps: int) -> Part:
    """Return some steps of a sequence."""
    return Part(value.value, value.start + start, steps) if isinstance(value, Part) else Part(value, start, steps)
