"""Packed convolutions over maps: what they sum, the largest sum of each window, and the neurons behind it in one pass.

Some lines of outputs at a time, so that nothing but bits, or the currents that are asked for, leaves the cache.
"""

# packed_rows.py: 2d0b4d77
# packed_pairs.py: 0e59e061
# packed_lines.py: 1d13b8dc
# packed_products.py: e1cf35f5
# packed_neurons.py: 3d8855aa
# vectors.py: 08204e43
# packed_firing.py: fda0982d
from __future__ import annotations

import numpy as np
from numba import njit

from snntorch_binary.kernels.compiled.packed_firing import at_rest, fire, rest
from snntorch_binary.kernels.compiled.packed_lines import frame, gather_lines
from snntorch_binary.kernels.compiled.packed_neurons import currents_of, normalise
from snntorch_binary.kernels.compiled.packed_pairs import by_pairs
from snntorch_binary.kernels.compiled.packed_products import PLANES, by_rows
from snntorch_binary.kernels.compiled.packed_rows import aligned
from snntorch_binary.kernels.compiled.vectors import keep_larger
from snntorch_binary.kernels.engine import announced

_ROWS_AT_ONCE = 32
_WORDS_AT_ONCE = 2**13

ROWS = 1


@njit(nogil=True, error_model="numpy")
def _largest(sums, columns, lines, pooling, pooled):
    """Write the largest sums of each window; ``columns`` of the sums make a line."""
    window, step, (_, across) = pooling
    live = pooled.shape[1]
    best, flat = pooled.reshape(-1), sums.reshape(-1)
    best[:] = -(2**31)
    for line in range(lines):
        for i in range(window[0]):
            for j in range(window[1]):
                first = ((line * step[0] + i) * columns + j) * live
                for column in range(across):  # the innermost, so that no maximum waits for the one before
                    at, source = (line * across + column) * live, first + column * step[1] * live
                    for c in range(0, live, 16):
                        keep_larger(best, at + c, flat, source + c)


@njit(nogil=True, error_model="numpy")
def _is_pooled(pooling):
    """Say whether there is something to pool: windows of one with a step leave out sums."""
    window, step, _ = pooling
    return window[0] * window[1] * step[0] * step[1] > 1


@njit(nogil=True, error_model="numpy")
def _room(geometry, pooling, blocks, size, live):
    """Return what a layer computes in: how many lines are gathered and summed at once, frames, rows, and sums."""
    (height, width), kernel, _, _, before, after = geometry
    window, step, (down, across) = pooling
    inputs, _, channels = size
    tall, wide = height + before[0] + after[0], width + before[1] + after[1]
    columns, words, B = (across - 1) * step[1] + window[1], (inputs + 63) >> 6, blocks.shape[0]
    lines = max(1, min(_ROWS_AT_ONCE // across, down))
    gathered = lines * max(1, min(-(-down // lines), _WORDS_AT_ONCE // (B * words * wide * step[0] * lines)))
    framed = np.zeros((B, (channels + 63) >> 6, tall, wide), np.int64)
    rows = np.empty((B, words, ((gathered - 1) * step[0] + window[0]) * wide), np.int64)
    parts = np.empty(((kernel[1] * channels + 63) >> 6, tall * wide), np.int64)
    n = ((lines - 1) * step[0] + window[0]) * columns
    scratch = np.empty(64 * words + 72, np.int64), aligned(64 * PLANES).view(np.int64), np.empty(n, np.int64)
    sums = aligned(4 * n * live).view(np.int32).reshape(n, live)
    pooled = sums
    if _is_pooled(pooling):
        pooled = aligned(4 * lines * across * live).view(np.int32).reshape(lines * across, live)
    return (lines, gathered, columns), (framed, parts), rows, scratch, (sums, pooled)


@njit(nogil=True, error_model="numpy")
def _gather(image, top, lines, geometry, pooling, blocks, channels, frames, rows):
    """Write what each product sees of pooled lines ``top`` to ``top + lines``."""
    shape, kernel, stride, dilation, before, _ = geometry
    window, step, _ = pooling
    framed, parts = frames
    for j in range(blocks.shape[0]):
        if top == 0:
            frame(image, blocks[j, 0] >> 6, shape, before, channels, framed[j])
        count = (lines - 1) * step[0] + window[0]
        gather_lines(framed[j], top * step[0], count, kernel, stride, dilation, channels, parts, rows[j])


@njit(nogil=True, error_model="numpy")
def _sum(rows, wide, first, lines, columns, pooling, blocks, products, layout, size, scratch, sums):
    """Write the sums of ``lines`` pooled lines from the gathered one ``first`` on, and the largest of each window."""
    inputs, outputs, _ = size
    active, planes, silent = scratch
    window, step, _ = pooling
    every, pooled = sums
    for j in range(blocks.shape[0]):
        for line in range((lines - 1) * step[0] + window[0]):
            begin = (first * step[0] + line) * wide
            found = every[line * columns : (line + 1) * columns]
            if layout == ROWS:
                seen, stride = rows[j].T[begin : begin + columns], outputs >> 6
                by_rows(seen, columns, products, blocks[j, 1], inputs, stride, found, blocks[j, 2], active, planes)
            else:
                by_pairs(rows[j], begin, columns, products, blocks[j, 1], outputs, found, blocks[j, 2], silent)
    if _is_pooled(pooling):
        _largest(every, columns, lines, pooling, pooled)


@announced
@njit(cache=True, nogil=True, error_model="numpy")
def spikes(
    words,
    geometry,
    pooling,
    blocks,
    products,
    layout,
    size,
    live,
    scale,
    bias,
    addition,
    norm,
    added,
    neuron,
    constants,
    out,
):
    """A convolution and its neurons, from the words of its input [T, B, positions, words] to those of its spikes.

    Args:
        words: the input.
        geometry: height and width of the input, kernel, stride, dilation, padding before and behind.
        pooling: window, step, and height and width of what is pooled; windows of one where nothing is.
        blocks: bit offset, first weight and first output of each product.
        products: the weights.
        layout: of the weights.
        size: inputs of an output, outputs of a product, channels of a position.
        live: outputs that are computed, of those that fill whole words.
        scale: of every output.
        bias: of every output.
        addition: how the two are rounded.
        norm: of a batch norm: how it is rounded, scale and bias.
        added: what is added to the currents, and the words and numbers [T, B, positions, ...] of that, flat.
        neuron: the kind, and that of the reset.
        constants: [5, outputs].
        out: the words of the spikes.
    """
    T, B, P, W = out.shape
    down, across = pooling[2]
    (lines, gathered, columns), frames, rows, scratch, sums = _room(geometry, pooling, blocks, size, live)
    wide = frames[0].shape[3]
    scales = np.stack((scale, bias, norm[1], norm[2]))
    mem, traces = at_rest(neuron[0], P * live)
    pieces, bits, more = out.reshape(-1).view(np.uint16), added[1].view(np.uint16), added[2]
    for b in range(B):
        rest(neuron[0], mem, traces)
        for t in range(T):
            at = (t * B + b) * P
            spiking, plus = pieces[at * 4 * W :], (added[0], bits[at * 4 * W :], more[at * live :])
            for top in range(0, down, lines):
                if top % gathered == 0:
                    many = min(gathered, down - top)
                    _gather(words[t, b], top, many, geometry, pooling, blocks, size[2], frames, rows)
                many, line = min(lines, down - top), top % gathered
                _sum(rows, wide, line, many, columns, pooling, blocks, products, layout, size, scratch, sums)
                flat, rounding, first = sums[1].reshape(-1), (addition, norm[0]), top * across
                fire(neuron, flat, many * across, first, live, rounding, scales, constants, plus, mem, traces, spiking)


@announced
@njit(cache=True, nogil=True, error_model="numpy")
def currents(words, geometry, pooling, blocks, products, layout, size, live, scale, bias, addition, norm, out):
    """A convolution without neurons, from words [N, 1, positions, words] to currents [N · positions, K, C]."""
    down, across = pooling[2]
    (lines, gathered, columns), frames, rows, scratch, sums = _room(geometry, pooling, blocks, size, live)
    for n in range(words.shape[0]):
        for top in range(0, down, lines):
            if top % gathered == 0:
                many = min(gathered, down - top)
                _gather(words[n, 0], top, many, geometry, pooling, blocks, size[2], frames, rows)
            many = min(lines, down - top)
            wide, first = frames[0].shape[3], top % gathered
            _sum(rows, wide, first, many, columns, pooling, blocks, products, layout, size, scratch, sums)
            first = (n * down + top) * across
            currents_of(sums[1], many * across, scale, bias, addition, out, first)
            normalise(out, first, many * across, norm)
