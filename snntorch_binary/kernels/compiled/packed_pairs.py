"""Sums of ±1 weights over the spikes of many rows, for rows that lie word by word; see ``packed_products``.

The weights are ``columns``, 16 outputs after the other: words of the eight even ones, and then of the odd. So two
vectors of totals become one of 16 sums without moving a number to another place.
"""

# vectors.py: 08204e43
from __future__ import annotations

import numpy as np
from numba import njit

from snntorch_binary.kernels.compiled.vectors import add_common_ones, load, ones, store_pairs, zeros

_u = np.uint64
_LANES = 8


@njit(nogil=True, error_model="numpy")
def by_pairs(rows, first, n, weights, base, width, sums, begin, silent):
    """Write the sums of n rows [words, rows] from ``first`` on, for ``width`` outputs, a multiple of 16."""
    K = rows.shape[0]
    count = silent[:n]
    count[:] = 0
    for k in range(K):
        words = rows[k, first : first + n]
        for r in range(n):
            count[r] += ones(_u(words[r]))
    o = 0
    while o + 4 * _LANES <= width:
        for r in range(n):
            a, b, c, d = zeros(_LANES), zeros(_LANES), zeros(_LANES), zeros(_LANES)
            for k in range(K):
                word = _u(rows[k, _u(first + r)])
                at = base + k * width + o
                a = add_common_ones(a, load(weights, at, _LANES), word)
                b = add_common_ones(b, load(weights, at + _LANES, _LANES), word)
                c = add_common_ones(c, load(weights, at + 2 * _LANES, _LANES), word)
                d = add_common_ones(d, load(weights, at + 3 * _LANES, _LANES), word)
            at = r * sums.shape[1] + begin + o
            store_pairs(sums, at, a, b, count[r])
            store_pairs(sums, at + 2 * _LANES, c, d, count[r])
        o += 4 * _LANES
    if o < width:
        for r in range(n):
            a, b = zeros(_LANES), zeros(_LANES)
            for k in range(K):
                word = _u(rows[k, _u(first + r)])
                at = base + k * width + o
                a = add_common_ones(a, load(weights, at, _LANES), word)
                b = add_common_ones(b, load(weights, at + _LANES, _LANES), word)
            store_pairs(sums, r * sums.shape[1] + begin + o, a, b, count[r])
