"""Entries of a tensor, one for each step: ``x[t]``, ``x[:, t]``, ``for x_t in x``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from snntorch_binary.graph.events import Event, Result
from snntorch_binary.graph.tree import form, leaves
from snntorch_binary.graph.values import Each, is_sequence


def entries(row: Sequence[Any], events: Sequence[Event], once: Callable[[Any], Any]) -> Each | None:
    """Return the sequence that a row of tensors is if they are entries of one tensor, in order; else ``None``.

    Args:
        row: a tensor for each step.
        events: of the recording.
        once: what gives the value of a single tensor.
    """
    if not all(isinstance(raw, Result) for raw in row):
        return None
    first = events[row[0].event]
    if first.name == "unbind" and all(raw.event == first.index for raw in row):
        steps = [raw.path[0] for raw in row]
        dim = first.args[1] if len(first.args) > 1 else first.kwargs.get("dim", 0)
        return _each(first, steps, dim, once)
    taken = [events[raw.event] for raw in row]
    if any(event.name != first.name or event.args[:1] != first.args[:1] for event in taken):
        return None
    if first.name == "select" and all(event.args[1] == first.args[1] for event in taken if len(event.args) == 3):
        if any(len(event.args) != 3 for event in taken):
            return None
        return _each(first, [event.args[2] for event in taken], first.args[1], once)
    if first.name != "__getitem__":
        return None
    index = [event.args[1] if isinstance(event.args[1], tuple) else (event.args[1],) for event in taken]
    if any(form(other) != form(index[0]) for other in index):
        return None
    moving = [place for place, item in enumerate(index[0]) if any(other[place] != item for other in index)]
    if len(moving) != 1 or any(isinstance(leaf, Result) for leaf in leaves(index[0])):
        return None
    (at,) = moving
    if any(type(other[at]) is not int for other in index):
        return None
    return _indexed(first, list(index[0]), at, [other[at] for other in index], once)


def _each(event: Event, steps: list[int], dim: int, once: Callable[[Any], Any]) -> Each | None:
    base = once(event.args[0])
    around: list[Any] = [slice(None)] * dim if dim >= 0 else [...]
    behind: list[Any] = [] if dim >= 0 else [slice(None)] * (-dim - 1)
    return _of(event, base, [*around, None, *behind], len(around), dim, steps)


def _indexed(event: Event, index: list[Any], at: int, steps: list[int], once: Callable[[Any], Any]) -> Each | None:
    before, behind = index[:at], index[at + 1 :]
    if any(item is ... for item in before):
        position = -1 - sum(type(item) is not int for item in behind)
    else:
        position = sum(type(item) is not int for item in before)
    return _of(event, once(event.args[0]), index, at, position, steps)


def _of(event: Event, base: Any, index: list[Any], at: int, position: int, steps: list[int]) -> Each | None:
    strides = {after - before for before, after in pairwise(steps)}
    if is_sequence(base) or strides not in ({1}, {-1}) or min(steps) < 0:
        return None
    index[at] = slice(min(steps), max(steps) + 1)
    shape = next(iter(event.shapes.values()))
    return Each(base, tuple(index), position, strides == {-1}, shape)


def written(event: Event, events: Sequence[Event]) -> tuple[tuple[Any, ...], int] | None:
    """Return what was written into a tensor at all entries of one dimension, and that dimension; else ``None``.

    Args:
        event: the last time that something was written into it.
        events: of the recording.
    """
    values: list[Any] = []
    steps: list[int] = []
    dims = set()
    source: Any = Result(event.index, ())
    while isinstance(source, Result) and events[source.event].name == "with_item":
        source, index, value = events[source.event].args
        index = index if isinstance(index, tuple) else (index,)
        numbers = [place for place, item in enumerate(index) if type(item) is int]
        if len(numbers) != 1 or any(item != slice(None) for place, item in enumerate(index) if place != numbers[0]):
            return None
        dims.add(numbers[0])
        steps.append(index[numbers[0]])
        values.append(value)
    if len(dims) != 1 or steps[::-1] != list(range(event.shapes[()][dims.copy().pop()])):
        return None
    return tuple(values[::-1]), dims.pop()


def appended(event: Event, events: Sequence[Event], dim: int) -> tuple[Any, ...]:
    """Return what is joined by an event, in a loop by one event for each: ``rec = torch.cat([rec, x])``."""
    items = list(event.args[0])
    while event.name == "cat" and len(items) > 1 and isinstance(items[0], Result):
        before = events[items[0].event]
        if before.key == event.key:
            items[:1] = before.args[0]
            continue
        empty = before.shapes.get(items[0].path, (1,))
        if 0 in empty and empty[dim] == 0:
            del items[0]
        break
    return tuple(items)
