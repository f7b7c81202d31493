"""One time step of recurrent leaky neurons, and back, see :mod:`snntorch_binary.kernels.recurrent`."""

# surrogates.py: 6070fddf
# scan.py: 1ee8f8b9
from __future__ import annotations

import numpy as np
from numba import njit

from snntorch_binary.kernels.compiled.scan import SUBTRACT, ZERO
from snntorch_binary.kernels.compiled.surrogates import derivative, fire
from snntorch_binary.kernels.engine import announced

_f = np.float32
_BLOCK = 1024

# No contraction to fused multiply-adds: spikes are the twin's bit for bit.
_options = {"cache": True, "nogil": True, "error_model": "numpy"}


@announced
@njit(**_options)
def sum_of_spikes(spikes, table, out):
    """out[n] = Σ table[i] over the spikes of row n: spikes [N, I], table [I, O], out [N, O]."""
    for n in range(spikes.shape[0]):
        total = out[n]
        total[:] = 0
        for i in range(spikes.shape[1]):
            if spikes[n, i] != 0:
                row = table[i]
                for o in range(total.shape[0]):
                    total[o] += row[o]


@announced
@njit(**_options)
def step_forward(x, recurrent, before, beta, threshold, reset, joined, at_threshold, spikes, mem):
    """One step of all neurons [M]; ``joined`` adds both currents before they join the potential."""
    for i in range(x.shape[0]):
        v = before[i]
        r = fire(at_threshold, v - threshold[i])
        if reset == ZERO:
            v = (_f(1.0) - r) * v
        v = beta[i] * v + (x[i] + recurrent[i]) if joined else (beta[i] * v + x[i]) + recurrent[i]
        if reset == SUBTRACT:
            v = v - r * threshold[i]
        mem[i] = v
        spikes[i] = fire(at_threshold, v - threshold[i])


@announced
@njit(**_options)
def step_backward(
    mem,
    before,
    beta,
    threshold,
    reset,
    at_threshold,
    surrogate,
    grad_spikes,
    grad_mem,
    by_next,
    dx,
    carry,
    to_beta,
    to_threshold,
):
    """From the gradients of this step's spikes and potential to that of its currents.

    ``by_next`` is the gradient of the spikes through the recurrent layer, ``carry`` that of the potential through the
    next step, and then of the one before. A gradient that there is not, or that nobody asks for, is an empty array.
    """
    kind, size, height = surrogate
    for start in range(0, mem.shape[0], _BLOCK):  # loop by loop, each of which a compiler vectorises
        b = slice(start, start + _BLOCK)
        mem_b, before_b, theta, d, dx_b = mem[b], before[b], threshold[b], carry[b], dx[b]
        fired = by_next[b].copy()
        if grad_spikes.shape[0]:
            grad = grad_spikes[b]
            for i in range(d.shape[0]):
                fired[i] = fired[i] + grad[i]
        for i in range(d.shape[0]):
            fired[i] = fired[i] * derivative(kind, size, height, mem_b[i] - theta[i])
        if grad_mem.shape[0]:
            grad = grad_mem[b]
            for i in range(d.shape[0]):
                d[i] = d[i] + grad[i]
        for i in range(d.shape[0]):
            d[i] = d[i] + fired[i]
            dx_b[i] = d[i]
        if to_threshold.shape[0]:
            by_threshold = to_threshold[b]
            for i in range(d.shape[0]):
                by_threshold[i] -= fired[i]
            if reset == SUBTRACT:
                for i in range(d.shape[0]):
                    by_threshold[i] -= d[i] * fire(at_threshold, before_b[i] - theta[i])
        if reset == ZERO:
            for i in range(d.shape[0]):
                d[i] = (_f(1.0) - fire(at_threshold, before_b[i] - theta[i])) * d[i]
        if to_beta.shape[0]:
            by_beta = to_beta[b]
            for i in range(d.shape[0]):
                by_beta[i] += d[i] * before_b[i]
        a = beta[b]
        for i in range(d.shape[0]):
            d[i] = a[i] * d[i]
