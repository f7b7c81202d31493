"""One time step of the online rule, see :mod:`snntorch_binary.learning.online`."""

# surrogates.py: 6070fddf
from __future__ import annotations

import numpy as np
from numba import njit

from snntorch_binary.kernels.compiled.surrogates import derivative
from snntorch_binary.kernels.compiled.surrogates import fire as spike
from snntorch_binary.kernels.engine import announced

_f = np.float32
# No contraction to fused multiply-adds: a compiler may choose otherwise the next time, and a resume would differ.
_options = {"cache": True, "nogil": True, "error_model": "numpy"}


@announced
@njit(**_options)
def filter_step(p, q, x, alpha, beta, gain):
    """Take flat traces p and q one step on with the input x."""
    alpha, beta, gain = _f(alpha), _f(beta), _f(gain)
    for i in range(p.shape[0]):
        p[i] = q[i] + alpha * p[i]
        q[i] = gain * x[i] + beta * q[i]


@announced
@njit(**_options)
def fire(product, scale, bias, refractory, spikes, slope, gamma, threshold, at_threshold, surrogate):
    """Take neurons [B, N] one step on: new spikes, and the surrogate gradient at their membrane potential.

    ``scale`` has one element or N, ``bias`` none or N; ``surrogate`` is (kind, size, height).
    """
    kind, size, height = surrogate
    gamma, threshold = _f(gamma), _f(threshold)
    num_neurons = product.shape[1]
    scales, offsets = np.empty(num_neurons, np.float32), np.empty(num_neurons, np.float32)
    for i in range(num_neurons):
        scales[i] = scale[i] if scale.shape[0] > 1 else scale[0]
        offsets[i] = bias[i] if bias.shape[0] else _f(0.0)
    for b in range(product.shape[0]):
        for i in range(num_neurons):
            r = spikes[b, i] + gamma * refractory[b, i]
            refractory[b, i] = r
            u = product[b, i] * scales[i] + offsets[i] - r - threshold
            spikes[b, i] = spike(at_threshold, u)
            slope[b, i] = derivative(kind, size, height, u)
