"""What is known of neurons of any library: how many time steps a call takes, and how a state returns to rest."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from torch import nn

from snntorch_binary.nn.neurons.description import description_of

TAKES_ONE_STEP: list[Callable[[nn.Module], bool]] = []
"""Functions of other libraries that say whether a model, a neuron or a container of such, takes one time step."""

_RESETS = ("reset_mem", "reset_states", "reset_state", "reset_state_variables")


def takes_one_step(module: nn.Module) -> bool | None:
    """Say whether a neuron takes one time step a call (``True``) or a whole sequence; ``None`` if it is none we know.

    Known are the neurons of this package, of snnTorch, of Norse once its adapter is loaded, and those with a
    ``step_mode`` as in SpikingJelly; and whatever has ``init_hidden``, by snnTorch's meaning of the word.
    """
    if isinstance(getattr(module, "one_step", None), bool):
        return bool(module.one_step)
    if getattr(module, "step_mode", None) in ("s", "m"):
        return module.step_mode == "s"
    if any(known(module) for known in TAKES_ONE_STEP):
        return True
    description = description_of(module)
    if description is not None:
        return description.takes_one_step(module)
    return True if getattr(module, "init_hidden", False) is True else None


def passes_state(net: nn.Module) -> bool:
    """Say whether a network's state is an argument, ``(input, state) -> (output, state)``: by its name, as in Norse."""
    return "state" in inspect.signature(net.forward).parameters and not getattr(net, "init_hidden", False)


def to_rest(module: nn.Module) -> Callable[[], Any] | None:
    """Return what puts a module's own state to rest, or ``None`` where its methods do not say so.

    A method that is only called ``reset`` may mean anything; SpikingJelly's is known.
    """
    for name in _RESETS:
        if needs_no_argument(getattr(module, name, None)):
            return getattr(module, name)
    if is_of_library(module, "spikingjelly") or getattr(module, "step_mode", None) in ("s", "m"):
        found = getattr(module, "reset", None)
        return found if needs_no_argument(found) else None
    return None


def needs_no_argument(method: Any) -> bool:
    """Say whether something can be called as it is."""
    if not callable(method):
        return False
    function = getattr(method, "__func__", None)
    return _takes(method) if function is None else _takes_only_itself(function)


@lru_cache(maxsize=1024)
def _takes_only_itself(function: Callable[..., Any]) -> bool:
    """Say so of a method; kept, as a network asks it of each of its modules for every sequence."""
    return _takes(function, None)


def _takes(function: Callable[..., Any], *args: Any) -> bool:
    try:
        inspect.signature(function).bind(*args)
    except (TypeError, ValueError):
        return False
    return True


def is_of_library(module: nn.Module, name: str) -> bool:
    """Say whether a module's class, or one that it is derived from, is of a library."""
    return any(base.__module__.partition(".")[0] == name for base in type(module).__mro__)
