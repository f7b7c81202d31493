"""Noise by key and position, see :mod:`snntorch_binary.kernels.noise`."""

# arithmetic.py: 830defd3
from __future__ import annotations

import numpy as np
from numba import njit

from snntorch_binary.kernels.compiled.arithmetic import uniform_at
from snntorch_binary.kernels.engine import announced


@announced
@njit(cache=True, nogil=True, error_model="numpy")
def uniform(out: np.ndarray, first: int, second: int) -> None:
    """Fill a flat array with U(0, 1) noise."""
    for i in range(out.shape[0]):
        out[i] = uniform_at(i, first, second)
