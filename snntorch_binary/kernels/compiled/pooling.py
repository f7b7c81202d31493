"""Max pooling of maps that lie channels-last, see :mod:`snntorch_binary.kernels.pooled_convolution`."""

from __future__ import annotations

import numpy as np
from numba import njit

from snntorch_binary.kernels.compiled.float_vectors import (
    all_of,
    load,
    load_bytes,
    store,
    store_bytes,
    where_equal,
    where_larger,
    zeros,
)
from snntorch_binary.kernels.compiled.widths import compiled_for
from snntorch_binary.kernels.engine import announced

# widths.py: 9a19cbcc
# float_vectors.py: 543b46e6
_inner = {"nogil": True, "error_model": "numpy"}
_options = {**_inner, "cache": True}
_f = np.float32


def _pooling(lanes):
    @compiled_for(lanes, **_inner)
    def pool_lanes(maps, corner, width, window, features, pooled, chosen, target):
        best, place = load(maps, corner, lanes), zeros(lanes)
        for i in range(window[0]):
            at, tap = corner + i * width * features, i * window[1]
            for j in range(window[1]):
                numbers = load(maps, at + j * features, lanes)
                place = where_larger(best, numbers, all_of(_f(tap + j), lanes), place)
                best = where_larger(best, numbers, numbers, best)
        store(pooled, target, best)
        store_bytes(chosen, target, place)

    return pool_lanes


_pool_32, _pool_16, _pool_8, _pool_4, _pool_1 = map(_pooling, (32, 16, 8, 4, 1))


@announced
@njit(**_options)
def pool(maps, size, window, stride, pooled_size, pooled, chosen):
    """The largest of each window, and its place in there: the first of equal ones, and NaN, as torch takes them.

    Args:
        maps: [N, OH, OW, O], flat.
        size: (OH, OW, O).
        window: its height and width.
        stride: along OH and OW.
        pooled_size: (N, PH, PW).
        pooled: [N, PH, PW, O], flat.
        chosen: of the same length, uint8.
    """
    height, width, features = size
    images, rows, columns = pooled_size
    for n in range(images):
        for row in range(rows):
            for column in range(columns):
                corner = ((n * height + row * stride[0]) * width + column * stride[1]) * features
                target, left = ((n * rows + row) * columns + column) * features, 0
                while left + 32 <= features:
                    _pool_32(maps, corner + left, width, window, features, pooled, chosen, target + left)
                    left += 32
                if left + 16 <= features:
                    _pool_16(maps, corner + left, width, window, features, pooled, chosen, target + left)
                    left += 16
                if left + 8 <= features:
                    _pool_8(maps, corner + left, width, window, features, pooled, chosen, target + left)
                    left += 8
                if left + 4 <= features:
                    _pool_4(maps, corner + left, width, window, features, pooled, chosen, target + left)
                    left += 4
                while left < features:
                    _pool_1(maps, corner + left, width, window, features, pooled, chosen, target + left)
                    left += 1


def _unpooling(lanes):
    @compiled_for(lanes, **_inner)
    def unpool_lanes(grad, chosen, source, maps, corner, width, window, features):
        numbers, places = load(grad, source, lanes), load_bytes(chosen, source, lanes)
        for i in range(window[0]):
            at, tap = corner + i * width * features, i * window[1]
            for j in range(window[1]):
                store(maps, at + j * features, where_equal(places, _f(tap + j), numbers))

    return unpool_lanes


_unpool_32, _unpool_16, _unpool_8, _unpool_4, _unpool_1 = map(_unpooling, (32, 16, 8, 4, 1))


@announced
@njit(**_options)
def unpool(grad, chosen, pooled_size, size, window, stride, maps):
    """The gradient of the maps of :func:`pool` from that of what it pooled, of windows that do not overlap."""
    height, width, features = size
    images, rows, columns = pooled_size
    if rows * window[0] < height or columns * window[1] < width:
        maps[:] = 0  # what no window has in it
    for n in range(images):
        for row in range(rows):
            for column in range(columns):
                corner = ((n * height + row * stride[0]) * width + column * stride[1]) * features
                source, left = ((n * rows + row) * columns + column) * features, 0
                while left + 32 <= features:
                    _unpool_32(grad, chosen, source + left, maps, corner + left, width, window, features)
                    left += 32
                if left + 16 <= features:
                    _unpool_16(grad, chosen, source + left, maps, corner + left, width, window, features)
                    left += 16
                if left + 8 <= features:
                    _unpool_8(grad, chosen, source + left, maps, corner + left, width, window, features)
                    left += 8
                if left + 4 <= features:
                    _unpool_4(grad, chosen, source + left, maps, corner + left, width, window, features)
                    left += 4
                while left < features:
                    _unpool_1(grad, chosen, source + left, maps, corner + left, width, window, features)
                    left += 1
