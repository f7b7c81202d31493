"""What is made of tensors and kept until one of them is another, or is written to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

_T = TypeVar("_T")


class Kept(Generic[_T]):
    """One value, made of the tensors of some modules."""

    def __init__(self) -> None:
        self._state: list[tuple[int, int]] | None = None
        self._tensors: list[Tensor] = []  # an id is of one tensor as long as that lives
        self._value: Any = None

    def of(self, modules: tuple[nn.Module | None, ...], make: Callable[[], _T]) -> _T:
        """Return the value for the tensors as they are."""
        tensors = [each for module in modules if module is not None for each in _tensors_of(module)]
        state = [(id(each), each._version) for each in tensors]
        if self._state != state:
            self._value, self._state, self._tensors = make(), state, tensors
        found: _T = self._value
        return found


def _tensors_of(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
