"""Neurons over maps of real currents, whose spikes are wanted as bits."""

# packed_rows.py: 2d0b4d77
# packed_firing.py: fda0982d
from __future__ import annotations

import numpy as np
from numba import njit

from snntorch_binary.kernels.compiled.packed_firing import AS_THEY_ARE, NOTHING, at_rest, fire, rest
from snntorch_binary.kernels.compiled.packed_rows import aligned
from snntorch_binary.kernels.engine import announced

_u = np.uint64
_AT_ONCE = 64


@announced
@njit(cache=True, nogil=True, error_model="numpy")
def spikes(currents, live, neuron, constants, out):
    """From currents [T, B, positions, C], or [1, B, ...] that are the same at every step, to the words of spikes."""
    T, B, P, W = out.shape
    C = currents.shape[3]
    x = aligned(4 * P * live).view(np.float32)
    x[:] = 0
    nothing, rounding = (NOTHING, np.empty(0, np.uint16), x), (AS_THEY_ARE, 0)
    mem, traces = at_rest(neuron[0], P * live)
    pieces = out.reshape(-1).view(np.uint16)
    for b in range(B):
        rest(neuron[0], mem, traces)
        for t in range(T):
            if t < currents.shape[0]:
                given = currents[t, b]
                for begin in range(0, P, _AT_ONCE):  # in whatever order they lie in memory, few enough for the cache
                    for c in range(C):
                        for p in range(begin, min(begin + _AT_ONCE, P)):
                            x[_u(p * live + c)] = given[_u(p), _u(c)]
            spiking = pieces[(t * B + b) * P * 4 * W :]
            fire(neuron, x, P, 0, live, rounding, constants, constants, nothing, mem, traces, spiking)
