"""A user's autograd Function as a module."""

from __future__ import annotations

from typing import Any

from torch import nn


class FunctionOf(nn.Module):
    """A user's autograd Function as a module, by which a graph calls it."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:  # noqa: D102
        return self.function.apply(*args)

    def extra_repr(self) -> str:  # noqa: D102
        return self.function.__name__
