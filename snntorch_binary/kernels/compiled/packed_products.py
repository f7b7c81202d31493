"""Sums of ±1 weights over the spikes of a row, by counting bits; see :mod:`snntorch_binary.packed.layer`.

A row is the input of one output position, as bits. Its sums come from one of two layouts of the weights:

``columns`` [inputs / 64, outputs]: a word holds 64 inputs of one output. Every word of the row meets every output: and,
count the ones, add.

``rows`` [inputs + 1, outputs / 64]: a word holds 64 outputs of one input, the last row is zero. Only the inputs that
spike are touched: their rows are added up in bit planes, a carry-save adder over whole words (Harley and Seal), so that
one instruction adds to hundreds of outputs.
"""

# widths.py: 9a19cbcc
# vectors.py: 08204e43
from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from snntorch_binary.kernels.compiled.vectors import (
    add_common_ones,
    add_where,
    both,
    counts_of,
    either,
    first_one,
    load,
    majority,
    ones,
    parity,
    store,
    store_counts,
    store_difference,
    zeros,
)
from snntorch_binary.kernels.compiled.widths import compiled_for

_u = np.uint64
_LANES = 8

PLANES = 16
"""Bit planes of a sum in memory: those of 16 and more from the front, those of 1, 2, 4 and 8 at the end."""


# ---- columns: count common ones ------------------------------------------------------------------


@njit(nogil=True, error_model="numpy")
def by_columns(rows, n, weights, base, width, sums, begin, silent):
    """Write the sums of n rows, for ``width`` outputs from ``begin`` on."""
    K = rows.shape[1]
    for r in range(n):
        total = 0
        for k in range(K):
            total += ones(_u(rows[r, k]))
        silent[r] = total
    o = 0
    while o + 4 * _LANES <= width:
        for r in range(n):
            a, b, c, d = zeros(_LANES), zeros(_LANES), zeros(_LANES), zeros(_LANES)
            for k in range(K):
                word = _u(rows[r, k])
                at = base + k * width + o
                a = add_common_ones(a, load(weights, at, _LANES), word)
                b = add_common_ones(b, load(weights, at + _LANES, _LANES), word)
                c = add_common_ones(c, load(weights, at + 2 * _LANES, _LANES), word)
                d = add_common_ones(d, load(weights, at + 3 * _LANES, _LANES), word)
            at = r * sums.shape[1] + begin + o
            store_difference(sums, at, a, silent[r])
            store_difference(sums, at + _LANES, b, silent[r])
            store_difference(sums, at + 2 * _LANES, c, silent[r])
            store_difference(sums, at + 3 * _LANES, d, silent[r])
        o += 4 * _LANES
    while o + _LANES <= width:
        for r in range(n):
            a = zeros(_LANES)
            for k in range(K):
                a = add_common_ones(a, load(weights, base + k * width + o, _LANES), _u(rows[r, k]))
            store_difference(sums, r * sums.shape[1] + begin + o, a, silent[r])
        o += _LANES
    for r in range(n):
        for last in range(o, width):
            total = 0
            for k in range(K):
                total += ones(_u(weights[base + k * width + last]) & _u(rows[r, k]))
            sums[r, begin + last] = 2 * total - silent[r]


# ---- rows: add the rows of the inputs that spike --------------------------------------------------


@njit(nogil=True, error_model="numpy")
def _spikes_of(rows, r, active):
    """Write the places of the ones of row r to ``active``; return their number."""
    n = 0
    for k in range(rows.shape[1]):
        word = _u(rows[r, k])
        count = ones(word)
        at = n
        n += count
        # Most words hold a few spikes: written without a branch on their number.
        for _ in range(4):
            active[at] = 64 * k + first_one(word)
            word &= word - _u(1)
            at += 1
        while at < n:
            active[at] = 64 * k + first_one(word)
            word &= word - _u(1)
            at += 1
    return n


def _adder(lanes: int) -> Any:
    """Return the kernel that adds up ``lanes`` words of the active rows."""

    @compiled_for(lanes, nogil=True, error_model="numpy", forceinline=True)
    def eight_rows(weights, at, stride, active, j, p1, p2, p4):
        a = load(weights, at + active[j] * stride, lanes)
        b = load(weights, at + active[j + 1] * stride, lanes)
        two_a, p1 = majority(p1, a, b), parity(p1, a, b)
        a = load(weights, at + active[j + 2] * stride, lanes)
        b = load(weights, at + active[j + 3] * stride, lanes)
        two_b, p1 = majority(p1, a, b), parity(p1, a, b)
        four_a, p2 = majority(p2, two_a, two_b), parity(p2, two_a, two_b)
        a = load(weights, at + active[j + 4] * stride, lanes)
        b = load(weights, at + active[j + 5] * stride, lanes)
        two_a, p1 = majority(p1, a, b), parity(p1, a, b)
        a = load(weights, at + active[j + 6] * stride, lanes)
        b = load(weights, at + active[j + 7] * stride, lanes)
        two_b, p1 = majority(p1, a, b), parity(p1, a, b)
        four_b, p2 = majority(p2, two_a, two_b), parity(p2, two_a, two_b)
        return p1, p2, parity(p4, four_a, four_b), majority(p4, four_a, four_b)

    @compiled_for(lanes, nogil=True, error_model="numpy")
    def add(weights, at, stride, active, n, padded, planes, sums, begin):
        p1, p2, p4, p8 = zeros(lanes), zeros(lanes), zeros(lanes), zeros(lanes)
        high = 0  # planes of 16 and more, in memory
        j = 0
        while j < padded:
            p1, p2, p4, carry = eight_rows(weights, at, stride, active, j, p1, p2, p4)
            j += 8
            if j < padded:
                p1, p2, p4, eight = eight_rows(weights, at, stride, active, j, p1, p2, p4)
                j += 8
                carry, p8 = majority(p8, carry, eight), parity(p8, carry, eight)
            else:
                carry, p8 = both(p8, carry), either(p8, carry)
            if j >> (4 + high):
                store(planes, high * lanes, zeros(lanes))
                high += 1
            for q in range(high):
                plane = load(planes, q * lanes, lanes)
                store(planes, q * lanes, either(plane, carry))
                carry = both(plane, carry)
        low = (PLANES - 4) * lanes
        store(planes, low, p1)
        store(planes, low + lanes, p2)
        store(planes, low + 2 * lanes, p4)
        store(planes, low + 3 * lanes, p8)
        for lane in range(lanes):
            counts = counts_of(-n)
            for q in range(4):
                counts = add_where(counts, _u(planes[low + q * lanes + lane]), 2 << q)
            for q in range(high):
                counts = add_where(counts, _u(planes[q * lanes + lane]), 32 << q)
            store_counts(sums, begin + 64 * lane, counts)

    return add


_add_8, _add_4, _add_1 = _adder(8), _adder(4), _adder(1)


@njit(nogil=True, error_model="numpy")
def by_rows(rows, n, weights, base, inputs, stride, sums, begin, active, planes):
    """Write the sums of n rows, for the outputs of ``stride`` words from ``begin`` on."""
    for r in range(n):
        spikes = _spikes_of(rows, r, active)
        padded = (spikes + 7) & ~7
        for j in range(spikes, padded):
            active[j] = inputs
        at = r * sums.shape[1] + begin
        w = 0
        while w + 8 <= stride:
            _add_8(weights, base + w, stride, active, spikes, padded, planes, sums, at + 64 * w)
            w += 8
        while w + 4 <= stride:
            _add_4(weights, base + w, stride, active, spikes, padded, planes, sums, at + 64 * w)
            w += 4
        while w < stride:
            _add_1(weights, base + w, stride, active, spikes, padded, planes, sums, at + 64 * w)
            w += 1
