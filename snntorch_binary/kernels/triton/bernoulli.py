"""Bayes-BiSNN's update of natural parameters and the draw that follows it, in one pass over memory.

What is computed is said in plain torch by :mod:`snntorch_binary.optim.bayes_bisnn` and
:meth:`snntorch_binary.weights.bernoulli.Bernoulli.weight_and_derivative`.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from snntorch_binary.kernels.noise import signed
from snntorch_binary.kernels.triton.arithmetic import exp, log, uniform_at
from snntorch_binary.kernels.triton.launch import launch

_BLOCK = 1024

BINARY, RELAXED, PAPER_RELAXED = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
"""What is drawn: ±1, the relaxed sample, or that with the published rounding."""
PLAIN, MOMENTUM, ADAM, PAPER = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2), tl.constexpr(3)
"""The step: along the natural gradient, its running sum, its normalised form, or as published."""


@triton.jit
def _drawn(w, position, per_tau, first, second, KIND: tl.constexpr):
    """Return the weights of latents w and their slopes dw/dw_r."""
    uniform = uniform_at(position, first, second)
    if KIND == BINARY:
        e = exp(-2.0 * tl.abs(w))
        likely = tl.div_rn(1.0, 1.0 + e)
        minus = tl.where(w >= 0, e * likely, likely)
        return tl.where(uniform >= minus, 1.0, -1.0), 4.0 * e * likely * likely
    x = (w + 0.5 * log(tl.div_rn(uniform, 1.0 - uniform))) * per_tau
    e = exp(-2.0 * tl.abs(x))
    likely = tl.div_rn(1.0, 1.0 + e)
    value = 1.0 - 2.0 * e * likely
    slope = 4.0 * e * likely * likely
    if KIND == PAPER_RELAXED:
        slope = 1.0 - value * value + 1e-10
    return tl.where(x >= 0, value, -value), slope * per_tau


@triton.jit
def _bounded(x, limit):
    """Return x within ±limit; NaN stays NaN."""
    return tl.where(x > limit, limit, tl.where(x < -limit, -limit, x))


@triton.jit(do_not_specialize=["first", "second"])
def _draw(latent, value, slope, size, per_tau, first, second, KIND: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < size
    drawn, its_slope = _drawn(tl.load(latent + i, inside, other=0.0), i, per_tau, first, second, KIND)
    tl.store(value + i, drawn, inside)
    tl.store(slope + i, its_slope, inside)


def draw(latent: Any, value: Any, slope: Any, kind: tl.constexpr, tau: float, first: int, second: int) -> None:
    """Draw the weights of flat latents: value and slope dw/dw_r."""
    scalars = (latent.shape[0], 1 / tau, signed(first), signed(second))
    launch(_draw, latent.shape[0], _BLOCK, (latent, value, slope), *scalars, KIND=kind)


@triton.jit(do_not_specialize=["first", "second"])
def _step_and_draw(
    latent,
    grad,
    variance,
    prior,
    m,
    v,
    value,
    slope,
    size,
    lr,
    rho,
    clip,
    beta1,
    beta2,
    bias1,
    bias2,
    limit,
    per_tau,
    first,
    second,
    HOW: tl.constexpr,
    CLIPS: tl.constexpr,
    DECAYS: tl.constexpr,
    ONE_PRIOR: tl.constexpr,
    KIND: tl.constexpr,
    BLOCK: tl.constexpr,
):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < size
    w = tl.load(latent + i, inside, other=0.0)
    g = tl.load(grad + i, inside, other=0.0)
    old = tl.load(prior) if ONE_PRIOR else tl.load(prior + i, inside, other=0.0)

    if HOW == PAPER:
        e = exp(-2.0 * tl.abs(w))
        mean = 1.0 - tl.div_rn(2.0 * e, 1.0 + e)
        g = tl.div_rn(g, 1.0 - mean * mean + 1e-10)
        w = (1.0 - lr * rho) * w - lr * g
        w += lr * rho * old
    else:
        if variance is not None:
            g = tl.div_rn(g, tl.load(variance + i, inside, other=1.0))
        else:
            e = exp(-2.0 * tl.abs(w))
            g = tl.div_rn(g * (1.0 + e) * (1.0 + e), 4.0 * e)
        if CLIPS:
            g = _bounded(g, clip)
        if DECAYS:
            g += rho * (w - old)
        if HOW == MOMENTUM:
            g = beta1 * tl.load(m + i, inside, other=0.0) + g
            tl.store(m + i, g, inside)
        if HOW == ADAM:
            mean = tl.load(m + i, inside, other=0.0)
            mean += (g - mean) * (1.0 - beta1)
            square = tl.load(v + i, inside, other=0.0) * beta2 + g * g * (1.0 - beta2)
            tl.store(m + i, mean, inside)
            tl.store(v + i, square, inside)
            g = tl.div_rn(mean * bias1, tl.sqrt_rn(square * bias2) + 1e-8)
        w = _bounded(w - lr * g, limit)
    tl.store(latent + i, w, inside)

    drawn, its_slope = _drawn(w, i, per_tau, first, second, KIND)
    tl.store(value + i, drawn, inside)
    tl.store(slope + i, its_slope, inside)


def step_and_draw(
    latent: Any,
    grad: Any,
    variance: Any,
    prior: Any,
    m: Any,
    v: Any,
    value: Any,
    slope: Any,
    how: tl.constexpr,
    lr: float,
    rho: float,
    clip: float,
    betas: tuple[float, float],
    count: float,
    limit: float,
    kind: tl.constexpr,
    tau: float,
    first: int,
    second: int,
) -> None:
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
    biases = (1 / (1 - beta**count) for beta in betas)
    launch(
        _step_and_draw,
        latent.shape[0],
        _BLOCK,
        (latent, grad, variance, prior, m, v, value, slope),
        latent.shape[0],
        lr,
        rho,
        clip,
        *betas,
        *biases,
        limit,
        1 / tau,
        signed(first),
        signed(second),
        HOW=how,
        CLIPS=clip > 0,
        DECAYS=rho != 0,
        ONE_PRIOR=prior.shape[0] == 1,
        KIND=kind,
    )
