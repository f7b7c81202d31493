"""Functions that are compiled once for each width of vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled_for(lanes: int, **options: Any) -> Callable[[Any], Any]:
    """Return ``numba.njit(**options)`` for a function that is made anew for each number of lanes.

    The width becomes a part of its name. Numba tells functions of one name apart by a count of its process: of two
    kernels that different processes have compiled and kept on disk, one would call what is in the other, of another
    width, as soon as a third process loads both.
    """

    def decorate(function: Any) -> Any:
        function.__qualname__ = f"{function.__qualname__}_{lanes}"
        return njit(**options)(function)

    return decorate
