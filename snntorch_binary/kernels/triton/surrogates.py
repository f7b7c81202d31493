"""Spikes and surrogate gradients inside a kernel, see :mod:`snntorch_binary.kernels.surrogates`."""

from __future__ import annotations

import math

import triton
import triton.language as tl

_BOXCAR, _ARCTAN, _FAST_SIGMOID = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)


@triton.jit
def fire(u, AT_THRESHOLD: tl.constexpr):
    """The spike at the centred membrane potential u."""
    if AT_THRESHOLD:
        return tl.where(u < 0, 0.0, 1.0)
    return tl.where(u > 0, 1.0, 0.0)


@triton.jit
def derivative(u, inner, outer, KIND: tl.constexpr):
    """The stand-in for dS/du at the centred membrane potential u, by the factors of :func:`factors`."""
    if KIND == _BOXCAR:
        return tl.where((u > -inner) & ~(u > inner), outer, 0.0)
    if KIND == _ARCTAN:
        x = u * inner
        return outer * tl.div_rn(1.0, 1.0 + x * x)  # as torch divides a number by a tensor
    if KIND == _FAST_SIGMOID:
        x = 1.0 + inner * tl.abs(u)
        return tl.div_rn(1.0, x * x)
    x = 1.0 - tl.abs(u) * inner
    return outer * tl.where(x > 0, x, 0.0)


def factors(surrogate: tuple[int, float, float]) -> tuple[float, float]:
    """Return the factors of u and of the whole; see :func:`snntorch_binary.kernels.surrogates.kernel_form`."""
    kind, size, height = surrogate
    return ((size / 2, height), (math.pi / 2 * size, size / 2), (size, 1.0), (2 / size, height))[kind]
