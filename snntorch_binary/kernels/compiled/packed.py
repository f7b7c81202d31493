"""Sums of ±1 weights over the spikes of a row, by counting bits; see :mod:`snntorch_binary.packed.layer`.

A row is the input of one output position, as bits. Its sums come from one of two layouts of the weights:

``columns`` [inputs / 64, outputs]: a word holds 64 inputs of one output. Every word of the row meets every output: and,
count the ones, add.

``rows`` [inputs + 1, outputs / 64]: a word holds 64 outputs of one input, the last row is zero. Only the inputs that
spike are touched: their rows are added up in bit planes, a carry-save adder over whole words (Harley and Seal), so that
one instruction adds to hundreds of outputs.
"""

# vectors.py: f01eaf34
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
_TRACES = (0, 1, 3)  # of a neuron, beside its membrane potential


# ---- rows of the input ---------------------------------------------------------------------------


@njit(nogil=True, error_model="numpy")
def _gather(words, taps, begin, end, batch, offset, width, inputs, rows):
    """Write what output positions begin to end, counted over time, see: of every tap, ``width`` bits at ``offset``.

    A width of 0 stands for one tap that is copied by whole words.
    """
    P = taps.shape[0]
    whole = (offset | width) & 63 == 0
    n = rows.shape[1] // taps.shape[1]
    first = offset >> 6
    t, p = begin // P, begin % P
    for row in range(end - begin):
        if whole:
            for tap in range(taps.shape[1]):
                source = taps[p, tap]
                if n == 1:
                    rows[row, tap] = words[t, batch, _u(source), _u(first)] if source >= 0 else 0
                else:
                    for k in range(n):
                        word = words[t, batch, _u(source), _u(first + k)] if source >= 0 else 0
                        rows[row, _u(tap * n + k)] = word
        else:
            for k in range(rows.shape[1]):
                rows[row, k] = 0
            for tap in range(taps.shape[1]):
                source = taps[p, tap]
                if source >= 0:
                    _append(words[t, batch, source], offset, width, rows[row], tap * width)
        p += 1
        if p == P:
            t, p = t + 1, 0
    if inputs & 63:  # a bit past the last input would be taken for a row of weights
        for row in range(end - begin):
            rows[row, rows.shape[1] - 1] &= (1 << (inputs & 63)) - 1


@njit(nogil=True, error_model="numpy")
def _append(words, offset, width, row, place):
    """Write the bits [offset, offset + width) of ``words`` to ``row``, from bit ``place`` on."""
    done = 0
    while done < width:
        size = min(64, width - done)
        begin = offset + done
        shift = _u(begin & 63)
        word = _u(words[begin >> 6]) >> shift
        if (begin & 63) + size > 64:
            word |= _u(words[(begin >> 6) + 1]) << (_u(64) - shift)
        if size < 64:
            word &= (_u(1) << _u(size)) - _u(1)
        at = place + done
        shift = _u(at & 63)
        row[at >> 6] |= np.int64(word << shift)
        if (at & 63) + size > 64:
            row[(at >> 6) + 1] |= np.int64(word >> (_u(64) - shift))
        done += size


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


# ---- columns: count common ones ------------------------------------------------------------------


@njit(nogil=True, error_model="numpy")
def _by_columns(rows, n, weights, base, width, sums, begin, silent):
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


def _adder(lanes: int) -> Any:
    """Return the kernel that adds up ``lanes`` words of the active rows."""

    @njit(nogil=True, error_model="numpy", forceinline=True)
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

    @njit(nogil=True, error_model="numpy")
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
def _by_rows(rows, n, weights, base, inputs, stride, sums, begin, active, planes):
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


@njit(nogil=True, error_model="numpy")
def _sums_of(words, taps, begin, end, batch, width, blocks, weights, layout, size, rows, scratch, sums):
    """Write the sums of output positions begin to end; ``blocks`` says bit offset, first weight, first output."""
    inputs, outputs = size
    active, planes, silent = scratch
    gathered = -1
    for j in range(blocks.shape[0]):
        if blocks[j, 0] != gathered:
            gathered = blocks[j, 0]
            _gather(words, taps, begin, end, batch, gathered, width, inputs, rows)
        if layout == ROWS:
            stride = outputs >> 6
            _by_rows(rows, end - begin, weights, blocks[j, 1], inputs, stride, sums, blocks[j, 2], active, planes)
        else:
            _by_columns(rows, end - begin, weights, blocks[j, 1], outputs, sums, blocks[j, 2], silent)


# ---- from sums to currents and spikes ------------------------------------------------------------
# Each takes many rows in a call: a call of a function with many arrays costs as much as a short row.


@njit(nogil=True, error_model="numpy")
def _currents_of(sums, n, scale, bias, addition, out, begin):
    """Write scale · sum + bias of n rows, rounded as the float layer rounds it, to out [rows, K, C] from ``begin`` on.

    ``addition`` is 0 without a bias, 1 where it rounds twice, 2 where it rounds once.
    """
    _, K, C = out.shape
    filled = scale.shape[0] // K
    for k in range(K):
        # Views, not sums of indices: numba takes those for possibly negative, and gathers element by element.
        first = k * filled
        a, b = scale[first : first + C], bias[first : first + C]
        for r in range(n):
            s, x = sums[r, first : first + C], out[begin + r, k]
            if addition == 0:
                for o in range(C):
                    x[o] = _f(s[o]) * a[o]
            elif addition == 1:
                for o in range(C):
                    x[o] = _f(s[o]) * a[o] + b[o]
            else:
                for o in range(C):
                    x[o] = fused(_f(s[o]), a[o], b[o])


@njit(nogil=True, error_model="numpy")
def _normalise(currents, begin, n, norm):
    """Pass n rows of currents [rows, K, C] through a batch norm: an addition as above, its scale and its bias."""
    addition, scale, bias = norm
    if addition == 0:
        return
    _, K, C = currents.shape
    filled = scale.shape[0] // K
    for k in range(K):
        first = k * filled
        a, b = scale[first : first + C], bias[first : first + C]
        for r in range(n):
            x = currents[begin + r, k]
            if addition == 1:
                for o in range(C):
                    x[o] = x[o] * a[o] + b[o]
            else:
                for o in range(C):
                    x[o] = fused(x[o], a[o], b[o])


@njit(nogil=True, error_model="numpy")
def _leaky(currents, n, begin, potential, constants, reset, out, batch):
    """Spikes of n rows of currents [rows, 1, C], of the output positions from ``begin`` on, counted over time."""
    P, C = potential.shape
    beta, threshold, above = constants[1], constants[3], constants[4]
    for r in range(n):
        t, p = (begin + r) // P, (begin + r) % P
        x, mem = currents[r, 0], potential[p]
        if reset == SUBTRACT:
            for o in range(C):
                u = beta[o] * mem[o] + x[o]
                mem[o] = u - threshold[o] if mem[o] > above[o] else u
        elif reset == ZERO:
            for o in range(C):
                mem[o] = beta[o] * (_f(0) if mem[o] > above[o] else mem[o]) + x[o]
        else:
            for o in range(C):
                mem[o] = beta[o] * mem[o] + x[o]
        for k in range(out.shape[3]):
            out[t, batch, p, k] = bits_above(mem, 64 * k, above, 64 * k)


@njit(nogil=True, error_model="numpy")
def _synaptic(currents, n, begin, potential, current, constants, reset, out, batch):
    P, C = potential.shape
    alpha, beta, threshold, above = constants[0], constants[1], constants[3], constants[4]
    for r in range(n):
        t, p = (begin + r) // P, (begin + r) % P
        x, mem, syn = currents[r, 0], potential[p], current[p]
        if reset == SUBTRACT:
            for o in range(C):
                syn[o] = alpha[o] * syn[o] + x[o]
                u = beta[o] * mem[o] + syn[o]
                mem[o] = u - threshold[o] if mem[o] > above[o] else u
        else:
            for o in range(C):
                syn[o] = alpha[o] * syn[o] + x[o]
                u = beta[o] * mem[o] + syn[o]
                mem[o] = _f(0) if reset == ZERO and mem[o] > above[o] else u
        for k in range(out.shape[3]):
            out[t, batch, p, k] = bits_above(mem, 64 * k, above, 64 * k)


@njit(nogil=True, error_model="numpy")
def _srm(currents, n, begin, potential, traces, constants, out, batch):
    P, C = potential.shape
    alpha, beta, gamma, above = constants[0], constants[1], constants[2], constants[4]
    for r in range(n):
        t, p = (begin + r) // P, (begin + r) % P
        x, mem = currents[r, 0], potential[p]
        membrane, synaptic, refractory = traces[0, p], traces[1, p], traces[2, p]
        for o in range(C):
            membrane[o] = alpha[o] * membrane[o] + synaptic[o]
            synaptic[o] = beta[o] * synaptic[o] + x[o]
            refractory[o] = gamma[o] * refractory[o] + (_f(1) if mem[o] > above[o] else _f(0))
            mem[o] = membrane[o] - refractory[o]
        for k in range(out.shape[3]):
            out[t, batch, p, k] = bits_above(mem, 64 * k, above, 64 * k)


# ---- whole layers --------------------------------------------------------------------------------


@njit(nogil=True, error_model="numpy")
def _aligned(size):
    """Return bytes that begin at a cache line: a vector that lies across two is slow to read back."""
    memory = np.empty(size + 64, np.uint8)
    begin = -memory.ctypes.data & 63
    return memory[begin : begin + size]


@njit(nogil=True, error_model="numpy")
def _room(positions, inputs, outputs):
    """Return what a layer computes in: some rows at a time, so that their sums stay in the cache."""
    n = max(1, min(32, 2**12 // outputs, positions))
    words = (inputs + 63) >> 6
    active = np.empty(64 * words + 72, np.int64)
    scratch = active, _aligned(64 * _PLANES).view(np.int64), np.empty(n, np.int64)
    sums = _aligned(4 * n * outputs).view(np.int32).reshape(n, outputs)
    return n, np.empty((n, words), np.int64), scratch, sums


@announced
@njit(cache=True, nogil=True, error_model="numpy")
def spikes(
    words, taps, width, blocks, weights, layout, size, scale, bias, addition, norm, neuron, reset, constants, out
):
    """A layer and its neurons, from the words of its input [T, B, positions, words] to those of its spikes."""
    T, B, P, _ = out.shape
    at_once, rows, scratch, sums = _room(T * P, size[0], scale.shape[0])
    x = _aligned(4 * at_once * scale.shape[0]).view(np.float32).reshape(at_once, 1, scale.shape[0])
    mem = _aligned(4 * P * scale.shape[0]).view(np.float32).reshape(P, scale.shape[0])
    traces = np.empty((_TRACES[neuron], *mem.shape), np.float32)
    for b in range(B):
        mem[:] = _f(-np.inf) if neuron == SRM else _f(0)  # an SRM does not fire before its first step
        traces[:] = _f(0)
        for begin in range(0, T * P, at_once):
            n = min(at_once, T * P - begin)
            _sums_of(words, taps, begin, begin + n, b, width, blocks, weights, layout, size, rows, scratch, sums)
            _currents_of(sums, n, scale, bias, addition, x, 0)
            _normalise(x, 0, n, norm)
            if neuron == LEAKY:
                _leaky(x, n, begin, mem, constants, reset, out, b)
            elif neuron == SYNAPTIC:
                _synaptic(x, n, begin, mem, traces[0], constants, reset, out, b)
            else:
                _srm(x, n, begin, mem, traces, constants, out, b)


@announced
@njit(cache=True, nogil=True, error_model="numpy")
def currents(words, taps, width, blocks, weights, layout, size, scale, bias, addition, norm, out):
    """A layer without neurons, from words [N, 1, positions, words] to currents [N · positions, K, C]."""
    N = out.shape[0]
    at_once, rows, scratch, sums = _room(N, size[0], scale.shape[0])
    for begin in range(0, N, at_once):
        n = min(at_once, N - begin)
        _sums_of(words, taps, begin, begin + n, 0, width, blocks, weights, layout, size, rows, scratch, sums)
        _currents_of(sums, n, scale, bias, addition, out, begin)
        _normalise(out, begin, n, norm)


@announced
@njit(cache=True, nogil=True, error_model="numpy")
def pool(words, taps, out):
    """The maximum over the taps of every position of [N, positions, words]: spikes are 0 or 1, so it is an or."""
    for i in range(out.shape[0]):
        for p in range(out.shape[1]):
            for k in range(out.shape[2]):
                word = 0
                for tap in range(taps.shape[1]):
                    if taps[p, tap] >= 0:
                        word |= words[i, taps[p, tap], k]
                out[i, p, k] = word
