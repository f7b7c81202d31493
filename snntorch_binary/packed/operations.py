"""The operations that a packed graph can do: a file names them, and whatever else it names is refused."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from snntorch_binary.graph import operations, running
from snntorch_binary.graph.over_time import KNOWN_OPERATIONS
from snntorch_binary.graph.tree import leaves

MOST_NUMBERS = 2**28
"""The largest tensor that an operation may make of nothing, such as the zeros that a loop begins with."""

_OF_SEQUENCES = (
    *(running.entries_of, running.at_every_step, running.one_step_later, running.running_sum, running.joined),
    *(running.as_list, running.as_batch, running.as_steps, running.aligned, running.norm_over_time),
    *(running.call, running.call_at_rest),
    *(running.attribute, running.step_by_step, running.all_steps_at_once),
    *(operations.with_item, operations.zero_like, operations.fill_like, operations.copy_like),
)
_MADE_OF_NOTHING = ("zeros", "ones", "rand", "randn", "empty", "full", "arange", "eye", "linspace")
_ATTRIBUTES = ("T", "mT", "data", "device", "shape", "dtype", "mem", "syn", "spk")


def _made(name: str) -> Callable[..., Any]:
    make: Callable[..., Any] = getattr(torch, name)

    def made(*args: Any, **kwargs: Any) -> Any:
        sizes = args[0] if args and isinstance(args[0], (tuple, list)) else args
        numbers = [abs(size) for size in sizes if isinstance(size, (int, float))]
        if math.prod(max(number, 1) for number in numbers) > MOST_NUMBERS:
            raise ValueError(f"{name} asks for more than {MOST_NUMBERS} numbers.")
        return make(*args, **kwargs)

    return made


def _attribute(x: Any, name: str) -> Any:
    if name not in _ATTRIBUTES:
        known = ", ".join(_ATTRIBUTES)
        raise ValueError(f"A packed network cannot read {name!r} of a tensor or of neurons, only one of {known}.")
    return getattr(x, name)


def _of_torch(name: str) -> Callable[..., Any] | None:
    for place in (F, torch, torch.Tensor):
        found = getattr(place, name, None)
        if callable(found):
            return found
    return None


def _arithmetic(name: str) -> Callable[..., Any]:
    """Return an operator that takes torch's keywords, too."""

    def compute(a: Any, b: Any, **options: Any) -> Any:
        return getattr(torch, name)(a, b, **options) if options else getattr(operator, name)(a, b)

    return compute


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: found for name in KNOWN_OPERATIONS if (found := _of_torch(name)) is not None},
    **{name: _made(name) for name in _MADE_OF_NOTHING},
    **{function.__name__: function for function in _OF_SEQUENCES},
    **{name: _arithmetic(name) for name in ("add", "sub")},
    **{name: getattr(operator, name) for name in ("mul", "truediv", "getitem")},
    "attribute": _attribute,
    "getattr": _attribute,
}
"""Functions by name."""

_REPEATING = ("repeat", "tile", "expand", "broadcast_to", "repeat_interleave")
_LARGEST_NUMBER, _LARGEST_POWER, _LONGEST_LIST = 2**53, 64, 2**16


def check_cost(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse to make of a tensor, of whole numbers or of a list what has no end: a file may ask for it.

    Raises:
        ValueError: it would be too much.
    """
    first, others = (args[0] if args else None), leaves((args[1:], kwargs))
    numbers = [abs(number) for number in others if isinstance(number, int)]
    if isinstance(first, Tensor):
        made = math.prod(max(number, 1) for number in numbers) if name in _REPEATING else 0
        too_much = made * (1 if name in ("expand", "broadcast_to") else max(first.numel(), 1)) > MOST_NUMBERS
    elif isinstance(first, int) and "pow" in name:
        too_much = abs(first) > _LARGEST_NUMBER or any(number > _LARGEST_POWER for number in numbers)
    elif any(isinstance(each, (list, tuple, str)) for each in (first, *args[1:])) and "mul" in name:
        lengths = [len(each) for each in args if isinstance(each, (list, tuple, str))]
        too_much = max(lengths) * max([abs(each) for each in args if isinstance(each, int)], default=1) > _LONGEST_LIST
    else:
        too_much = isinstance(first, int) and max(abs(first), *numbers, 0) > _LARGEST_NUMBER
    if too_much:
        raise ValueError(f"{name} asks for more than {MOST_NUMBERS} numbers, or for a number too large to count.")


METHODS = {name for name in KNOWN_OPERATIONS if hasattr(torch.Tensor, name)} | {"size", "dim", "__getitem__", "flip"}
"""Methods of tensors that may be called."""


def name_of(function: Any) -> str | None:
    """Return the name by which :data:`FUNCTIONS` has a function, or ``None``."""
    name: str = getattr(function, "__name__", "")
    # torch calls what has two forms by a name with a line before it, such as `_max_pool2d`.
    return next((known for known in (name, name.removeprefix("_")) if known in FUNCTIONS), None)
