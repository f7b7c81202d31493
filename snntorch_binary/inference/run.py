"""Running a network over one sequence, whether it takes all time steps at once or one at a time."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.convert import reset
from snntorch_binary.fuse import EachStep
from snntorch_binary.rooms import TAKES_ONE_STEP, open_rooms
from snntorch_binary.to_spiking import SpikingNetwork


def is_stepwise(net: nn.Module) -> bool:
    """Say whether a network takes one time step at a time.

    One does whose neurons keep their state (``init_hidden=True``), and so does a Norse cell or container of cells.
    """
    open_rooms(net)
    return _keeps_state(net) or any(takes_one_step(net) for takes_one_step in TAKES_ONE_STEP)


def _keeps_state(net: nn.Module) -> bool:
    if isinstance(net, (EachStep, SpikingNetwork)):  # goes through the steps by itself
        return False
    return bool(getattr(net, "init_hidden", False)) or any(map(_keeps_state, net.children()))


def passes_state(net: nn.Module) -> bool:
    """Say whether a network's state is an argument, ``(input, state) -> (output, state)``: by its name, as in Norse."""
    return "state" in inspect.signature(net.forward).parameters and not getattr(net, "init_hidden", False)


def check_input(x: Tensor) -> None:
    """Refuse input that no network can answer.

    Raises:
        TypeError: the input is no tensor of floating-point numbers.
        ValueError: it holds NaN or infinite values.
    """
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise TypeError(
            expected("x", "a floating-point tensor", x.dtype if isinstance(x, Tensor) else type(x).__name__)
        )
    if not bool(torch.isfinite(x).all()):
        raise ValueError(expected("x", "finite", "NaN or infinite values"))


@contextmanager
def state_put_back(net: nn.Module) -> Iterator[None]:
    """Give every neuron its state (membrane potentials) back afterwards, and Norse's regularisation cells their sum."""
    neurons = [
        module for module in net.modules() if callable(getattr(module, "reset_mem", None)) or "state" in module.__dict__
    ]
    before = [(neuron, dict(neuron.__dict__), dict(neuron._buffers)) for neuron in neurons]
    try:
        yield
    finally:
        for neuron, attributes, buffers in before:
            neuron.__dict__.update(attributes)
            neuron._buffers.update(buffers)


def run(net: nn.Module, x: Tensor, step: bool | None = None) -> Any:
    """Return a network's output for a new sequence: its state is reset before, never after.

    Args:
        net: a network that takes a whole input at once (a loop inside ``forward``, or our time-first layers), or one
            time step at a time.
        x: the input; [T, B, ...] for a stepwise network.
        step: whether the network takes one time step at a time; by default if one of its neurons has
            ``init_hidden=True`` or it is made of Norse cells. Pass ``False`` for a network that has such neurons and
            loops inside ``forward``.

    Returns:
        What ``net(x)`` returns; of a stepwise network the outputs stacked over time, [T, ...] each, without the state
        where that is an argument.

    Raises:
        ValueError: a stepwise network got no time step.
    """
    reset(net)
    if not (is_stepwise(net) if step is None else step):
        return net(x)
    if x.dim() < 2 or x.shape[0] == 0:
        raise ValueError(expected("x", "of shape [T, B, ...] with T >= 1", tuple(x.shape)))
    if passes_state(net):
        state, outputs = None, []
        for x_t in x:
            output, state = net(x_t, state)
            outputs.append(output)
    else:
        outputs = [net(x_t) for x_t in x]
    if isinstance(outputs[0], Tensor):
        return torch.stack(outputs)
    return tuple(torch.stack(values) for values in zip(*outputs, strict=True))
