"""Bayes-BiSNN's update of natural parameters and the draw that follows it, in one pass over memory.

What is computed is said in plain torch by :mod:`snntorch_binary.optim.bayes_bisnn` and
:meth:`snntorch_binary.weights.bernoulli.Bernoulli.weight_and_derivative`. The pass goes block by block: a block of
weights stays in the cache from the gradient to the draw.
"""

# arithmetic.py: 830defd3
from __future__ import annotations

import numpy as np
from numba import njit

from snntorch_binary.kernels.compiled.arithmetic import exp, log, uniform_at
from snntorch_binary.kernels.engine import announced

_f = np.float32
_BLOCK = 2048

BINARY, RELAXED, PAPER_RELAXED = 0, 1, 2
"""What is drawn: ±1, the relaxed sample, or that with the published rounding."""
PLAIN, MOMENTUM, ADAM, PAPER = 0, 1, 2, 3
"""The step: along the natural gradient, its running sum, its normalised form, or as published."""

# No contraction to fused multiply-adds: a compiler may choose otherwise the next time, and a resume would differ.
_options = {"cache": True, "nogil": True, "error_model": "numpy"}


# The functions of a block take slices: numba's indices count from the end where they are negative, and only of those
# that start at 0 the compiler knows that they are not.


@njit(**_options)
def _draw(latent, value, slope, start, kind, tau, first, second):
    one, half, two = _f(1.0), _f(0.5), _f(2.0)
    if kind == BINARY:
        for i in range(latent.shape[0]):
            w = latent[i]
            e = exp(-two * abs(w))
            likely = one / (one + e)
            minus = e * likely if w >= 0 else likely
            value[i] = one if uniform_at(start + i, first, second) >= minus else -one
            slope[i] = _f(4.0) * e * likely * likely
        return
    per_tau = one / tau
    # Short loops, of which a processor has several turns under way at a time.
    for i in range(latent.shape[0]):
        value[i] = uniform_at(start + i, first, second)
    for i in range(latent.shape[0]):
        value[i] = (latent[i] + half * log(value[i] / (one - value[i]))) * per_tau
    for i in range(latent.shape[0]):
        slope[i] = exp(-two * abs(value[i]))
    for i in range(latent.shape[0]):
        e = slope[i]
        likely = one / (one + e)
        w = one - two * e * likely
        value[i] = w if value[i] >= 0 else -w
        if kind == RELAXED:
            slope[i] = _f(4.0) * e * likely * likely * per_tau
        else:
            slope[i] = (one - w * w + _f(1e-10)) * per_tau


@njit(**_options)
def _natural_gradient(latent, grad, variance, g, clip):
    """Put that of the loss into g."""
    one, limit = _f(1.0), _f(clip)
    if variance.shape[0]:
        for i in range(latent.shape[0]):
            g[i] = grad[i] / variance[i]
    else:
        for i in range(latent.shape[0]):
            e = exp(_f(-2.0) * abs(latent[i]))
            g[i] = grad[i] * (one + e) * (one + e) / (_f(4.0) * e)
    if clip > 0:
        for i in range(latent.shape[0]):
            g[i] = limit if g[i] > limit else (-limit if g[i] < -limit else g[i])


@njit(**_options)
def _add_prior(latent, prior, g, rho):
    if prior.shape[0] == 1:
        for i in range(latent.shape[0]):
            g[i] += rho * (latent[i] - prior[0])
    else:
        for i in range(latent.shape[0]):
            g[i] += rho * (latent[i] - prior[i])


@njit(**_options)
def _turn_to_direction(g, m, v, how, beta1, beta2, count):
    """Replace the natural gradient by the direction of the step."""
    if how == MOMENTUM:
        for i in range(m.shape[0]):
            m[i] = beta1 * m[i] + g[i]
            g[i] = m[i]
    elif how == ADAM:
        new1, new2 = _f(1.0) - beta1, _f(1.0) - beta2
        bias1 = _f(1.0) / _f(1.0 - np.float64(beta1) ** count)
        bias2 = _f(1.0) / _f(1.0 - np.float64(beta2) ** count)
        for i in range(m.shape[0]):
            m[i] += (g[i] - m[i]) * new1
            v[i] = v[i] * beta2 + g[i] * g[i] * new2
            g[i] = m[i] * bias1 / (np.sqrt(v[i] * bias2) + _f(1e-8))


@njit(**_options)
def _step(latent, g, lr, limit):
    for i in range(latent.shape[0]):
        w = latent[i] - lr * g[i]
        latent[i] = limit if w > limit else (-limit if w < -limit else w)


@njit(**_options)
def _paper_step(latent, grad, prior, lr, rho):
    one, two, decay = _f(1.0), _f(2.0), _f(1.0) - lr * rho
    for i in range(latent.shape[0]):
        e = exp(-two * abs(latent[i]))
        mean = one - two * e / (one + e)
        gradient = grad[i] / (one - mean * mean + _f(1e-10))
        latent[i] = decay * latent[i] - lr * gradient
    if prior.shape[0] == 1:
        for i in range(latent.shape[0]):
            latent[i] += lr * rho * prior[0]
    else:
        for i in range(latent.shape[0]):
            latent[i] += lr * rho * prior[i]


@announced
@njit(**_options)
def draw(latent, value, slope, kind, tau, first, second):
    """Draw the weights of flat latents: value and slope dw/dw_r."""
    for start in range(0, latent.shape[0], _BLOCK):
        b = slice(start, start + _BLOCK)
        _draw(latent[b], value[b], slope[b], start, kind, _f(tau), first, second)


@announced
@njit(**_options)
def step_and_draw(
    latent, grad, variance, prior, m, v, value, slope, how, lr, rho, clip, betas, count, limit, kind, tau, first, second
):
    """Make one step of flat latents, then draw their weights.

    Args:
        latent: natural parameters, changed in place.
        grad: Euclidean gradients.
        variance: 1 - μ² of the latents, or empty.
        prior: natural parameter of the prior, one for all or each.
        m: first moment or running sum, changed in place; empty where none is kept.
        v: second moment, as ``m``.
        value: where the weights go.
        slope: where dw/dw_r goes.
        how: the step.
        lr: its size.
        rho: weight of the prior.
        clip: bound on the natural gradient; 0 for none.
        betas: decay rates of the moments.
        count: number of this step, from 1 on.
        limit: bound on the latents.
        kind: what is drawn.
        tau: temperature of a relaxed draw.
        first: one key of the noise.
        second: the other.
    """
    g = np.empty(_BLOCK, np.float32)
    lr, rho = _f(lr), _f(rho)
    for start in range(0, latent.shape[0], _BLOCK):
        b = slice(start, start + _BLOCK)
        old = prior if prior.shape[0] == 1 else prior[b]
        if how == PAPER:
            _paper_step(latent[b], grad[b], old, lr, rho)
        else:
            _natural_gradient(latent[b], grad[b], variance[b], g, clip)
            if rho != 0:
                _add_prior(latent[b], old, g, rho)
            _turn_to_direction(g, m[b], v[b], how, _f(betas[0]), _f(betas[1]), count)
            _step(latent[b], g, lr, _f(limit))
        _draw(latent[b], value[b], slope[b], start, kind, _f(tau), first, second)
