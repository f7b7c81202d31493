"""Statistics of channels over maps whose channels lie side by side, see :mod:`snntorch_binary.kernels.norm`."""

from __future__ import annotations

import numpy as np
from numba import njit

from snntorch_binary.kernels.engine import announced

_options = {"cache": True, "nogil": True, "error_model": "numpy"}


@announced
@njit(**_options)
def statistics(x, mean, variance):
    """Mean and biased variance of each column of x [M, C]: double precision sums of distances from the first row."""
    count, channels = x.shape
    first = x[0].astype(np.float64)
    total, squares = np.zeros(channels, np.float64), np.zeros(channels, np.float64)
    for m in range(count):
        row = x[m]
        for c in range(channels):
            distance = np.float64(row[c]) - first[c]
            total[c] += distance
            squares[c] += distance * distance
    for c in range(channels):
        middle = total[c] / count
        mean[c] = first[c] + middle
        variance[c] = max(squares[c] / count - middle * middle, 0.0)
