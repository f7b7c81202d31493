"""What is made of tensors and settings and kept until one of them is another, or is written to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

_T = TypeVar("_T")
_SMALL = 4096
"""Numbers of a Parameter up to which its content is looked at: a write to ``.data`` leaves no other trace."""


class Kept(Generic[_T]):
    """One value that takes some time to make."""

    def __init__(self) -> None:
        self._state: Any = None
        self._tensors: list[Tensor] = []  # an id is of one tensor as long as that lives
        self._contents: list[tuple[Tensor, Tensor]] = []
        self._value: Any = None

    def of_tensors(self, tensors: list[Tensor], make: Callable[[], _T], settings: Any = None) -> _T:
        """Return the value for tensors and settings as they are."""
        if any(each.is_inference() for each in tensors):  # nothing says whether these are written to
            return make()
        state = ([(id(each), each._version) for each in tensors], settings)
        if self._state != state or not all(torch.equal(each, content) for each, content in self._contents):
            self._value, self._state, self._tensors = make(), state, tensors
            self._contents = [(each, each.detach().clone()) for each in tensors if _is_looked_at(each)]
        found: _T = self._value
        return found

    def of_modules(self, modules: tuple[nn.Module | None, ...], make: Callable[[], _T]) -> _T:
        """Return the value for modules as they are, whose public attributes are their settings."""
        known = [module for module in modules if module is not None]
        tensors = [each for module in known for each in (*module.parameters(), *module.buffers())]
        return self.of_tensors(tensors, make, [_settings(module) for module in known])


def _is_looked_at(tensor: Tensor) -> bool:
    return isinstance(tensor, nn.Parameter) and tensor.numel() <= _SMALL


def _settings(module: nn.Module) -> list[tuple[str, Any]]:
    kinds = (int, float, str, tuple, type(None))
    return [(name, value) for name, value in vars(module).items() if name[0] != "_" and isinstance(value, kinds)]
