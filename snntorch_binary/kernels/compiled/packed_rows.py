"""What the outputs of a packed layer see: rows of bits, one for every output position.

A linear layer copies the words of its input; a convolution puts together the channels of every tap.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_u = np.uint64


@njit(nogil=True, error_model="numpy")
def gather(words, taps, begin, end, batch, offset, width, inputs, rows):
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
def aligned(size):
    """Return bytes that begin at a cache line: a vector that lies across two is slow to read back."""
    memory = np.empty(size + 64, np.uint8)
    begin = -memory.ctypes.data & 63
    return memory[begin : begin + size]
