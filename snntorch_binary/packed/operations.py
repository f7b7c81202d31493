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
        args = (kwargs["size"], *args) if "size" in kwargs else args
        sizes = args[0] if args and isinstance(args[0], (tuple, list)) else args
        numbers = [abs(size) for size in sizes if isinstance(size, (int, float))]
        if math.prod(max(number, 1) for number in numbers) > MOST_NUMBERS:
            raise ValueError(f"{name} asks for more than {MOST_NUMBERS} numbers.")
        return make(*args, **{key: value for key, value in kwargs.items() if key != "size"})

    return made


def _step_numbers(start: int, steps: int, device: torch.device) -> Tensor:
    if abs(steps) > MOST_NUMBERS:
        raise ValueError(f"step_numbers asks for more than {MOST_NUMBERS} numbers.")
    return running.step_numbers(start, steps, device)


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
    "step_numbers": _step_numbers,
    "attribute": _attribute,
    "getattr": _attribute,
}
"""Functions by name."""

_LARGEST_NUMBER, _LARGEST_POWER, _LONGEST_LIST = 2**53, 64, 2**16


def check_cost(name: str, args: tuple[Any, ...]) -> None:
    """Refuse whole numbers and lists without end, which a file may ask for.

    Raises:
        ValueError: the result would be too large.
    """
    if not args or isinstance(args[0], Tensor):
        return
    numbers = [abs(each) for each in args if isinstance(each, int)]
    lengths = [len(each) for each in args if isinstance(each, (list, tuple, str))]
    if lengths:
        too_much = "mul" in name and max(lengths) * max(numbers, default=1) > _LONGEST_LIST
        too_much |= "add" in name and sum(lengths) > _LONGEST_LIST
    else:
        too_much = max(numbers, default=0) > _LARGEST_NUMBER or (
            "pow" in name and max(numbers[1:], default=0) > _LARGEST_POWER
        )
    if too_much:
        raise ValueError(f"{name} asks for a number or a list that is too large.")


METHODS = {name for name in KNOWN_OPERATIONS if hasattr(torch.Tensor, name)} | {"size", "dim", "__getitem__", "flip"}
"""Methods of tensors that may be called."""


def name_of(function: Any) -> str | None:
    """Return the name by which :data:`FUNCTIONS` has a function, or ``None``."""
    name: str = getattr(function, "__name__", "")
    # torch calls what has two forms by a name with a line before it, such as `_max_pool2d`.
    return next((known for known in (name, name.removeprefix("_")) if known in FUNCTIONS), None)
