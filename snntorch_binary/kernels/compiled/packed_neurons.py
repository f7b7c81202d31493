"""From the sums of a packed layer to currents, and from currents to spikes as bits.

Each kernel takes many rows in a call: a call of a function with many arrays costs as much as a short row.
"""

# vectors.py: 08204e43
from __future__ import annotations

import numpy as np
from numba import njit

from snntorch_binary.kernels.compiled.vectors import bits_above, fused

_f = np.float32

LEAKY, SYNAPTIC, SRM = 0, 1, 2
NONE, SUBTRACT, ZERO = 0, 1, 2
TRACES = (0, 1, 3)
"""Traces of a neuron of each kind, beside its membrane potential."""


@njit(nogil=True, error_model="numpy")
def currents_of(sums, n, scale, bias, addition, out, begin):
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
def normalise(currents, begin, n, norm):
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
def leaky(currents, n, begin, potential, constants, reset, out, batch):
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
def synaptic(currents, n, begin, potential, current, constants, reset, out, batch):
    """The same of neurons with a synaptic current."""
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
def srm(currents, n, begin, potential, traces, constants, out, batch):
    """The same of spike response neurons, with three traces."""
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
