"""Sums of ±1 weights over the spikes of a row, by counting bits; see :mod:`snntorch_binary.packed.layer`.

A row is the input of one output position, as bits. Its sums come from one of two layouts of the weights:

``columns`` [inputs / 64, outputs]: a word holds 64 inputs of one output. Every word of the row meets every output: and,
count the ones, add.

``rows`` [inputs + 1, outputs / 64]: a word holds 64 outputs of one input, the last row is zero. Only the inputs that
spike are touched: their rows are added up in bit planes, a carry-save adder over whole words (Harley and Seal), so that
one instruction adds to hundreds of outputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from snntorch_binary.kernels.compiled.vectors import (
    add_common_ones,
    add_where,
    bits_above,
    both,
    counts_of,
    either,
    first_one,
    fused,
    load,
    majority,
    ones,
    parity,
    store,
    store_counts,
    store_difference,
    zeros,
)
from snntorch_binary.kernels.engine import announced

_f = np.float32
_u = np.uint64
_PLANES = 16
_LANES = 8

COLUMNS, ROWS = 0, 1
LEAKY, SYNAPTIC, SRM = 0, 1, 2
NONE, SUBTRACT, ZERO = 0, 1, 2
_STATES = (1, 2, 4)  # of a neuron: its membrane potential and its traces


# ---- a row of the input --------------------------------------------------------------------------


@njit(nogil=True, error_model="numpy")
def _gather(words, taps, position, offset, width, row):  # type: ignore[no-untyped-def]
    """Write the bits [offset, offset + width) of every tap, one after the other, to the words of ``row``."""
    row[:] = _u(0)
    place = 0
    for tap in range(taps.shape[1]):
        source = taps[position, tap]
        if source >= 0:
            done = 0
            while done < width:
                size = min(64, width - done)
                begin = offset + done
                shift = _u(begin & 63)
                word = _u(words[source, begin >> 6]) >> shift
                if (begin & 63) + size > 64:
                    word |= _u(words[source, (begin >> 6) + 1]) << (_u(64) - shift)
                if size < 64:
                    word &= (_u(1) << _u(size)) - _u(1)
                at = place + done
                shift = _u(at & 63)
                row[at >> 6] |= word << shift
                if (at & 63) + size > 64:
                    row[(at >> 6) + 1] |= word >> (_u(64) - shift)
                done += size
        place += width


@njit(nogil=True, error_model="numpy")
def _spikes_of(row, active):  # type: ignore[no-untyped-def]
    """Write the places of the ones of ``row`` to ``active``, which has room for 8 more; return their number."""
    n = 0
    for k in range(row.shape[0]):
        word = row[k]
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


# ---- columns: count common ones ------------------------------------------------------------------


@njit(nogil=True, error_model="numpy")
def _by_columns(row, weights, base, width, sums, begin, active):  # type: ignore[no-untyped-def]
    spikes = 0
    n = 0
    for k in range(row.shape[0]):
        spikes += ones(row[k])
        active[n] = k
        n += row[k] != _u(0)
    o = 0
    while o + 4 * _LANES <= width:
        a, b, c, d = zeros(_LANES), zeros(_LANES), zeros(_LANES), zeros(_LANES)
        for i in range(n):
            k = active[i]
            at = base + k * width + o
            a = add_common_ones(a, load(weights, at, _LANES), row[k])
            b = add_common_ones(b, load(weights, at + _LANES, _LANES), row[k])
            c = add_common_ones(c, load(weights, at + 2 * _LANES, _LANES), row[k])
            d = add_common_ones(d, load(weights, at + 3 * _LANES, _LANES), row[k])
        store_difference(sums, begin + o, a, spikes)
        store_difference(sums, begin + o + _LANES, b, spikes)
        store_difference(sums, begin + o + 2 * _LANES, c, spikes)
        store_difference(sums, begin + o + 3 * _LANES, d, spikes)
        o += 4 * _LANES
    while o + _LANES <= width:
        a = zeros(_LANES)
        for i in range(n):
            k = active[i]
            a = add_common_ones(a, load(weights, base + k * width + o, _LANES), row[k])
        store_difference(sums, begin + o, a, spikes)
        o += _LANES
    while o < width:
        total = 0
        for i in range(n):
            k = active[i]
            total += ones(_u(weights[base + k * width + o]) & row[k])
        sums[begin + o] = 2 * total - spikes
        o += 1


# ---- rows: add the rows of the inputs that spike --------------------------------------------------


def _adder(lanes: int) -> Any:
    """Return the kernel that adds up ``lanes`` words of the active rows."""

    @njit(nogil=True, error_model="numpy", forceinline=True)
    def eight_rows(weights, at, stride, active, j, p1, p2, p4):  # type: ignore[no-untyped-def]
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

    @njit(nogil=True, error_model="numpy")
    def add(weights, at, stride, active, n, padded, planes, sums, begin):  # type: ignore[no-untyped-def]
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
        low = (_PLANES - 4) * lanes
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
def _by_rows(row, weights, base, inputs, stride, sums, begin, active, planes):  # type: ignore[no-untyped-def]
    n = _spikes_of(row, active)
    padded = (n + 7) & ~7
    for j in range(n, padded):
        active[j] = inputs
    w = 0
    while w + 8 <= stride:
        _add_8(weights, base + w, stride, active, n, padded, planes, sums, begin + 64 * w)
        w += 8
    while w + 4 <= stride:
        _add_4(weights, base + w, stride, active, n, padded, planes, sums, begin + 64 * w)
        w += 4
    while w < stride:
        _add_1(weights, base + w, stride, active, n, padded, planes, sums, begin + 64 * w)
        w += 1


@njit(nogil=True, error_model="numpy")
def _sums_of(words, taps, position, width, direct, blocks, weights, layout, size, row, active, planes, sums):  # type: ignore[no-untyped-def]
    """Write the sums of one output position, of all blocks: their bit offset, their weights, their first output."""
    inputs, outputs = size
    gathered = -1
    for j in range(blocks.shape[0]):
        offset = blocks[j, 0]
        if direct:
            begin = offset >> 6
            for k in range(row.shape[0]):
                row[k] = _u(words[taps[position, 0], begin + k])
        elif offset != gathered:
            _gather(words, taps, position, offset, width, row)
            gathered = offset
        if layout == ROWS:
            _by_rows(row, weights, blocks[j, 1], inputs, outputs >> 6, sums, blocks[j, 2], active, planes)
        else:
            _by_columns(row, weights, blocks[j, 1], outputs, sums, blocks[j, 2], active)


# ---- from sums to currents and spikes ------------------------------------------------------------


@njit(nogil=True, error_model="numpy")
def _currents_of(sums, scale, bias, addition, current):  # type: ignore[no-untyped-def]
    """scale · sum + bias as the float layer rounds it: addition 0 is without bias, 1 rounds twice, 2 once."""
    if addition == 0:
        for o in range(current.shape[0]):
            current[o] = _f(sums[o]) * scale[o]
    elif addition == 1:
        for o in range(current.shape[0]):
            current[o] = _f(sums[o]) * scale[o] + bias[o]
    else:
        for o in range(current.shape[0]):
            current[o] = fused(_f(sums[o]), scale[o], bias[o])


@njit(nogil=True, error_model="numpy")
def _leaky_step(x, mem, beta, threshold, above, reset):  # type: ignore[no-untyped-def]
    if reset == SUBTRACT:
        for o in range(x.shape[0]):
            u = beta[o] * mem[o] + x[o]
            mem[o] = u - threshold[o] if mem[o] > above[o] else u
    elif reset == ZERO:
        for o in range(x.shape[0]):
            mem[o] = beta[o] * (_f(0) if mem[o] > above[o] else mem[o]) + x[o]
    else:
        for o in range(x.shape[0]):
            mem[o] = beta[o] * mem[o] + x[o]


@njit(nogil=True, error_model="numpy")
def _synaptic_step(x, mem, syn, alpha, beta, threshold, above, reset):  # type: ignore[no-untyped-def]
    for o in range(x.shape[0]):
        syn[o] = alpha[o] * syn[o] + x[o]
    if reset == ZERO:
        for o in range(x.shape[0]):
            u = beta[o] * mem[o] + syn[o]
            mem[o] = _f(0) if mem[o] > above[o] else u
    else:
        _leaky_step(syn, mem, beta, threshold, above, reset)


@njit(nogil=True, error_model="numpy")
def _srm_step(x, mem, p, q, r, alpha, beta, gamma, above):  # type: ignore[no-untyped-def]
    for o in range(x.shape[0]):
        p[o] = alpha[o] * p[o] + q[o]
        q[o] = beta[o] * q[o] + x[o]
        r[o] = gamma[o] * r[o] + (_f(1) if mem[o] > above[o] else _f(0))
        mem[o] = p[o] - r[o]


# ---- whole layers ----------------------------------------------------------------------------------


@announced
@njit(cache=True, nogil=True, error_model="numpy")
def spikes(words, taps, width, direct, blocks, weights, layout, size, scale, bias, addition, neuron, reset, constants, out):  # type: ignore[no-untyped-def]
    """A layer and its neurons, from the words of its input [T, B, positions, words] to those of its spikes."""
    T, B, P, n = out.shape
    row = np.empty((size[0] + 63) >> 6, np.uint64)
    active = np.empty(64 * row.shape[0] + 72, np.int64)
    planes = np.empty(8 * _PLANES, np.int64)
    sums = np.zeros(scale.shape[0] + 64, np.int32)
    x = np.empty(scale.shape[0], np.float32)
    alpha, beta, gamma, threshold, above = constants
    state = np.empty((_STATES[neuron], P, x.shape[0]), np.float32)
    for b in range(B):
        state[:] = _f(0)
        if neuron == SRM:
            state[0] = -np.inf  # no spike before the first step
        for t in range(T):
            for p in range(P):
                _sums_of(
                    words[t, b], taps, p, width, direct, blocks, weights, layout, size, row, active, planes, sums
                )
                _currents_of(sums, scale, bias, addition, x)
                mem = state[0, p]
                if neuron == LEAKY:
                    _leaky_step(x, mem, beta, threshold, above, reset)
                elif neuron == SYNAPTIC:
                    _synaptic_step(x, mem, state[1, p], alpha, beta, threshold, above, reset)
                else:
                    _srm_step(x, mem, state[1, p], state[2, p], state[3, p], alpha, beta, gamma, above)
                for k in range(n):
                    out[t, b, p, k] = bits_above(mem, above, 64 * k)


@announced
@njit(cache=True, nogil=True, error_model="numpy")
def currents(words, taps, width, direct, blocks, weights, layout, size, scale, bias, addition, out):  # type: ignore[no-untyped-def]
    """A layer without neurons, from the words of its input [N, positions, words] to currents [N, positions, K, C]."""
    N, P, K, C = out.shape
    row = np.empty((size[0] + 63) >> 6, np.uint64)
    active = np.empty(64 * row.shape[0] + 72, np.int64)
    planes = np.empty(8 * _PLANES, np.int64)
    sums = np.zeros(scale.shape[0] + 64, np.int32)
    x = np.empty(scale.shape[0], np.float32)
    stride = scale.shape[0] // K
    for i in range(N):
        for p in range(P):
            _sums_of(words[i], taps, p, width, direct, blocks, weights, layout, size, row, active, planes, sums)
            _currents_of(sums, scale, bias, addition, x)
            for k in range(K):
                out[i, p, k] = x[k * stride : k * stride + C]


@announced
@njit(cache=True, nogil=True, error_model="numpy")
def pool(words, taps, out):  # type: ignore[no-untyped-def]
    """The maximum over the taps of every position of [N, positions, words]: spikes are 0 or 1, so it is an or."""
    for i in range(out.shape[0]):
        for p in range(out.shape[1]):
            for k in range(out.shape[2]):
                word = 0
                for tap in range(taps.shape[1]):
                    if taps[p, tap] >= 0:
                        word |= words[i, taps[p, tap], k]
                out[i, p, k] = word
