"""Folding a recording: the T copies of a step become one, by following each output back to where it came from.

What is asked for is a tensor (``once``), or one tensor for each step (``over``). The tensors of a list that is stacked
are the first such row; whatever gave them is the same operation at every step, and so the row of its arguments is the
next to be followed, down to the entries of the input, the parameters, and the states from one step before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from snntorch_binary.graph.errors import NotAGraphError
from snntorch_binary.graph.events import Event, Recording, Result, is_reference
from snntorch_binary.graph.indexing import appended, entries, written
from snntorch_binary.graph.over_time import takes_counts
from snntorch_binary.graph.repetitions import Repetitions
from snntorch_binary.graph.states import Chain, chains_of
from snntorch_binary.graph.tree import filled, form, leaves, mapped
from snntorch_binary.graph.values import (
    At,
    Backward,
    Counted,
    Earlier,
    Joined,
    Listed,
    Node,
    Of,
    Value,
    at,
    is_sequence,
    part,
)
from snntorch_binary.graph.whole import differs_at_every_step

_ANYTHING = object()
"""A number at the first step that is of no consequence."""


class _Repeats(Exception):
    """While an event is followed, one is met that is the same operation of an earlier step."""

    def __init__(self, earlier: Event, later: Event) -> None:
        self.earlier, self.later = earlier, later


class _Wider(Exception):
    """An operation depends on itself one step before the first one asked for."""

    def __init__(self, node: Node, events: tuple[int, ...]) -> None:
        self.node, self.events = node, events


class Fold:
    """The folded form of a recording.

    Attributes:
        output: the tree that the network returns, of values.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording, self.events = recording, list(recording.events)
        self._chains = chains_of(recording)
        self._no_time: set[Any] = set()
        self._firsts: dict[tuple[int, ...], int] = {}  # events that Python computed without torch
        self._no_rows: set[tuple[int, ...]] = set()
        self._repeated = Repetitions(self.events, self._chains)
        self._rows_seen: dict[int, tuple[int, ...]] = {}
        # Once more when it is known what repeats: what was followed as a single tensor may be one step of many.
        for _ in range(2):
            self._chain_nodes: dict[int, Node] = {}
            self._values: dict[Any, Any] = {}  # of single tensors
            self._nodes: dict[tuple[int, ...], Node] = {}  # of rows of events
            self._members: dict[int, tuple[Node, int]] = {}
            self._open_rows: dict[tuple[int, ...], Node] = {}
            self._open: list[Event] = []
            self.output = self._output(recording)
            self._rows_seen = {
                index: tuple(event.index for event in node.events) for index, (node, _) in self._members.items()
            }

    def _output(self, recording: Recording) -> Any:
        if not recording.steps:
            return self._returned(recording.output)
        rows = list(zip(*map(leaves, recording.output), strict=True))
        made = [self._stacked(row) if isinstance(row[0], Result) else row[0] for row in rows]
        return filled(recording.output[0], made)

    def _stacked(self, row: tuple[Any, ...]) -> Any:
        value = self.over(row)
        if not is_sequence(value):
            raise NotAGraphError("an output is the same at every step", self.events[row[0].event].place)
        return Joined(value, 0, False, (len(row), *value.shape))

    def _returned(self, tree: Any) -> Any:
        """Return the values of an output; a list of one tensor a step stays one."""
        if isinstance(tree, list) and len(tree) > 1 and all(isinstance(item, Result) for item in tree):
            try:
                row = self.over(tuple(tree))
            except NotAGraphError:
                row = None
            if is_sequence(row):
                return Listed(row)
        if isinstance(tree, (tuple, list)):
            parts = [self._returned(item) for item in tree]
            return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
        if isinstance(tree, dict):
            return {key: self._returned(item) for key, item in tree.items()}
        return self.once(tree)

    # ---- single tensors --------------------------------------------------------------------------------------

    def once(self, raw: Any) -> Any:
        """Return the value of a single tensor; of what is no tensor, itself."""
        if not isinstance(raw, Result):
            return 0.0 if raw is _ANYTHING else raw
        event = self.events[raw.event]
        chain = self._chains.get(event.index)
        if chain is not None:
            return at(Of(self._chained(chain), raw.path), chain.events.index(event))
        row = self._rows_seen.get(event.index)
        if row is not None and row not in self._open_rows:
            self._node(row)
        if event.index in self._members:
            node, step = self._members[event.index]
            return at(Of(node, raw.path), step) if node.steps is not None else Of(node, raw.path)
        if event.index not in self._values:
            found = self._followed(event, raw.path)
            if isinstance(found, At):
                return found
            self._values[event.index] = found
        found = self._values[event.index]
        return Of(found, raw.path) if isinstance(found, Node) else found

    def _followed(self, event: Event, path: tuple[Any, ...]) -> Any:
        """Return the node of a single event; an :class:`At` where it turns out to be one step of many."""
        for other in reversed(self._open):
            if other.key == event.key and event.key not in self._no_time:
                raise _Repeats(event, other)
        self._open.append(event)
        try:
            return (
                self._joined(event)
                or self._filled(event)
                or Node([event], None, mapped(event.args, self.once), mapped(event.kwargs, self.once))
            )
        except _Repeats as found:
            if found.later is not event:
                raise
            repeated = found
        finally:
            self._open.pop()
        try:
            row = self.over((Result(repeated.earlier.index, path), Result(event.index, path)))
        except NotAGraphError:
            row = None
        if is_sequence(row):
            return at(row, 1)
        self._no_time.add(event.key)
        return self._followed(event, path)

    def _joined(self, event: Event) -> Joined | None:
        """Return a list of one tensor for each step that is stacked or concatenated, as a sequence."""
        if (
            event.name not in ("stack", "cat", "vstack")
            or not event.args
            or not isinstance(event.args[0], (list, tuple))
        ):
            return None
        dim = event.args[1] if len(event.args) > 1 else event.kwargs.get("dim", event.kwargs.get("axis", 0))
        items = appended(event, self.events, dim)
        if len(items) < 2:
            return None
        try:
            row = self.over(items)
        except NotAGraphError:
            return None
        if not is_sequence(row) or (event.name == "vstack" and len(row.shape) < 2):
            return None
        return Joined(row, dim, event.name != "stack", event.shapes[()])

    def _filled(self, event: Event) -> Joined | None:
        """Return a tensor into which something was written at every step, as a sequence."""
        found = written(event, self.events)
        if found is None:
            return None
        try:
            row = self.over(found[0])
        except NotAGraphError:
            return None
        return Joined(row, found[1], False, event.shapes[()]) if is_sequence(row) else None

    # ---- one tensor for each step ----------------------------------------------------------------------------

    def over(self, row: tuple[Any, ...]) -> Any:
        """Return the value of one tensor for each step: a sequence, or a value that is the same at all of them."""
        if all(_equal(raw, row[0]) for raw in row):
            return self.once(row[0])
        found = entries(row, self.events, self.once)
        if found is not None:
            return found
        if all(isinstance(raw, Result) for raw in row):
            if self._repeated.alike(row):
                return self._of_row(row)
            if self._chains.get(row[0].event) is not None and self._repeated.alike(row[::-1]):
                return Backward(self._of_row(row[::-1]))
        earlier = self._earlier(row)
        if earlier is not None:
            return earlier
        raise self._repeated.irregular(row)

    def _of_row(self, row: Sequence[Result]) -> Value:
        chain = self._chains.get(row[0].event)
        if chain is not None:
            value = Of(self._chained(chain), row[0].path)
            start = chain.events.index(self.events[row[0].event])
            return value if len(row) == len(chain.events) else part(value, start, len(row))
        events = tuple(raw.event for raw in row)
        node = self._widest(events) or self._node(events)
        value = Of(node, row[0].path)
        wanted = [event.index for event in node.events]
        if node.steps is None or len(wanted) == len(row):
            return value
        return part(value, wanted.index(events[0]), len(row))

    def _widest(self, events: tuple[int, ...]) -> Node | None:
        """Return the node of an operation at all steps, where only some are asked for."""
        wide = self._repeated.widest(events)
        if wide is None or wide == events or self._open_rows or wide in self._no_rows:
            return None
        try:
            return self._node(wide)
        except NotAGraphError:
            self._no_rows.add(wide)
            return None

    def _node(self, events: tuple[int, ...]) -> Node:
        """Return the node of the same operation at several steps."""
        if events in self._nodes:
            return self._nodes[events]
        if events in self._open_rows:
            return self._open_rows[events]
        for others, node in self._open_rows.items():
            if set(others) & set(events):
                raise _Wider(node, tuple(sorted({*others, *events})))
        node = Node([self.events[index] for index in events], len(events))
        if any(event.shapes != node.events[-1].shapes for event in node.events[1:]):  # the first may take empty states
            raise NotAGraphError(f"what {node.first.name} gives has another shape at every step", node.first.place)
        self._open_rows[events] = node
        wide: tuple[int, ...] | None = None
        try:
            with self._forgotten_where_it_fails():
                node.args, node.kwargs = self._arguments(node.events)
        except _Wider as wider:
            if wider.node is not node:
                raise
            wide = wider.events
            if wide == events:
                raise self._repeated.irregular(tuple(Result(index, ()) for index in events)) from None
        finally:
            del self._open_rows[events]
        if wide is not None:
            self._nodes[events] = self._node(wide)
            return self._nodes[events]
        if not any(map(is_sequence, node.values())):
            of_its_own = len({event.name for event in node.events}) > 1  # a layer for each step
            if of_its_own and any(event.module is None for event in node.events):
                raise self._repeated.irregular(tuple(Result(index, ()) for index in events))
            if not of_its_own and not differs_at_every_step(node.first):
                node.steps = None
        self._nodes[events] = node
        for step, event in enumerate(node.events):
            self._members.setdefault(event.index, (node, step))
        return node

    @contextmanager
    def _forgotten_where_it_fails(self) -> Iterator[None]:
        """Forget what was found meanwhile where something raises: it may be made of what is then given up."""
        known: list[dict[Any, Any]] = [self._nodes, self._members, self._values, self._chain_nodes]
        sizes = list(map(len, known))
        try:
            yield
        except BaseException:
            for found, size in zip(known, sizes, strict=True):
                for key in list(found)[size:]:
                    del found[key]
            raise

    def _arguments(self, events: Sequence[Event]) -> tuple[Any, Any]:
        """Return what the same operation takes at every step, as values."""
        return self._rows(events, [(event.args, event.kwargs) for event in events])

    def _rows(self, events: Sequence[Event], trees: list[Any]) -> Any:
        for event, tree in zip(events, trees, strict=True):
            if event.no_grad != events[0].no_grad:
                raise NotAGraphError("gradients are switched off at some steps only", event.place)
            if form(tree) != form(trees[0]):
                raise NotAGraphError(f"{event.name} has other arguments in a later step", event.place)
        made = []
        for row in zip(*map(leaves, trees), strict=True):
            plain = [raw for raw in row if not is_reference(raw)]
            if len(plain) == len(row) and not all(_equal(raw, row[0]) for raw in row):
                if _counts(row) and takes_counts(events[0]):
                    made.append(Counted(row[0], len(row)))
                    continue
                shown = " and ".join(map(repr, dict.fromkeys(map(str, row))))[:60]
                raise NotAGraphError(f"{events[0].name} takes another number at every step ({shown})", events[0].place)
            made.append(self.over(row))
        return filled(trees[0], made)

    def _earlier(self, row: tuple[Any, ...]) -> Value | None:
        """Return a row that holds the tensors of one step before, if it is one."""
        rest = row[1:]
        if not rest or not all(isinstance(raw, Result) for raw in rest):
            return None
        if len(rest) > 1 and not self._repeated.alike(rest):
            return None
        chain = self._chains.get(rest[0].event)
        if chain is not None:
            if self.events[rest[0].event] is not chain.events[0]:
                return None
            value: Value = Of(self._chained(chain), rest[0].path)
            return Earlier(value, self.once(row[0]), len(row))
        following = self._repeated.following(rest)
        if following is None and (row[0] is _ANYTHING or type(row[0]) in (int, float)):
            return self._with_first(rest)
        full = rest if following is None else (*rest, Result(following, rest[0].path))
        value = self._of_row(full) if len(full) > 1 else self.once(full[0])
        return Earlier(value, self.once(row[0]), len(row)) if is_sequence(value) else None

    def _with_first(self, rest: Sequence[Result]) -> Value | None:
        """Return a row of operations on numbers at the first step, where Python computed them: 0.9 * 0 + x.

        What they were computed of is taken to be 0; the proof tells if it was not.
        """
        first, second = (self.events[raw.event] for raw in (rest[0], rest[min(1, len(rest) - 1)]))
        if first.name not in ("add", "sub", "mul", "div", "rsub", "neg", "__rsub__") or len(rest) < 2:
            return None
        moving = [
            _ANYTHING if is_reference(one) and one != other else one
            for one, other in zip(leaves(first.args), leaves(second.args), strict=False)
        ]
        key = tuple(raw.event for raw in rest)
        if key not in self._firsts:
            args = filled(first.args, moving)
            self._firsts[key] = len(self.events)
            self.events.append(replace(first, index=len(self.events), args=args))
        return Of(self._node((self._firsts[key], *key)), rest[0].path)

    # ---- neurons ---------------------------------------------------------------------------------------------

    def _chained(self, chain: Chain) -> Node:
        """Return the node of neurons that go on from their own state at every step."""
        first = chain.events[0]
        if first.index in self._chain_nodes:
            return self._chain_nodes[first.index]
        node = Node(chain.events, len(chain.events), carry=chain.carry, chained=True)
        with self._forgotten_where_it_fails():
            self._chain_nodes[first.index] = node
            node.args, node.kwargs = self._rows(chain.events, [chain.without_states(event) for event in chain.events])
            node.initial = mapped(chain.states(first), self.once)
        return node


def _counts(row: tuple[Any, ...]) -> bool:
    return all(type(number) is int and number == row[0] + step for step, number in enumerate(row))


def _equal(one: Any, other: Any) -> bool:
    return one is other or (type(one) is type(other) and bool(one == other))
