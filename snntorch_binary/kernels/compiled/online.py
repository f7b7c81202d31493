"""One time step of the online rule, see :mod:`snntorch_binary.learning.online`."""

# surrogates.py: 6070fddf
from __future__ import annotations

import math

import numpy as np
from numba import njit

from snntorch_binary.kernels.compiled.surrogates import derivative
from snntorch_binary.kernels.compiled.surrogates import fire as spike
from snntorch_binary.kernels.engine import announced

_f = np.float32

CROSS_ENTROPY, BINARY_CROSS_ENTROPY, SQUARED_ERROR = 0, 1, 2
"""The loss of one local readout."""

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


@njit(**_options)
def _loss_and_error(kind, scores, label, wanted, error):
    """Return the loss of one example's scores [C], and put dL/dr into ``error``."""
    total = 0.0
    if kind == CROSS_ENTROPY:
        largest = np.float64(scores.max())
        for c in range(scores.shape[0]):
            error[c] = math.exp(scores[c] - largest)
            total += error[c]
        for c in range(scores.shape[0]):
            error[c] /= total
        error[label] -= 1.0
        return math.log(total) + largest - scores[label]
    for c in range(scores.shape[0]):
        r, y = np.float64(scores[c]), np.float64(wanted[c])
        if kind == BINARY_CROSS_ENTROPY:
            e = math.exp(-abs(r))
            total += (r if r > 0 else 0.0) - r * y + math.log1p(e)
            error[c] = (1.0 if r > 0 else e) / (1.0 + e) - y
        else:
            total += (r - y) * (r - y)
            error[c] = 2.0 * (r - y)
    return total


@announced
@njit(**_options)
def learn(kind, scores, labels, wanted, readout, slope, scale, post, scaled):
    """Return the mean loss of a batch, and have the post-synaptic factors of its gradient.

    Args:
        kind: the loss.
        scores: readouts [B, C].
        labels: classes [B] of a cross entropy, else empty.
        wanted: targets [B, C] of the other losses, else empty.
        readout: what reads the spikes [C, N].
        slope: surrogate gradients [B, N].
        scale: of the weights, one element or N.
        post: where dL/du goes [B, N].
        scaled: where that times the scale goes [B, N].
    """
    num_examples, num_outputs = scores.shape
    error = np.empty(num_outputs, np.float64)
    share = 1.0 / (num_examples if kind == CROSS_ENTROPY else num_examples * num_outputs)
    total = 0.0
    for b in range(num_examples):
        label = labels[b] if kind == CROSS_ENTROPY else 0
        total += _loss_and_error(kind, scores[b], label, wanted[b] if kind != CROSS_ENTROPY else scores[b], error)
        signal = post[b]
        signal[:] = _f(0.0)
        for c in range(num_outputs):
            e, row = _f(error[c] * share), readout[c]
            for i in range(signal.shape[0]):
                signal[i] += e * row[i]
        for i in range(signal.shape[0]):
            signal[i] *= slope[b, i]
        if scale.shape[0] == 1:
            for i in range(signal.shape[0]):
                scaled[b, i] = signal[i] * scale[0]
        else:
            for i in range(signal.shape[0]):
                scaled[b, i] = signal[i] * scale[i]
    return total * share
