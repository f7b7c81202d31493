"""From a network and a sample to its graph over time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary.convert import copy_model, reset
from snntorch_binary.graph.constants import Constants, Setting, formulas_of
from snntorch_binary.graph.errors import NotAGraphError, Place
from snntorch_binary.graph.events import Recording
from snntorch_binary.graph.fold import Fold
from snntorch_binary.graph.network import GraphNetwork, same_device
from snntorch_binary.graph.record import record
from snntorch_binary.graph.samples import resized, sizes_of
from snntorch_binary.graph.tree import leaves
from snntorch_binary.graph.writer import Writer
from snntorch_binary.neurons import passes_state

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
    """

    graph: GraphNetwork
    twin: nn.Module
    args: tuple[Any, ...]
    step: bool
    sizes: list[tuple[int, ...]]
    formulas: list[Any]

    def again(self, twin: nn.Module, args: tuple[Any, ...], training: bool) -> tuple[Recording, GraphNetwork]:
        """Record a copy of the network once more, and return what it did and the graph that it gives.

        Raises:
            NotAGraphError: it is another graph.
        """
        recording = _recorded(twin, args, self.step, training)
        with _deep_calls():
            writer = Writer(Fold(recording), Constants(formulas=self.formulas))
        found = GraphNetwork(twin, writer.graph, writer.parts, recording.constants, (args, {}))
        if found.code() != self.graph.code():
            raise NotAGraphError(_CHANGES)
        return recording, found


_CHANGES = "what it does depends on the size of its input, or on training mode"


def build(network: nn.Module, args: tuple[Any, ...], step: bool) -> Built:
    """Return a network as a graph over time.

    Args:
        network: the network, which stays as it is: a copy is recorded.
        args: a sample of its arguments.
        step: whether it takes one time step a call; then its one argument is a sequence.

    Raises:
        NotAGraphError: it does not fold; the message says why and names the line.
    """
    twin = copy_model(network)
    recordings, settings = _recordings(twin, args, step)
    with _deep_calls():
        folds = [Fold(recording) for recording in recordings]
        numbers, forms = [], []
        for fold in folds:
            numbers.append(Constants())
            forms.append([(node.op, str(node.target)) for node in Writer(fold, numbers[-1]).graph.nodes])
        for form, found in zip(forms, numbers, strict=True):
            if form != forms[0] or len(found.seen) != len(numbers[0].seen):
                raise NotAGraphError(_CHANGES, _first_difference(found, numbers[0]))
        device = same_device([leaf for leaf in leaves(args) if isinstance(leaf, Tensor)])
        formulas = formulas_of(numbers, settings, device)
        writer = Writer(folds[0], Constants(formulas=formulas))
    graph = GraphNetwork(network, writer.graph, writer.parts, recordings[0].constants, (args, {}))
    graph.report = writer.report
    return Built(graph, twin, args, step, [setting.sizes for setting in settings], formulas)


def calling(network: nn.Module, step: bool) -> Callable[[Any], Any]:
    """Return what calls a network with a tree of arguments; one of one time step once for each step of a sequence."""
    return stepwise(network) if step else lambda args: network(*args)


def stepwise(network: nn.Module) -> Callable[[Any], list[Any]]:
    """Return what calls a network of one time step for each step of a sequence."""

    def call(args: Any) -> list[Any]:
        (x,) = args
        if not passes_state(network):
            return [network(x_t) for x_t in x]
        state, outputs = None, []
        for x_t in x:
            output, state = network(x_t, state)
            outputs.append(output)
        return outputs

    return call


def _recordings(twin: nn.Module, args: tuple[Any, ...], step: bool) -> tuple[list[Recording], list[Setting]]:
    """Record a network on inputs of several sizes, and in training mode."""
    generator = torch.Generator().manual_seed(0)
    own = sizes_of(args)
    base = list(own)
    for dim in range(len(own)):
        for size in _SMALL[dim]:
            sizes = (*base[:dim], size, *base[dim + 1 :])
            if sizes != own and _works(twin, resized(args, sizes, generator), step):
                base[dim] = size
                break
    settings = [Setting(tuple(base), False)]
    for dim in range(len(own)):
        for size in dict.fromkeys((base[dim] + 1, base[dim] - 1, own[dim])):
            sizes = (*base[:dim], size, *base[dim + 1 :])
            if 0 < size != base[dim] and _works(twin, resized(args, sizes, generator), step):
                settings.append(Setting(sizes, False))
                break
    settings.append(Setting(tuple(base), True))
    recordings = []
    for setting in settings:
        inputs = args if setting.sizes == own else resized(args, setting.sizes, generator)
        recordings.append(_recorded(twin, inputs, step, setting.training))
    return recordings, settings


_SMALL = ((4, 3), (4, 3))
"""Sizes of the first dimensions to record with: the smallest that still show what repeats, be they time or batch."""


def _first_difference(one: Constants, other: Constants) -> Place | None:
    """Return where in the user's program two recordings begin to differ."""
    for first, second in zip(one.places, other.places, strict=False):
        if first != second:
            return first or second
    return (one.places or other.places or [None])[-1]


def _works(twin: nn.Module, args: Any, step: bool) -> bool:
    try:
        with torch.no_grad():
            twin.eval()
            reset(twin)
            calling(twin, step)(args)
    except Exception:  # whatever a network makes of an input that is not its
        return False
    return True


def _recorded(twin: nn.Module, args: Any, step: bool, training: bool) -> Recording:
    twin.train(training)
    reset(twin)
    recording = record(twin, args, calling(twin, step))
    recording.steps = step
    return recording


@contextmanager
def _deep_calls() -> Iterator[None]:
    """Allow for networks of many layers, which are followed from their output to their input."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _MANY))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
