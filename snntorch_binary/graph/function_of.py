"""A user's autograd Function as a module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_WRITTEN = (Tensor, bool, int, float, str, type(None), torch.dtype, torch.device, tuple, list, dict)
"""What the program of a graph can hold as an argument."""


@dataclass(frozen=True)
class Bound:
    """An autograd Function with some of its arguments: objects, such as a surrogate gradient, that no program holds."""

    function: Any
    objects: tuple[tuple[int, Any], ...]

    @property
    def __name__(self) -> str:
        name: str = self.function.__name__
        return name

    def apply(self, *args: Any) -> Any:
        """Apply the Function, with the other arguments at the places that are left."""
        given = list(args)
        for place, value in self.objects:
            given.insert(place, value)
        return self.function.apply(*given)


def bound(function: Any, args: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """Return an autograd Function with those of its arguments bound that no program holds, and the others."""
    objects = tuple((place, arg) for place, arg in enumerate(args) if not isinstance(arg, _WRITTEN))
    if not objects:
        return function, args
    return Bound(function, objects), tuple(arg for arg in args if isinstance(arg, _WRITTEN))


class FunctionOf(nn.Module):
    """A user's autograd Function as a module, by which a graph calls it."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:  # noqa: D102  # the class says it
        return self.function.apply(*args)

    def extra_repr(self) -> str:  # noqa: D102  # the class says it
        return self.function.__name__
