"""Surrogate gradients inside a kernel, see :mod:`snntorch_binary.nn.surrogate`."""

from __future__ import annotations

import numpy as np
from numba import njit

_f = np.float32

BOXCAR, ARCTAN, FAST_SIGMOID, TRIANGULAR = 0, 1, 2, 3


@njit(inline="always")
def derivative(kind: int, size: float, height: float, u: float) -> float:
    """The stand-in for dS/du at the centred membrane potential u.

    ``size`` is the width, alpha or slope; ``height`` is of a boxcar or triangle.
    """
    if kind == BOXCAR:
        half = size * _f(0.5)
        return height if (u > -half and u <= half) else _f(0.0)
    if kind == ARCTAN:
        x = u * (size * _f(np.pi / 2))
        return size * _f(0.5) / (_f(1.0) + x * x)
    if kind == FAST_SIGMOID:
        x = _f(1.0) + size * abs(u)
        return _f(1.0) / (x * x)
    x = _f(1.0) - abs(u) * (_f(2.0) / size)
    return height * x if x > 0 else _f(0.0)
