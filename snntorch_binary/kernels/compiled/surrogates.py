"""Spikes and surrogate gradients inside a kernel, see :mod:`snntorch_binary.kernels.surrogates`."""

from __future__ import annotations

import numpy as np
from numba import njit

_f = np.float32

BOXCAR, ARCTAN, FAST_SIGMOID, TRIANGULAR = 0, 1, 2, 3


@njit(inline="always")
def fire(at_threshold: bool, u: float) -> float:
    """The spike at the centred membrane potential u."""
    silent = u < 0 if at_threshold else not u > 0
    return _f(0.0) if silent else _f(1.0)


@njit(inline="always")
def derivative(kind: int, size: float, height: float, u: float) -> float:
    """The stand-in for dS/du at the centred membrane potential u, rounded as in torch.

    ``size`` (float64) is the width, alpha or slope; ``height`` is of a boxcar or triangle.
    """
    if kind == BOXCAR:
        half = _f(size / 2)
        return _f(height) if (u > -half and not u > half) else _f(0.0)
    if kind == ARCTAN:
        x = u * _f(np.pi / 2 * size)
        return _f(size / 2) / (_f(1.0) + x * x)
    if kind == FAST_SIGMOID:
        x = _f(1.0) + _f(size) * abs(u)
        return _f(1.0) / (x * x)
    x = _f(1.0) - abs(u) * _f(2 / size)
    return _f(height) * (x if x > 0 else _f(0.0))
