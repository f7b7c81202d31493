"""Products with spikes that skip the silent ones, see :mod:`snntorch_binary.kernels.events`."""

from __future__ import annotations

import numpy as np
from numba import njit

from snntorch_binary.kernels.engine import announced

_TILE = 128  # columns: what is summed over stays in the second-level cache
_options = {"cache": True, "nogil": True, "error_model": "numpy"}


@announced
@njit(**_options)
def find(bits, index, start):
    """Write the positions of the spikes of every row into ``index``, those of row n from ``start[n]`` on.

    ``bits`` [N, I] is the memory of float32 spikes as int32; ``index`` has eight places more than it may hold. Return
    whether all values are 0 or 1 and the positions found room.
    """
    one = np.int32(0x3F800000)
    num_rows, num_inputs = bits.shape
    count, room = 0, index.shape[0] - 8
    for n in range(num_rows):
        start[n] = count
        row = bits[n]
        active, others = np.int32(0), np.int32(0)
        for i in range(num_inputs):
            active += np.int32(row[i] != 0)
            others += np.int32(row[i] != 0) & np.int32(row[i] != one)
        if others != 0 or count + active > room:
            return False
        for first in range(0, num_inputs, 8):
            eight = row[first : first + 8]
            any_bit = np.int32(0)
            for i in range(eight.shape[0]):
                any_bit |= eight[i]
            if any_bit != 0:
                for i in range(eight.shape[0]):
                    index[count] = first + i  # overwritten by the next one where this is silent
                    count += np.int64(eight[i] != 0)
    start[num_rows] = count
    return True


@announced
@njit(**_options)
def transpose(index, start, num_inputs):
    """From the spiking inputs of each row to the rows in which each input spikes."""
    by_input = np.zeros(num_inputs + 1, np.int64)
    for k in range(start[-1]):
        by_input[index[k] + 1] += 1
    for i in range(num_inputs):
        by_input[i + 1] += by_input[i]
    place = by_input[:-1].copy()
    rows = np.empty(start[-1], np.int32)
    for n in range(start.shape[0] - 1):
        for k in range(start[n], start[n + 1]):
            i = index[k]
            rows[place[i]] = n
            place[i] += 1
    return rows, by_input


@announced
@njit(**_options)
def sum_rows(index, start, table, out):
    """out[n] = Σ table[k] over the indices k from ``start[n]`` to ``start[n + 1]``; table [K, O], out [N, O]."""
    for left in range(0, table.shape[1], _TILE):
        columns = slice(left, left + _TILE)
        for n in range(out.shape[0]):
            total = out[n, columns]
            width = total.shape[0]
            total[:] = 0
            k, stop = start[n], start[n + 1]
            while k + 4 <= stop:
                a, b = table[index[k], columns], table[index[k + 1], columns]
                c, d = table[index[k + 2], columns], table[index[k + 3], columns]
                for j in range(width):
                    total[j] += (a[j] + b[j]) + (c[j] + d[j])
                k += 4
            while k < stop:
                a = table[index[k], columns]
                for j in range(width):
                    total[j] += a[j]
                k += 1
