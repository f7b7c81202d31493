"""What repeats: events of the same line and the same operation, one for each step or several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from snntorch_binary.graph.errors import NotAGraphError
from snntorch_binary.graph.events import Event, Result
from snntorch_binary.graph.states import Chain


class Repetitions:
    """Which events of a recording are the same operation at other steps.

    Args:
        events: of the recording.
        chains: of neurons, by event.
    """

    def __init__(self, events: Sequence[Event], chains: Mapping[int, Chain]) -> None:
        self._events, self._chains = events, chains
        self._places: dict[Any, list[int]] = defaultdict(list)
        for event in events:
            self._places[event.key].append(event.index)

    def alike(self, row: Sequence[Result]) -> bool:
        """Say whether tensors come out of the same operation, at steps one after the other."""
        if len({raw.path for raw in row}) > 1:
            return False
        chains = [self._chains.get(raw.event) for raw in row]
        if any(chain is not None for chain in chains):
            if any(chain is not chains[0] for chain in chains) or chains[0] is None:
                return False
            steps = [chains[0].events.index(self._events[raw.event]) for raw in row]
            return steps == list(range(steps[0], steps[0] + len(steps)))
        events = [self._events[raw.event] for raw in row]
        if len({event.key for event in events}) == 1:
            return self._stride(events) is not None
        kinds = {(type(event.module), event.key[1]) for event in events}  # a layer of its own for each step
        return len(kinds) == 1 and all(event.module is not None for event in events)

    def _stride(self, events: Sequence[Event]) -> int | None:
        """Return how many repetitions lie between two steps, or ``None`` if these differ."""
        places = self._places[events[0].key]
        at = [places.index(event.index) for event in events]
        strides = {after - before for before, after in pairwise(at)}
        return strides.pop() if len(strides) == 1 and min(strides) > 0 else None

    def following(self, row: Sequence[Result]) -> int | None:
        """Return the event that is the same operation one step later than the last of a row."""
        places = self._places[self._events[row[0].event].key]
        if row[-1].event not in places:  # a layer of its own for each step
            return None
        last = places.index(row[-1].event)
        stride = self._stride([self._events[raw.event] for raw in row]) if len(row) > 1 else None
        stride = stride or max(len(places) // (len(row) + 1), 1)
        return places[last + stride] if last + stride < len(places) else None

    def _place(self, raw: Any) -> Any:
        return self._events[raw.event].place if isinstance(raw, Result) else None

    def widest(self, events: Sequence[int]) -> tuple[int, ...] | None:
        """Return all steps at which an operation happens that is known at some; ``None`` if that is unclear."""
        key = self._events[events[0]].key
        if len(events) < 2 or any(self._events[index].key != key for index in events):
            return None
        places = self._places[key]
        first, stride = places.index(events[0]), places.index(events[1]) - places.index(events[0])
        return tuple(places[first % stride :: stride])

    def irregular(self, row: Sequence[Any]) -> NotAGraphError:
        """Return what there is to say of tensors that do not repeat."""
        names = [self._events[raw.event].name if isinstance(raw, Result) else None for raw in row]
        for name, raw in zip(names, row, strict=True):
            if name is not None and names[0] is not None and name != names[0]:
                return NotAGraphError(f"{name} stands in a later step where {names[0]} was", self._place(raw))
        place = next((self._place(raw) for raw in reversed(row) if isinstance(raw, Result)), None)
        what = next((name for name in reversed(names) if name is not None), "a tensor")
        return NotAGraphError(f"what {what} gives is not used in the same way at every step", place)
