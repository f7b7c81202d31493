"""Neurons over a whole sequence, see :mod:`snntorch_binary.kernels.scan`: the same operations in the same order.

Arrays over time are [T, M], with M neurons of all examples; what a neuron has one of is [M]. A block of neurons goes
through all of time before the next one, so that its state stays in the cache; a call takes the neurons from ``begin``
to ``end``.
"""

# surrogates.py: 6070fddf
from __future__ import annotations

from functools import partial

import numpy as np
from numba import njit

from snntorch_binary.kernels.compiled.surrogates import derivative, fire
from snntorch_binary.kernels.engine import announced
from snntorch_binary.kernels.threads import in_threads, parts

_f = np.float32
_BLOCK = 1024

SUBTRACT, ZERO, NONE, SUBTRACT_FIRST = 0, 1, 2, 3
"""Reset mechanisms; the last one subtracts before the decay."""

TAKES_REPEATED = True
"""An input that is the same at every step comes as one row."""

# No contraction to fused multiply-adds: spikes are the twin's bit for bit.
_options = {"cache": True, "nogil": True, "error_model": "numpy"}


def over_neurons(kernel):
    """Let a kernel, whose first array is [T, M] or [1, M], take all neurons, in several threads where they are many."""

    def take_all(first, *others):
        numbers = max(each.size for each in (first, *others) if isinstance(each, np.ndarray))
        in_threads(partial(kernel, first, *others), parts(first.shape[1], numbers, _BLOCK))

    return take_all


@over_neurons
@announced
@njit(**_options)
def filter_forward(x, decay, initial, y, begin, end):
    """y_t = decay y_{t-1} + x_t."""
    for start in range(begin, end, _BLOCK):
        b = slice(start, min(start + _BLOCK, end))
        a, state = decay[b], initial[b].copy()
        for t in range(x.shape[0]):
            x_t, y_t = x[t, b], y[t, b]
            for i in range(state.shape[0]):
                state[i] = a[i] * state[i] + x_t[i]
                y_t[i] = state[i]


@over_neurons
@announced
@njit(**_options)
def filter_backward(grad, decay, initial, y, dx, to_initial, to_decay, begin, end):
    """From the gradient of y to those of x, of the initial value and (if it is not empty) of the decay.

    ``to_initial`` comes with the gradient of the last value that does not pass through y.
    """
    learn = to_decay.shape[0] > 0
    for start in range(begin, end, _BLOCK):
        b = slice(start, min(start + _BLOCK, end))
        a, carry, by_decay = decay[b], to_initial[b], to_decay[b]
        for t in range(grad.shape[0] - 1, -1, -1):
            grad_t, dx_t = grad[t, b], dx[t, b]
            for i in range(carry.shape[0]):
                dx_t[i] = carry[i] + grad_t[i]
            if learn:
                before = y[t - 1, b] if t > 0 else initial[b]
                for i in range(carry.shape[0]):
                    by_decay[i] += dx_t[i] * before[i]
            for i in range(carry.shape[0]):
                carry[i] = a[i] * dx_t[i]


@over_neurons
@announced
@njit(**_options)
def leaky_forward(x, initial, beta, threshold, reset, at_threshold, spikes, mem, begin, end):
    """A leaky neuron with delayed reset; one row of x is the same at every step."""
    for start in range(begin, end, _BLOCK):
        b = slice(start, min(start + _BLOCK, end))
        a, theta, u = beta[b], threshold[b], initial[b].copy()
        s = np.empty_like(u)
        for i in range(u.shape[0]):
            s[i] = fire(at_threshold, u[i] - theta[i])
        for t in range(mem.shape[0]):
            x_t, spikes_t, mem_t = x[t if x.shape[0] > 1 else 0, b], spikes[t, b], mem[t, b]
            for i in range(u.shape[0]):
                v = u[i]
                if reset == ZERO:
                    v = (_f(1.0) - s[i]) * v
                if reset == SUBTRACT_FIRST:
                    v = v - s[i] * theta[i]
                v = a[i] * v + x_t[i]
                if reset == SUBTRACT:
                    v = v - s[i] * theta[i]
                u[i] = v
                s[i] = fire(at_threshold, v - theta[i])
                mem_t[i] = v
                spikes_t[i] = s[i]


@over_neurons
@announced
@njit(**_options)
def leaky_backward(
    mem,
    initial,
    beta,
    threshold,
    reset,
    at_threshold,
    surrogate,
    grad_spikes,
    grad_mem,
    dx,
    carry,
    to_beta,
    to_threshold,
    begin,
    end,
):
    """From the gradients of spikes and potentials to those of x, of the initial potential, beta and threshold.

    A gradient that there is not, or that nobody asks for, is an empty array. ``carry``, which the one of the initial
    potential is put into, comes with that of the last potential that does not pass through ``grad_mem``. Where x is the
    same at every step, ``dx`` is one row of zeros, and gets the sum.
    """
    kind, size, height = surrogate
    repeated = dx.shape[0] < mem.shape[0]
    for start in range(begin, end, _BLOCK):
        b = slice(start, min(start + _BLOCK, end))
        a, theta, d = beta[b], threshold[b], carry[b]
        by_beta, by_threshold = to_beta[b], to_threshold[b]
        for t in range(mem.shape[0] - 1, -1, -1):
            mem_t, dx_t = mem[t, b], dx[0 if repeated else t, b]
            before = mem[t - 1, b] if t > 0 else initial[b]
            if grad_mem.shape[0]:
                grad_t = grad_mem[t, b]
                for i in range(d.shape[0]):
                    d[i] = d[i] + grad_t[i]
            if grad_spikes.shape[0]:
                grad_t = grad_spikes[t, b]
                for i in range(d.shape[0]):
                    d[i] = d[i] + grad_t[i] * derivative(kind, size, height, mem_t[i] - theta[i])
                if by_threshold.shape[0]:
                    for i in range(d.shape[0]):
                        by_threshold[i] -= grad_t[i] * derivative(kind, size, height, mem_t[i] - theta[i])
            if repeated:
                for i in range(d.shape[0]):
                    dx_t[i] += d[i]
            else:
                dx_t[:] = d
            if by_threshold.shape[0] and reset == SUBTRACT:
                for i in range(d.shape[0]):
                    by_threshold[i] -= d[i] * fire(at_threshold, before[i] - theta[i])
            if reset == ZERO:
                for i in range(d.shape[0]):
                    d[i] = (_f(1.0) - fire(at_threshold, before[i] - theta[i])) * d[i]
            if by_beta.shape[0]:
                for i in range(d.shape[0]):
                    by_beta[i] += d[i] * before[i]
            for i in range(d.shape[0]):
                d[i] = a[i] * d[i]


@over_neurons
@announced
@njit(**_options)
def srm_forward(x, decays, threshold, at_threshold, spikes, mem, begin, end):
    """A spike response neuron from rest."""
    alpha, beta, gamma, theta = _f(decays[0]), _f(decays[1]), _f(decays[2]), _f(threshold)
    for start in range(begin, end, _BLOCK):
        b = slice(start, min(start + _BLOCK, end))
        p = np.zeros(x[0, b].shape[0], np.float32)
        q, r, s = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
        for t in range(x.shape[0]):
            x_t, spikes_t, mem_t = x[t, b], spikes[t, b], mem[t, b]
            for i in range(p.shape[0]):
                p[i] = alpha * p[i] + q[i]
                q[i] = beta * q[i] + x_t[i]
                r[i] = gamma * r[i] + s[i]
                u = p[i] - r[i]
                s[i] = fire(at_threshold, u - theta)
                mem_t[i] = u
                spikes_t[i] = s[i]


@over_neurons
@announced
@njit(**_options)
def srm_backward(mem, decays, threshold, surrogate, detach, grad_spikes, grad_mem, dx, begin, end):
    """From the gradients of spikes and potentials, of which one may be empty, to that of x."""
    alpha, beta, gamma, theta = _f(decays[0]), _f(decays[1]), _f(decays[2]), _f(threshold)
    kind, size, height = surrogate
    for start in range(begin, end, _BLOCK):
        b = slice(start, min(start + _BLOCK, end))
        dp = np.zeros(mem[0, b].shape[0], np.float32)
        dq, dr, d = np.zeros_like(dp), np.zeros_like(dp), np.zeros_like(dp)
        for t in range(mem.shape[0] - 1, -1, -1):
            mem_t, dx_t = mem[t, b], dx[t, b]
            for i in range(d.shape[0]):
                d[i] = _f(0.0) if detach else dr[i]
            if grad_spikes.shape[0]:
                grad_t = grad_spikes[t, b]
                for i in range(d.shape[0]):
                    d[i] = grad_t[i] + d[i]
            for i in range(d.shape[0]):
                d[i] = d[i] * derivative(kind, size, height, mem_t[i] - theta)
            if grad_mem.shape[0]:
                grad_t = grad_mem[t, b]
                for i in range(d.shape[0]):
                    d[i] = d[i] + grad_t[i]
            for i in range(d.shape[0]):
                dq[i] = beta * dq[i] + dp[i]
                dp[i] = alpha * dp[i] + d[i]
                dr[i] = gamma * dr[i] - d[i]
                dx_t[i] = dq[i]


@over_neurons
@announced
@njit(**_options)
def refractory_trace(x, gamma, threshold, at_threshold, traces, begin, end):
    """The trace that inhibits a neuron after its spikes, given its filtered input."""
    gamma, theta = _f(gamma), _f(threshold)
    for start in range(begin, end, _BLOCK):
        b = slice(start, min(start + _BLOCK, end))
        r = np.zeros(x[0, b].shape[0], np.float32)
        s = np.zeros_like(r)
        for t in range(x.shape[0]):
            x_t, traces_t = x[t, b], traces[t, b]
            for i in range(r.shape[0]):
                r[i] = gamma * r[i] + s[i]
                s[i] = fire(at_threshold, x_t[i] - r[i] - theta)
                traces_t[i] = r[i]
