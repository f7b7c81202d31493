"""From a network and a sample to its graph over time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from snntorch_binary.convert.copies import copy_model
from snntorch_binary.graph.constants import CHANGES, Constants, Setting, formulas_of
from snntorch_binary.graph.errors import NotAGraphError, Place
from snntorch_binary.graph.events import Recording
from snntorch_binary.graph.fold import Fold
from snntorch_binary.graph.network import GraphNetwork, same_device
from snntorch_binary.graph.runs import loops, recorded, recordings_of
from snntorch_binary.graph.samples import sizes_of
from snntorch_binary.graph.tree import leaves
from snntorch_binary.graph.whole import is_whole
from snntorch_binary.graph.writer import Writer

_MANY = 20_000


@dataclass
class Built:
    """A graph over time, and what it was made of.

    Attributes:
        graph: the network as a graph over time.
        twin: a copy of the network, which is recorded.
        args: the sample.
        step: whether the network takes one time step a call.
        sizes: of the first dimensions in each recording.
        formulas: what stands for each number in the graph.
        first: a recording in evaluation mode, with gradients.
        whole: says which modules are one thing in the graph.
        learns: whether it has gradients.
    """

    graph: GraphNetwork
    twin: nn.Module
    args: tuple[Any, ...]
    step: bool
    sizes: list[tuple[int, ...]]
    formulas: list[Any]
    first: Recording
    whole: Callable[[nn.Module], bool]
    learns: bool

    def recorded(self, twin: nn.Module, args: Any, training: bool) -> Recording:
        """Record a copy of the network once more."""
        return recorded(twin, args, self.step, training, whole=self.whole, learns=self.learns)

    def of(self, recording: Recording, args: Any, training: bool) -> GraphNetwork:
        """Return the graph that another recording gives.

        Raises:
            NotAGraphError: it is another graph.
        """
        constants = Constants(formulas=self.formulas)
        with _deep_calls():
            writer = Writer(Fold(recording), constants, self.learns)
        constants.check(Setting(sizes_of(args), training))
        found = GraphNetwork(recording.network, writer.graph, writer.parts, writer.tensors, (args, {}))
        if found.code() != self.graph.code():
            raise NotAGraphError(CHANGES)
        return found


def build(
    network: nn.Module,
    args: tuple[Any, ...],
    step: bool | Callable[[], bool],
    whole: Callable[[nn.Module], bool] = is_whole,
    learns: bool = True,
    at_length: bool = False,
) -> Built:
    """Return a network as a graph over time.

    Args:
        network: the network, which stays as it is: a copy is recorded.
        args: a sample of its arguments.
        step: whether it takes one time step a call; then its one argument is a sequence. Or what is asked for it where
            its neurons do not tell by going through several steps in a call.
        whole: says which modules are one thing in the graph.
        learns: whether the graph has to have the network's gradients, too.
        at_length: whether to record as many time steps as the sample has, in place of a few.

    Raises:
        NotAGraphError: it does not fold; the message says why and names the line.
    """
    twin = copy_model(network)
    if callable(step):
        step = not loops(twin, args) and step()
    recordings, settings = recordings_of(twin, args, step, whole, at_length, learns)
    with _deep_calls():
        folds = [Fold(recording) for recording in recordings]
        writers = [Writer(fold, Constants(), learns) for fold in folds]
        for other in writers:
            if _form(other) != _form(writers[0]):
                raise NotAGraphError(CHANGES, _first_difference(other.places, writers[0].places))
        device = same_device([leaf for leaf in leaves(args) if isinstance(leaf, Tensor)])
        formulas = formulas_of([writer.constants for writer in writers], settings, device)
        writer = Writer(folds[0], Constants(formulas=formulas), learns)
    graph = GraphNetwork(network, writer.graph, writer.parts, writer.tensors, (args, {}))
    graph.report = writer.report
    sizes = [setting.sizes for setting in settings]
    return Built(graph, twin, args, step, sizes, formulas, recordings[0], whole, learns)


def _form(writer: Writer) -> tuple[int, list[tuple[str, str]]]:
    return len(writer.constants.seen), [(node.op, str(node.target)) for node in writer.graph.nodes]


def _first_difference(one: list[Place], other: list[Place]) -> Place | None:
    """Return a line that only one of two recordings is made of, or where they begin to differ."""
    for places, others in ((one, other), (other, one)):
        for place in places:
            if place not in others:
                return place
    for first, second in zip(one, other, strict=False):
        if first != second:
            return first
    longer = max(one, other, key=len)
    return next(iter(longer[min(len(one), len(other)) :] or longer[-1:]), None)


@contextmanager
def _deep_calls() -> Iterator[None]:
    """Allow for networks of many layers, which are followed from their output to their input."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _MANY))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
