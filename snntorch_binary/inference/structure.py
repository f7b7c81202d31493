"""What networks return: tensors in tuples, lists, dictionaries and data classes, one in another."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from snntorch_binary._errors import expected


def tensors_in_order(value: Any) -> list[Tensor]:
    """Return the tensors of an output that says which comes first: itself, or those in tuples and lists.

    Raises:
        TypeError: there is another thing in it, such as a dictionary, whose order says nothing.
    """
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in tensors_in_order(item)]
    if value is None:
        return []
    what = "a function of the network's output where that is no tensor and no tuple of tensors"
    raise TypeError(expected("readout", what, f"an output that is or holds a {type(value).__name__}"))


def stacked(steps: Sequence[Any]) -> Any:
    """Return the outputs of all time steps as one, in the structure of a single one: each tensor gets a dimension T.

    Raises:
        TypeError: an output holds something that has no meaning over time, or its structure changes from step to step.
    """
    first: Any = steps[0]
    if any(type(step) is not type(first) and not isinstance(first, Tensor) for step in steps):
        kinds = " and ".join(sorted({type(step).__name__ for step in steps}))
        raise TypeError(expected("net", "a network whose outputs are alike at every time step", kinds))
    if isinstance(first, Tensor):
        return torch.stack(list(steps))
    if first is None:
        return None
    if isinstance(first, dict):
        _check_alike({tuple(step) for step in steps})
        made: Any = copy.copy(first)  # a dictionary of any kind
        made.update({key: stacked([step[key] for step in steps]) for key in first})
        return made
    if dataclasses.is_dataclass(first) and not isinstance(first, type):
        fields = [field.name for field in dataclasses.fields(first)]
        return _rebuilt(type(first), {name: stacked([getattr(step, name) for step in steps]) for name in fields})
    if isinstance(first, (tuple, list)):
        _check_alike({len(step) for step in steps})
        parts = [stacked(items) for items in zip(*steps, strict=True)]
        make: Callable[..., Any] = type(first)
        return make(*parts) if hasattr(first, "_fields") else make(parts)
    if all(step == first for step in steps):
        return first
    what = "a network that returns tensors, or tuples, lists, dictionaries or data classes of such"
    raise TypeError(expected("net", what, f"a {type(first).__name__} that changes from step to step"))


def _check_alike(found: set[Any]) -> None:
    if len(found) > 1:
        what = "a network whose outputs are alike at every time step"
        raise TypeError(expected("net", what, " and ".join(map(str, sorted(found, key=str)))))


def _rebuilt(kind: type, values: dict[str, Any]) -> Any:
    """Return a data class of these values, without its `__init__`, which may take or check others."""
    made: Any = object.__new__(kind)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made
