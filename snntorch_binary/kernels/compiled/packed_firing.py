"""Neurons over maps: 16 channels at a time, position after position, so that their constants stay in registers.

What comes in is the sums of a packed convolution or real currents; what goes out is bits.
"""

# packed_neurons.py: 3d8855aa
# packed_rows.py: 2d0b4d77
# float_vectors.py: 543b46e6
from __future__ import annotations

import numpy as np
from numba import njit

from snntorch_binary.kernels.compiled.float_vectors import (
    all_of,
    difference,
    load,
    load_as_numbers,
    plus,
    plus_sixteen,
    product,
    product_and_total,
    sixteen_above,
    store,
    total,
    where_above,
    zeros,
)
from snntorch_binary.kernels.compiled.packed_neurons import LEAKY, SRM, SUBTRACT, SYNAPTIC, TRACES, ZERO
from snntorch_binary.kernels.compiled.packed_rows import aligned

_f = np.float32

NOTHING, BITS, NUMBERS = 0, 1, 2
"""What is added to currents."""

AS_THEY_ARE = -1
"""How real currents are scaled; sums are as :mod:`snntorch_binary.packed.rounding` says."""


@njit(nogil=True, error_model="numpy")
def at_rest(kind, neurons):
    """Return potentials and traces before the first step."""
    mem = aligned(4 * neurons).view(np.float32)
    return mem, np.empty((TRACES[kind], neurons), np.float32)


@njit(nogil=True, error_model="numpy")
def rest(kind, mem, traces):
    """Bring neurons back there."""
    mem[:] = _f(-np.inf) if kind == SRM else _f(0)  # an SRM does not fire before its first step
    traces[:] = _f(0)


@njit(nogil=True, error_model="numpy")
def _added(x, a, b, addition):
    """Return a · x + b, with two roundings or with one."""
    if addition == 0:
        return product(x, a)
    if addition == 1:
        return total(product(x, a), b)
    return product_and_total(x, a, b)


@njit(nogil=True, error_model="numpy")
def fire(neuron, given, n, first, live, rounding, scales, constants, added, mem, traces, out):
    """Take one step of the neurons of n positions from ``first`` on.

    Args:
        neuron: their kind, and that of their reset.
        given: sums or currents of these positions, ``live`` each, flat.
        n: number of positions.
        first: the first one.
        live: neurons of a position, whole vectors.
        rounding: how sums are scaled, and how a batch norm is, 0 for none.
        scales: scale and bias of sums and of a norm [4, ...].
        constants: alpha, beta, gamma, threshold, and the number above which a neuron fires [5, ...].
        added: what is added to the currents, its bits, 16 to a number, and its numbers, flat.
        mem: potentials of all positions, flat.
        traces: [traces, ...] of all positions.
        out: spikes of all positions, 16 bits to a number, flat.
    """
    kind, reset = neuron
    addition, norm = rounding
    kind_of_added, bits, numbers = added
    pieces = 4 * ((live + 63) >> 6)
    for c in range(0, live, 16):
        scale, bias = load(scales[0], c, 16), load(scales[1], c, 16)
        norm_scale, norm_bias = load(scales[2], c, 16), load(scales[3], c, 16)
        alpha, beta, gamma = load(constants[0], c, 16), load(constants[1], c, 16), load(constants[2], c, 16)
        threshold, above = load(constants[3], c, 16), load(constants[4], c, 16)
        for r in range(n):
            x = load_as_numbers(given, r * live + c, 16)
            at, piece = (first + r) * live + c, (first + r) * pieces + (c >> 4)
            if addition != AS_THEY_ARE:
                x = _added(x, scale, bias, addition)
            if norm != 0:
                x = _added(x, norm_scale, norm_bias, norm)
            if kind_of_added == BITS:
                x = plus_sixteen(x, bits[piece])
            elif kind_of_added == NUMBERS:
                x = plus(x, numbers, at)
            u = load(mem, at, 16)
            if kind == SRM:
                membrane, synaptic = load(traces[0], at, 16), load(traces[1], at, 16)
                refractory = product(gamma, load(traces[2], at, 16))
                refractory = where_above(u, above, total(refractory, _ones()), total(refractory, zeros(16)))
                membrane = total(product(alpha, membrane), synaptic)
                store(traces[0], at, membrane)
                store(traces[1], at, total(product(beta, synaptic), x))
                store(traces[2], at, refractory)
                after = difference(membrane, refractory)
            else:
                if kind == SYNAPTIC:
                    x = total(product(alpha, load(traces[0], at, 16)), x)
                    store(traces[0], at, x)
                if reset == ZERO and kind == LEAKY:
                    after = total(product(beta, where_above(u, above, zeros(16), u)), x)
                else:
                    after = total(product(beta, u), x)
                    if reset == SUBTRACT:
                        after = where_above(u, above, difference(after, threshold), after)
                    elif reset == ZERO:
                        after = where_above(u, above, zeros(16), after)
            store(mem, at, after)
            out[piece] = sixteen_above(after, above)


@njit(nogil=True, error_model="numpy")
def _ones():
    return all_of(_f(1), 16)
