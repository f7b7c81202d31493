"""Neurons over time: which calls of a module go on from the state that another call of it left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from snntorch_binary.graph.events import Event, Recording, Result
from snntorch_binary.graph.tree import named_leaves
from snntorch_binary.nn.neurons.known import passes_state, takes_one_step, to_rest


@dataclass(eq=False)
class Chain:
    """Calls of one module, each of which goes on from the one before.

    Attributes:
        events: the calls.
        carry: where in what a call returns the states are that the next takes, by place among its arguments. Empty
            where the module keeps its state itself.
    """

    events: list[Event]
    carry: dict[int | str, tuple[Any, ...]] = field(default_factory=dict)

    def without_states(self, event: Event) -> tuple[Any, Any]:
        """Return what an event takes beside states."""
        args = tuple(arg for place, arg in enumerate(event.args) if place not in self.carry)
        return args, {name: arg for name, arg in event.kwargs.items() if name not in self.carry}

    def states(self, event: Event) -> dict[int | str, Any]:
        """Return the states that an event takes; ``None`` where it takes none."""
        return {place: arg for place, arg in _placed(event).items() if place in self.carry}


def chains_of(recording: Recording) -> dict[int, Chain]:
    """Return the chain of every event that belongs to one."""
    found: dict[int, Chain] = {}
    for event in recording.events:
        if event.module is None or not (event.states or _is_neuron(event.module)):
            continue
        before, carry = _explicit(event, recording.events)
        if before is None:
            carry = {}
            explicit = any(_tensors(arg) for place, arg in _placed(event).items() if place != 0)
            before = event.before if event.before >= 0 and not explicit else None
        chain = None if before is None else found.get(before)
        if chain is not None and chain.events[-1].index == before and chain.carry in ({}, carry):
            if not chain.carry and carry and len(chain.events) > 1:
                chain = None
            else:
                chain.events.append(event)
                chain.carry = carry
        else:
            chain = None
        found[event.index] = chain or Chain([event])
    return {index: chain for index, chain in found.items() if len(chain.events) > 1 or _is_alone(chain.events[0])}


def _is_alone(event: Event) -> bool:
    """Say whether a single call is one time step of neurons."""
    return (
        event.module is not None
        and _is_neuron(event.module)
        and not any(_tensors(arg) for place, arg in _placed(event).items() if place != 0)
    )


def _is_neuron(module: nn.Module) -> bool:
    """Say whether a module keeps or hands on a state from one time step to the next; SpikingJelly's layers do not."""
    return bool(takes_one_step(module)) and (to_rest(module) is not None or passes_state(module))


def _placed(event: Event) -> dict[int | str, Any]:
    placed: dict[int | str, Any] = dict(enumerate(event.args))
    return placed | event.kwargs


def _tensors(tree: Any) -> list[tuple[tuple[Any, ...], Result]]:
    return [(path, leaf) for path, leaf in named_leaves(tree) if isinstance(leaf, Result)]


def _explicit(event: Event, events: list[Event]) -> tuple[int | None, dict[int | str, tuple[Any, ...]]]:
    """Return the event of the same module whose states an event takes as arguments, and where they are in it."""
    before, carry = None, {}
    for place, arg in _placed(event).items():
        if place == 0:
            continue
        tensors = _tensors(arg)
        if not tensors or any(events[leaf.event].module is not event.module for _, leaf in tensors):
            continue
        sources = {leaf.event for _, leaf in tensors}
        prefixes = {leaf.path[: len(leaf.path) - len(path)] for path, leaf in tensors}
        same = all(leaf.path[len(leaf.path) - len(path) :] == path for path, leaf in tensors)
        if len(sources) == 1 and len(prefixes) == 1 and same and (before is None or sources == {before}):
            before = sources.pop()
            carry[place] = prefixes.pop()
    return before, carry


def longest(recording: Recording) -> int:
    """Return how many time steps neurons went through."""
    return max((len(chain.events) for chain in chains_of(recording).values()), default=0)
