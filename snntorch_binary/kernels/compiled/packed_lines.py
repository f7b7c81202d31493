"""What the outputs of a packed convolution over maps see: rows of bits, many of them at a time.

Neighbours see neighbours. So the bits of one tap are moved for many outputs in one loop, and the rows lie word by word:
[words, outputs]. A line of outputs is as long as one of the framed input, so that with a stride of 1 lines need no loop
of their own; what is past the last output of a line is left alone later.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_u = np.uint64


@njit(nogil=True, error_model="numpy")
def frame(image, first, size, before, channels, framed):
    """Write maps [H · W, words], from word ``first`` on, into frames [words, lines, columns] of zeros."""
    height, width = size
    for k in range(framed.shape[0]):
        mask = -1 if channels - 64 * k >= 64 else (1 << (channels - 64 * k)) - 1
        for y in range(height):
            line = framed[k, y + before[0], before[1] : before[1] + width]
            for x in range(width):
                line[x] = image[_u(y * width + x), _u(first + k)] & mask


@njit(nogil=True, error_model="numpy")
def gather_lines(framed, top, lines, kernel, stride, dilation, channels, parts, rows):
    """Write what the outputs of some lines see, from line ``top`` of the outputs on.

    First what they see of each line of the input, to ``parts`` [words, places]: neighbouring lines of outputs share it.
    """
    wide, first = framed.shape[2], top * stride[0]
    columns = (wide - 1 - (kernel[1] - 1) * dilation[1]) // stride[1] + 1
    seen = (lines - 1) * stride[0] + (kernel[0] - 1) * dilation[0] + 1
    parts[:, : seen * wide] = 0
    place = 0
    for j in range(kernel[1]):
        for k in range(framed.shape[0]):
            bits = min(64, channels - 64 * k)
            source = framed[k].reshape(-1)[first * wide + j * dilation[1] :]
            if stride[1] == 1:
                _add(source, 1, (seen - 1) * wide + columns, place & 63, bits, parts[place >> 6 :], 0)
            else:
                for line in range(seen):
                    _add(source[line * wide :], stride[1], columns, place & 63, bits, parts[place >> 6 :], line * wide)
            place += bits
    rows[:, : lines * wide] = 0
    width, place = place, 0
    for i in range(kernel[0]):
        for k in range(parts.shape[0]):
            bits = min(64, width - 64 * k)
            source = parts[k, i * dilation[0] * wide :]
            if stride[0] == 1:
                _add(source, 1, lines * wide, place & 63, bits, rows[place >> 6 :], 0)
            else:
                for line in range(lines):
                    _add(
                        source[line * stride[0] * wide :], 1, columns, place & 63, bits, rows[place >> 6 :], line * wide
                    )
            place += bits


@njit(nogil=True, error_model="numpy")
def _add(source, stride, n, shift, bits, rows, begin):
    """Or the low bits of n words into those of rows, from a bit on; what spills over goes to the next word of a row."""
    target = rows[0, begin : begin + n]
    if stride == 1:
        near = source[:n]
        for x in range(n):
            target[x] |= near[x] << shift
    else:
        for x in range(n):
            target[x] |= source[_u(x * stride)] << shift
    if shift + bits > 64:
        target, back = rows[1, begin : begin + n], _u(64 - shift)
        for x in range(n):
            target[x] |= np.int64(_u(source[_u(x * stride)]) >> back)
