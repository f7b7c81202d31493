"""Batch norms of maps whose channels lie side by side, [T, M, C], see :mod:`snntorch_binary.kernels.norm`.

A call takes the time steps from ``begin`` to ``end``, each by itself.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from snntorch_binary.kernels.engine import announced

_options = {"cache": True, "nogil": True, "error_model": "numpy"}


@announced
@njit(**_options)
def statistics(x, mean, variance, begin, end):
    """Mean and biased variance [T, C] over M: double precision sums of distances from the first row."""
    _, count, channels = x.shape
    for t in range(begin, end):
        first = x[t, 0].astype(np.float64)
        total, squares = np.zeros(channels, np.float64), np.zeros(channels, np.float64)
        for m in range(count):
            row = x[t, m]
            for c in range(channels):
                distance = np.float64(row[c]) - first[c]
                total[c] += distance
                squares[c] += distance * distance
        for c in range(channels):
            middle = total[c] / count
            mean[t, c] = first[c] + middle
            variance[t, c] = max(squares[c] / count - middle * middle, 0.0)


@announced
@njit(**_options)
def gradients(grad, x, mean, inverse, weight, dx, to_weight, to_bias, begin, end):
    """From the gradient of the norm's result to those of x, and of weight and bias [T, C], by double precision sums.

    ``mean`` is that of x [T, C], ``inverse`` one over its standard deviation, ``weight`` [C].
    """
    _, count, channels = x.shape
    shift, slope = np.empty(channels, np.float32), np.empty(channels, np.float32)
    size = np.empty(channels, np.float32)
    for t in range(begin, end):
        total, product = np.zeros(channels, np.float64), np.zeros(channels, np.float64)
        middle = mean[t]
        for m in range(count):
            of_y, row = grad[t, m], x[t, m]
            for c in range(channels):
                total[c] += np.float64(of_y[c])
                product[c] += np.float64(of_y[c]) * np.float64(row[c] - middle[c])
        for c in range(channels):
            by = np.float64(inverse[t, c])
            shift[c], slope[c], size[c] = total[c] / count, product[c] * by * by / count, by * weight[c]
            to_weight[t, c], to_bias[t, c] = product[c] * by, total[c]
        for m in range(count):
            of_y, row, of_x = grad[t, m], x[t, m], dx[t, m]
            for c in range(channels):
                of_x[c] = (of_y[c] - shift[c] - (row[c] - middle[c]) * slope[c]) * size[c]
