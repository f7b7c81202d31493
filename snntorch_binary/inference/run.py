"""Running a network over one sequence, whether it takes all time steps at once or one at a time."""

from __future__ import annotations

from typing import Any

from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary.convert import SpikingNetwork
from snntorch_binary.convert.foreign import load_adapters
from snntorch_binary.graph.each_step import EachStep
from snntorch_binary.inference.arguments import arguments_of, check_single
from snntorch_binary.inference.find_form import form_of
from snntorch_binary.inference.form import Form, begin
from snntorch_binary.inference.kept_state import state_put_back as state_put_back
from snntorch_binary.inference.structure import stacked
from snntorch_binary.nn.neurons.known import TAKES_ONE_STEP, passes_state


def is_stepwise(net: nn.Module) -> bool:
    """Say whether a network takes one time step at a time.

    One does whose neurons keep their state (``init_hidden=True``), and so does a Norse cell or container of cells.
    """
    load_adapters(net)
    return _keeps_state(net) or any(takes_one_step(net) for takes_one_step in TAKES_ONE_STEP)


def _keeps_state(net: nn.Module) -> bool:
    if isinstance(net, (EachStep, SpikingNetwork)):  # goes through the steps by itself
        return False
    return bool(getattr(net, "init_hidden", False)) or any(map(_keeps_state, net.children()))


def run(net: nn.Module, x: Any, step: bool | None = None) -> Any:
    """Return a network's output for a new sequence: its state is reset before, never after.

    Args:
        net: a network that takes a whole input at once (a loop inside ``forward``, or our time-first layers), or one
            time step at a time.
        x: the input, or a tuple of arguments; [T, B, ...] for a stepwise network, which takes one.
        step: whether the network takes one time step at a time. By default what its layers are says so, or a few
            short runs (see ``snntorch_binary.inference.find_form``).

    Returns:
        What ``net(x)`` returns, or ``net(*x)`` of a tuple; of a stepwise network the outputs stacked over time,
        [T, ...] each, in the structure in which it returns them, without the state where that is an argument.

    Raises:
        ValueError: a stepwise network got no time step or several arguments, it cannot be told whether the network is
            one, or a module keeps a state that nothing puts to rest.
    """
    return run_as(form_of(net, x, step, None if step is None else 0), net, x)  # time in the output does not matter


def run_as(form: Form, net: nn.Module, x: Any) -> Any:
    """Return a network's output for a new sequence, as :func:`run`, where its form is known."""
    begin(net, form.resets)
    if not form.step:
        return net(*arguments_of(x))
    check_single(x)
    (x,) = arguments_of(x)
    if x.dim() < 2 or x.shape[0] == 0:
        raise ValueError(expected("x", "of shape [T, B, ...] with T >= 1", tuple(x.shape)))
    if passes_state(net):
        state, outputs = None, []
        for x_t in x:
            output, state = net(x_t, state)
            outputs.append(output)
    else:
        outputs = [net(x_t) for x_t in x]
    return stacked(outputs)
