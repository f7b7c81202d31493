"""Whole packed layers: from the bits of their input to currents, or to the bits of their spikes.

A few output positions at a time: what they see (``packed_rows``), its sums with the weights (``packed_products``), and
what becomes of these (``packed_neurons``).
"""

# packed_rows.py: 2d0b4d77
# packed_products.py: e1cf35f5
# packed_neurons.py: 3d8855aa
from __future__ import annotations

import numpy as np
from numba import njit

from snntorch_binary.kernels.compiled.packed_neurons import (
    LEAKY,
    SRM,
    SYNAPTIC,
    TRACES,
    currents_of,
    leaky,
    normalise,
    srm,
    synaptic,
)
from snntorch_binary.kernels.compiled.packed_products import PLANES, by_columns, by_rows
from snntorch_binary.kernels.compiled.packed_rows import aligned, gather
from snntorch_binary.kernels.engine import announced

_f = np.float32

COLUMNS, ROWS = 0, 1


@njit(nogil=True, error_model="numpy")
def _sums_of(words, taps, begin, end, batch, width, blocks, weights, layout, size, rows, scratch, sums):
    """Write the sums of output positions begin to end; ``blocks`` says bit offset, first weight, first output."""
    inputs, outputs = size
    active, planes, silent = scratch
    gathered = -1
    for j in range(blocks.shape[0]):
        if blocks[j, 0] != gathered:
            gathered = blocks[j, 0]
            gather(words, taps, begin, end, batch, gathered, width, inputs, rows)
        if layout == ROWS:
            stride = outputs >> 6
            by_rows(rows, end - begin, weights, blocks[j, 1], inputs, stride, sums, blocks[j, 2], active, planes)
        else:
            by_columns(rows, end - begin, weights, blocks[j, 1], outputs, sums, blocks[j, 2], silent)


@njit(nogil=True, error_model="numpy")
def _room(positions, inputs, outputs):
    """Return what a layer computes in: some rows at a time, so that their sums stay in the cache."""
    n = max(1, min(32, 2**12 // outputs, positions))
    words = (inputs + 63) >> 6
    active = np.empty(64 * words + 72, np.int64)
    scratch = active, aligned(64 * PLANES).view(np.int64), np.empty(n, np.int64)
    sums = aligned(4 * n * outputs).view(np.int32).reshape(n, outputs)
    return n, np.empty((n, words), np.int64), scratch, sums


@announced
@njit(cache=True, nogil=True, error_model="numpy")
def spikes(
    words, taps, width, blocks, weights, layout, size, scale, bias, addition, norm, neuron, reset, constants, out
):
    """A layer and its neurons, from the words of its input [T, B, positions, words] to those of its spikes."""
    T, B, P, _ = out.shape
    at_once, rows, scratch, sums = _room(T * P, size[0], scale.shape[0])
    x = aligned(4 * at_once * scale.shape[0]).view(np.float32).reshape(at_once, 1, scale.shape[0])
    mem = aligned(4 * P * scale.shape[0]).view(np.float32).reshape(P, scale.shape[0])
    traces = np.empty((TRACES[neuron], *mem.shape), np.float32)
    for b in range(B):
        mem[:] = _f(-np.inf) if neuron == SRM else _f(0)  # an SRM does not fire before its first step
        traces[:] = _f(0)
        for begin in range(0, T * P, at_once):
            n = min(at_once, T * P - begin)
            _sums_of(words, taps, begin, begin + n, b, width, blocks, weights, layout, size, rows, scratch, sums)
            currents_of(sums, n, scale, bias, addition, x, 0)
            normalise(x, 0, n, norm)
            if neuron == LEAKY:
                leaky(x, n, begin, mem, constants, reset, out, b)
            elif neuron == SYNAPTIC:
                synaptic(x, n, begin, mem, traces[0], constants, reset, out, b)
            else:
                srm(x, n, begin, mem, traces, constants, out, b)


@announced
@njit(cache=True, nogil=True, error_model="numpy")
def currents(words, taps, width, blocks, weights, layout, size, scale, bias, addition, norm, out):
    """A layer without neurons, from words [N, 1, positions, words] to currents [N · positions, K, C]."""
    N = out.shape[0]
    at_once, rows, scratch, sums = _room(N, size[0], scale.shape[0])
    for begin in range(0, N, at_once):
        n = min(at_once, N - begin)
        _sums_of(words, taps, begin, begin + n, 0, width, blocks, weights, layout, size, rows, scratch, sums)
        currents_of(sums, n, scale, bias, addition, out, begin)
        normalise(out, begin, n, norm)


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
