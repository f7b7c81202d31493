"""The runs of a network that its graph is made of: on inputs of a few sizes, and in both modes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from snntorch_binary.convert import reset
from snntorch_binary.graph.constants import Setting
from snntorch_binary.graph.errors import NotAGraphError
from snntorch_binary.graph.events import Recording
from snntorch_binary.graph.record import record
from snntorch_binary.graph.samples import resized, sizes_of
from snntorch_binary.graph.states import longest
from snntorch_binary.graph.whole import is_whole
from snntorch_binary.nn.neurons.known import passes_state, takes_one_step


def loops(twin: nn.Module, args: tuple[Any, ...]) -> bool:
    """Say whether neurons go through several time steps in one call of a network."""
    try:
        return longest(_Runs(twin, args, False).smallest()[0]) > 1
    except NotAGraphError:
        raise
    except Exception:  # of a network that takes no sequence, or is wrong, which it says when it is recorded
        return False


def recordings_of(
    twin: nn.Module,
    args: tuple[Any, ...],
    step: bool,
    whole: Callable[[nn.Module], bool] = is_whole,
    at_length: bool = False,
    learns: bool = True,
) -> tuple[list[Recording], list[Setting]]:
    """Record a network on inputs of several sizes, the smallest that still show what repeats.

    Args:
        twin: the network; what it keeps changes.
        args: a sample of its arguments.
        step: whether it takes one time step a call.
        whole: says which modules are one thing in the graph.
        at_length: whether to record as many time steps as the sample has, in place of a few.
        learns: whether it matters where gradients end.

    Returns:
        What it did, first in evaluation mode and with gradients; and how each was made.

    Raises:
        NotAGraphError: it does what cannot be followed.
    """
    runs = _Runs(twin, args, step, whole, learns)
    found, sizes = runs.smallest()
    base = _base(sizes, longest(found), runs.own if at_length else (4, 4))
    first = None if base == sizes else runs.tried(base, grad=True)
    if first is None:
        base, first = sizes, runs.tried(sizes, grad=True)
    assert first is not None
    recordings, settings = [first], [Setting(base, False)]

    def add(sizes: tuple[int, ...], training: bool) -> bool:
        recording = runs.tried(sizes, training)
        if recording is not None:
            recordings.append(recording)
            settings.append(Setting(sizes, training))
        return recording is not None

    with _norms_put_back(twin):
        for dim in range(len(base)):
            others = dict.fromkeys((base[dim] + 1, base[dim] - 1, runs.own[dim]))
            any(add((*base[:dim], size, *base[dim + 1 :]), dim == 0) for size in others if 0 < size != base[dim])
        if not any(setting.training for setting in settings):
            add(base, True)
    return recordings, settings


class _Runs:
    """Runs of a network on inputs like a sample."""

    def __init__(
        self,
        twin: nn.Module,
        args: tuple[Any, ...],
        step: bool,
        whole: Callable[[nn.Module], bool] = is_whole,
        learns: bool = True,
    ) -> None:
        self.twin, self.args, self.step, self.own = twin, args, step, sizes_of(args)
        self.whole, self.learns = whole, learns
        self.generator = torch.Generator().manual_seed(0)

    def tried(self, sizes: tuple[int, ...], training: bool = False, grad: bool = False) -> Recording | None:
        """Record the network with an input of some sizes; ``None`` where it takes none of these."""
        if sizes == self.own:
            return recorded(self.twin, self.args, self.step, training, grad, self.whole, self.learns)
        try:
            inputs = resized(self.args, sizes, self.generator)
            return recorded(self.twin, inputs, self.step, training, grad, self.whole, self.learns)
        except NotAGraphError:
            raise
        except Exception:  # whatever a network makes of an input that is not its
            return None

    def smallest(self) -> tuple[Recording, tuple[int, ...]]:
        """Record the network with the smallest input that it takes."""
        for sizes in _smaller(self.own, (3, 2)):
            found = self.tried(sizes)
            if found is not None:
                return found, sizes
        raise AssertionError  # the last are the sample's own


def recorded(
    twin: nn.Module,
    args: Any,
    step: bool,
    training: bool,
    grad: bool = False,
    whole: Callable[[nn.Module], bool] = is_whole,
    learns: bool = True,
) -> Recording:
    """Record a network once, from rest."""
    put_to_rest(twin.train(training))
    # Not under no_grad, by which parts of the network that run without gradients would not be told from the others.
    learned = [] if grad else [parameter for parameter in twin.parameters() if parameter.requires_grad]
    try:
        for parameter in learned:
            parameter.requires_grad_(False)
        with torch.enable_grad():
            recording = record(twin, args, calling(twin, step), whole, learns)
    finally:
        for parameter in learned:
            parameter.requires_grad_(True)
    recording.steps = step
    return recording


def put_to_rest(twin: nn.Module) -> None:
    """Reset neurons, and let them forget of which shape their states were, by which they would do other things."""
    reset(twin)
    for module in twin.modules():
        if takes_one_step(module):
            for name in module._non_persistent_buffers_set:
                buffer = module._buffers.get(name)
                if buffer is not None and buffer.is_floating_point():
                    module._buffers[name] = torch.zeros(0, device=buffer.device, dtype=buffer.dtype)


def calling(network: nn.Module, step: bool) -> Callable[[Any], Any]:
    """Return what calls a network with a tree of arguments; one of one time step once for each step of a sequence."""
    return _stepwise(network) if step else lambda args: network(*args)


def _stepwise(network: nn.Module) -> Callable[[Any], list[Any]]:
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


def _smaller(own: tuple[int, ...], small: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return sizes to try: small in all dimensions that allow it, else in one of them, else the sample's own."""
    small = tuple(min(size, other) if size > 1 else other for size, other in zip(own, small, strict=False))
    one = [(*own[:dim], small[dim], *own[dim + 1 :]) for dim in range(len(own))]
    return list(dict.fromkeys((small, *one, own)))


def _base(sizes: tuple[int, ...], steps: int, times: tuple[int, ...]) -> tuple[int, ...]:
    """Return sizes with so many time steps and two examples, by which dimension neurons were called as often."""
    if steps <= 1 or len(sizes) < 2:
        return sizes
    if steps == sizes[0]:
        return (times[0], sizes[1])
    return (2, times[1]) if steps == sizes[1] else (2, sizes[1])


class _norms_put_back:
    """Give the buffers that a checkpoint holds the values back that they have now."""

    def __init__(self, network: nn.Module) -> None:
        held = network.state_dict(keep_vars=True).values()
        self._kept = [(buffer, buffer.clone()) for buffer in network.buffers() if any(buffer is one for one in held)]

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        for buffer, value in self._kept:
            buffer.data.copy_(value)
