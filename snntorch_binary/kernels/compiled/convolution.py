"""Convolutions that skip silent inputs and gradients of zero, see :mod:`snntorch_binary.kernels.convolution`.

Everything is channels-last: what the taps of one row of a kernel touch lies side by side.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from snntorch_binary.kernels.compiled.float_vectors import load, plus, plus_times, store, zeros
from snntorch_binary.kernels.compiled.widths import compiled_for
from snntorch_binary.kernels.engine import announced

# widths.py: 9a19cbcc
# float_vectors.py: 543b46e6
_inner = {"nogil": True, "error_model": "numpy"}
_options = {**_inner, "cache": True}
_FEW_IMAGES = 8


@announced
@njit(**_options)
def first_of_pixels(index, start, channels, first):
    """Write where the spikes of each pixel begin in ``index`` to ``first`` [N, H·W + 1], behind the last one too."""
    for n in range(start.shape[0] - 1):
        pixel = 0
        for k in range(start[n], start[n + 1]):
            while pixel <= index[k] // channels:
                first[n, pixel] = k
                pixel += 1
        while pixel < first.shape[1]:
            first[n, pixel] = start[n + 1]
            pixel += 1


def _summing(lanes):
    @compiled_for(lanes, **_inner)
    def sum_windows(index, first, n, size, table, left, kernel, stride, padding, outputs, out):
        height, width, channels = size
        rows, columns, features = outputs
        for row in range(rows):
            top = row * stride[0] - padding[0]
            for column in range(columns):
                side = column * stride[1] - padding[1]
                begin = min(max(side, 0), width)
                end = max(begin, min(side + kernel[1], width))
                total = zeros(lanes)
                for i in range(max(0, -top), min(kernel[0], height - top)):
                    line = (top + i) * width
                    shift = (i * kernel[1] - side - line) * channels
                    for k in range(first[n, line + begin], first[n, line + end]):
                        total = plus(total, table, (shift + index[k]) * features + left)
                store(out, ((n * rows + row) * columns + column) * features + left, total)

    return sum_windows


_sum_64, _sum_32, _sum_16, _sum_8, _sum_4, _sum_1 = (_summing(lanes) for lanes in (64, 32, 16, 8, 4, 1))


@announced
@njit(**_options)
def gather(index, first, size, table, kernel, stride, padding, outputs, out):
    """For every output position the sum of the weights [KH, KW, C, O] of the spikes in its window.

    Args:
        index: the spikes, places in [H, W, C].
        first: where those of each pixel begin.
        size: (H, W, C).
        table: the weights, flat.
        kernel: (KH, KW).
        stride: along H and W.
        padding: along H and W.
        outputs: (OH, OW, O).
        out: [N, OH, OW, O], flat.
    """
    features = outputs[2]
    for n in range(first.shape[0]):
        left = 0
        while left + 64 <= features:
            _sum_64(index, first, n, size, table, left, kernel, stride, padding, outputs, out)
            left += 64
        if left + 32 <= features:
            _sum_32(index, first, n, size, table, left, kernel, stride, padding, outputs, out)
            left += 32
        if left + 16 <= features:
            _sum_16(index, first, n, size, table, left, kernel, stride, padding, outputs, out)
            left += 16
        if left + 8 <= features:
            _sum_8(index, first, n, size, table, left, kernel, stride, padding, outputs, out)
            left += 8
        if left + 4 <= features:
            _sum_4(index, first, n, size, table, left, kernel, stride, padding, outputs, out)
            left += 4
        while left < features:
            _sum_1(index, first, n, size, table, left, kernel, stride, padding, outputs, out)
            left += 1


@njit(**_inner)
def _add(target, i, source, j, length):
    """Add ``length`` numbers from ``source[j]`` on to those from ``target[i]`` on."""
    stop = i + length
    while i + 16 <= stop:
        store(target, i, plus(load(target, i, 16), source, j))
        i, j = i + 16, j + 16
    if i + 8 <= stop:
        store(target, i, plus(load(target, i, 8), source, j))
        i, j = i + 8, j + 8
    if i + 4 <= stop:
        store(target, i, plus(load(target, i, 4), source, j))
        i, j = i + 4, j + 4
    while i < stop:
        target[i] += source[j]
        i, j = i + 1, j + 1


@njit(**_inner)
def _seen(spike, size, rows, columns, kernel, outputs):
    """Return where a spike goes first, by which weights, to how many lines of outputs, and how long these are."""
    _, width, channels = size
    _, width_out, features = outputs
    pixel = spike // channels
    line, channel = pixel // width, spike - pixel * channels
    row, column = rows[line], columns[pixel - line * width]
    at = (row[0] * width_out + column[0]) * features
    tap = ((channel * kernel[0] + row[2]) * kernel[1] + column[2]) * features
    return at, tap, row[1], column[1] * features


@announced
@njit(**_options)
def scatter(index, start, size, rows, columns, table, kernel, stride, outputs, out):
    """As :func:`gather`, spike by spike: faster where a window holds a few.

    Args:
        index: the spikes, places in [H, W, C].
        start: where those of each image begin.
        size: (H, W, C).
        rows: [H, 3], the first row of the output that sees a row of the input, how many do, and the tap of the first.
        columns: [W, 3], the same of columns; its tap is a place in the order of the table.
        table: the weights [C, KH, KW, O], flat; those that neighbouring columns see one input by stand side by side.
        kernel: (KH, KW).
        stride: along H.
        outputs: (OH, OW, O).
        out: [N, OH, OW, O], flat.
    """
    height_out, width_out, features = outputs
    each = height_out * width_out * features
    for n in range(start.shape[0] - 1):
        out[n * each : (n + 1) * each] = 0
        for k in range(start[n], start[n + 1]):
            at, tap, lines, length = _seen(index[k], size, rows, columns, kernel, outputs)
            at += n * each
            for _ in range(lines):
                _add(out, at, table, tap, length)
                at += width_out * features
                tap -= stride * kernel[1] * features


@announced
@njit(**_options)
def correlate(index, start, size, rows, columns, grad, kernel, stride, outputs, table):
    """The gradient of the table of :func:`scatter` from that of its output, written to ``table``."""
    height_out, width_out, features = outputs
    each = height_out * width_out * features
    part = np.zeros_like(table)  # of a few images: a sum of all, one after the other, rounds more
    table[:] = 0
    for n in range(start.shape[0] - 1):
        for k in range(start[n], start[n + 1]):
            at, tap, lines, length = _seen(index[k], size, rows, columns, kernel, outputs)
            at += n * each
            for _ in range(lines):
                _add(part, tap, grad, at, length)
                at += width_out * features
                tap -= stride * kernel[1] * features
        if n % _FEW_IMAGES == _FEW_IMAGES - 1 or n == start.shape[0] - 2:
            table += part
            part[:] = 0


def _collecting(lanes):
    @compiled_for(lanes, **_inner)
    def collect(source, places, begin, end, shift, table, at):
        total = load(table, at, lanes)
        for k in range(begin, end):
            total = plus(total, source, places[k] + shift)
        store(table, at, total)

    return collect


_collect_64, _collect_32, _collect_16, _collect_8, _collect_4, _collect_1 = map(_collecting, (64, 32, 16, 8, 4, 1))


@announced
@njit(**_options)
def correlate_by_channel(index, start, size, grad, kernel, padding, outputs, table):
    """As :func:`correlate` for a stride of 1, input channel by input channel, and its table in the order of taps.

    The gradients of an image stand in a frame so wide that every tap of every spike finds a place in it.
    """
    height, width, channels = size
    height_out, width_out, features = outputs
    above, before = kernel[0] - 1 - padding[0], kernel[1] - 1 - padding[1]
    wide = width + kernel[1] - 1
    frame = np.zeros((height + kernel[0] - 1) * wide * features, np.float32)
    first, end = max(0, -before), min(width_out, wide - before)
    begins, place = np.empty(channels + 1, np.int64), np.empty(channels, np.int64)
    places = np.empty(np.max(start[1:] - start[:-1]), np.int64)
    part = np.zeros_like(table)
    table[:] = 0
    for n in range(start.shape[0] - 1):
        for row in range(max(0, -above), min(height_out, height + kernel[0] - 1 - above)):
            source = ((n * height_out + row) * width_out + first) * features
            target = ((row + above) * wide + before + first) * features
            length = (end - first) * features
            frame[target : target + length] = grad[source : source + length]
        begins[:] = 0
        for k in range(start[n], start[n + 1]):
            begins[index[k] % channels + 1] += 1
        for channel in range(channels):
            begins[channel + 1] += begins[channel]
            place[channel] = begins[channel]
        for k in range(start[n], start[n + 1]):
            pixel = index[k] // channels
            channel, row = index[k] - pixel * channels, pixel // width
            column = pixel - row * width
            places[place[channel]] = ((row + kernel[0] - 1) * wide + column + kernel[1] - 1) * features
            place[channel] += 1
        for channel in range(channels):
            begin, stop = begins[channel], begins[channel + 1]
            if begin == stop:
                continue
            for i in range(kernel[0]):
                for j in range(kernel[1]):
                    shift = -(i * wide + j) * features
                    at = ((channel * kernel[0] + i) * kernel[1] + j) * features
                    left = 0
                    while left + 64 <= features:
                        _collect_64(frame, places, begin, stop, shift + left, part, at + left)
                        left += 64
                    if left + 32 <= features:
                        _collect_32(frame, places, begin, stop, shift + left, part, at + left)
                        left += 32
                    if left + 16 <= features:
                        _collect_16(frame, places, begin, stop, shift + left, part, at + left)
                        left += 16
                    if left + 8 <= features:
                        _collect_8(frame, places, begin, stop, shift + left, part, at + left)
                        left += 8
                    if left + 4 <= features:
                        _collect_4(frame, places, begin, stop, shift + left, part, at + left)
                        left += 4
                    while left < features:
                        _collect_1(frame, places, begin, stop, shift + left, part, at + left)
                        left += 1
        if n % _FEW_IMAGES == _FEW_IMAGES - 1 or n == start.shape[0] - 2:
            table += part
            part[:] = 0


def _spreading(lanes):
    @compiled_for(lanes, **_inner)
    def spread_lanes(target, to, table, tap, factors, places, count):
        total = load(target, to, lanes)
        for q in range(count):
            total = plus_times(total, factors[q], table, places[q] + tap)
        store(target, to, total)

    return spread_lanes


_spread_32, _spread_16, _spread_8, _spread_4, _spread_1 = (_spreading(lanes) for lanes in (32, 16, 8, 4, 1))


@announced
@njit(**_options)
def spread(grad, images, outputs, table, kernel, stride, padding, size, to_input):
    """The gradient of the input, from the gradients of outputs that are not zero.

    Args:
        grad: [N, OH, OW, O], flat.
        images: N.
        outputs: (OH, OW, O).
        table: the weights [O, KH, KW, C], flat.
        kernel: (KH, KW).
        stride: along H and W.
        padding: along H and W.
        size: (H, W, C).
        to_input: [N, H, W, C], flat.
    """
    height, width, channels = size
    rows, columns, features = outputs
    factors, places = np.empty(features + 1, np.float32), np.empty(features + 1, np.int64)
    to_input[:] = 0
    for n in range(images):
        for row in range(rows):
            for column in range(columns):
                count, source = 0, ((n * rows + row) * columns + column) * features
                for o in range(features):
                    factor = grad[source + o]
                    factors[count], places[count] = factor, o * kernel[0] * kernel[1] * channels
                    count += np.int64(factor != 0)  # NaN is not, either
                if count == 0:
                    continue
                top, side = row * stride[0] - padding[0], column * stride[1] - padding[1]
                begin, end = max(0, -side), min(kernel[1], width - side)
                for i in range(max(0, -top), min(kernel[0], height - top)):
                    to = ((n * height + top + i) * width + side + begin) * channels
                    tap = (i * kernel[1] + begin) * channels
                    stop = to + (end - begin) * channels
                    while to + 32 <= stop:
                        _spread_32(to_input, to, table, tap, factors, places, count)
                        to, tap = to + 32, tap + 32
                    if to + 16 <= stop:
                        _spread_16(to_input, to, table, tap, factors, places, count)
                        to, tap = to + 16, tap + 16
                    if to + 8 <= stop:
                        _spread_8(to_input, to, table, tap, factors, places, count)
                        to, tap = to + 8, tap + 8
                    if to + 4 <= stop:
                        _spread_4(to_input, to, table, tap, factors, places, count)
                        to, tap = to + 4, tap + 4
                    while to < stop:
                        _spread_1(to_input, to, table, tap, factors, places, count)
                        to, tap = to + 1, tap + 1
