"""What a network is called with: one input, or a tuple of its arguments."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from snntorch_binary._errors import expected

Inputs = Tensor | tuple[Any, ...]
"""One input, or a tuple of a network's arguments."""


def arguments_of(x: Any) -> tuple[Any, ...]:
    """Return the arguments of a call: those in a tuple, or the only one."""
    return tuple(x) if isinstance(x, tuple) else (x,)


def check_input(x: Any) -> None:
    """Refuse input that no network can answer.

    Raises:
        TypeError: the input is no tensor of floating-point numbers, and no tuple of arguments that begins with one; or
            another argument is neither a tensor nor a number, a word or ``None``.
        ValueError: there are NaN or infinite values in the first tensor, or NaN in another.
    """
    args = arguments_of(x)
    first = args[0] if args else None
    if not isinstance(first, Tensor) or not first.is_floating_point():
        what = "a floating-point tensor"
        if not isinstance(x, Tensor):
            what += ", or a tuple of arguments that begins with one"
        got = _kind(x)
        if isinstance(x, tuple):
            got = f"a tuple that begins with {_kind(first)}" if x else "an empty one"
        raise TypeError(expected("x", what, got))
    for place, value in enumerate(args):
        name = f"x[{place}]" if len(args) > 1 else "x"
        if isinstance(value, Tensor):
            if place == 0 and not bool(value.isfinite().all()):
                raise ValueError(expected(name, "finite", "NaN or infinite values"))
            if bool(value.isnan().any()):  # infinite a mask of attention may be
                raise ValueError(expected(name, "numbers", "NaN"))
        elif value is not None and not isinstance(value, (int, float, str)):
            raise TypeError(expected(name, "a tensor, a number, a word or None", _kind(value)))


def check_single(x: Any, name: str = "x") -> None:
    """Refuse several arguments of a network that takes one time step a call: nothing says which of them are sequences.

    Args:
        x: the input, or a tuple of arguments.
        name: what it is called.

    Raises:
        ValueError: there are several.
    """
    count = len(arguments_of(x))
    if count != 1:
        what = "one sequence [T, B, ...] where a call of the network is one time step"
        raise ValueError(expected(name, what, f"a tuple of {count} arguments"))


def _kind(value: Any) -> str:
    return str(value.dtype) if isinstance(value, Tensor) else type(value).__name__
