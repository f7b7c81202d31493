"""Rates of soft LIF neurons, see :mod:`snntorch_binary.kernels.soft_lif`.

Both logarithms are of a known range, so that each is a polynomial: log(1 + z) / z of z = e^-|y| in (0, 1], and
log(1 + 1/j) = k log 2 + 2 artanh(s) with a power of two 2^k near 1 + 1/j. Neither loses digits where j is large or
small. The polynomials are Chebyshev fits, with errors below 3e-8.
"""

# arithmetic.py: 830defd3
from __future__ import annotations

import numpy as np
from numba import njit

from snntorch_binary.kernels.compiled.arithmetic import bits_of, exp, float_of, fma, log, uniform_at
from snntorch_binary.kernels.engine import announced

_f, _i = np.float32, np.int32
_BLOCK = 2048
_LARGE = _f(1e30)
_LN2 = _f(0.6931471805599453)

# No contraction to fused multiply-adds but those that are written: a resume would differ.
_options = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(inline="always")
def _soft(y: float, gamma: float, lowest: float) -> tuple[float, float, float, float]:
    """Return j, log(1 + 1/j), e^-|y| and the numerator that makes 1 / (1 + e^-y) of it."""
    y = _LARGE if y > _LARGE else (lowest if y < lowest else y)  # numbers below the normal ones are slow
    z = exp(-abs(y))
    p = _f(0.005253457797148085)
    p = fma(p, z, _f(-0.02958850739317554))
    p = fma(p, z, _f(0.07836166801885099))
    p = fma(p, z, _f(-0.13674769705510198))
    p = fma(p, z, _f(0.19111431080553018))
    p = fma(p, z, _f(-0.24844369892454324))
    p = fma(p, z, _f(0.33319271342497936))
    p = fma(p, z, _f(-0.49999501516786776))
    p = fma(p, z, _f(0.999999970540657))
    j = gamma * fma(p, z, y if y > 0 else _f(0))
    n = _f(1) + j
    k = _i(_i(_i(bits_of(n) - bits_of(j)) + _i(0x400000)) >> _i(23))
    power = float_of(_i(_i(k + _i(127)) << _i(23)))
    s = fma(j, _f(1) - power, _f(1)) / fma(j, _f(1) + power, _f(1))
    t = s * s
    q = _f(0.30680022282335284)
    q = fma(q, t, _f(0.39939653451537643))
    q = fma(q, t, _f(0.6666721454293685))
    q = fma(q, t, _f(1.9999999922549696))
    return j, fma(s, q, _f(k) * _LN2), z, _f(1) if y > 0 else z


@njit(**_options)
def _rates(x, rates, per_gamma, gamma, lowest, amplitude, tau_ref, tau_rc):
    for i in range(x.shape[0]):
        y = x[i] * per_gamma
        _, logarithm, _, _ = _soft(y, gamma, lowest)
        rate = amplitude / fma(tau_rc, logarithm, tau_ref)
        rates[i] = _f(0) if y < lowest else rate


@njit(**_options)
def _rates_and_slope(x, rates, slope, per_gamma, gamma, lowest, amplitude, tau_ref, tau_rc, factor):
    for i in range(x.shape[0]):
        y = x[i] * per_gamma
        j, logarithm, z, numerator = _soft(y, gamma, lowest)
        rate = amplitude / fma(tau_rc, logarithm, tau_ref)
        steepness = numerator / (j * (j + _f(1)) * (z + _f(1))) * (factor * rate * rate)
        rates[i] = _f(0) if y < lowest else rate
        slope[i] = _f(0) if y < lowest else steepness


@njit(inline="always")
def _normal(u: float) -> float:
    """The normal quantile of u in (0, 1): √2 erfinv(2 u - 1) by Giles' two polynomials."""
    w = -log(_f(4) * u * (_f(1) - u))
    c = w - _f(2.5)
    p = _f(2.81022636e-08)
    p = fma(p, c, _f(3.43273939e-07))
    p = fma(p, c, _f(-3.5233877e-06))
    p = fma(p, c, _f(-4.39150654e-06))
    p = fma(p, c, _f(0.00021858087))
    p = fma(p, c, _f(-0.00125372503))
    p = fma(p, c, _f(-0.00417768164))
    p = fma(p, c, _f(0.246640727))
    p = fma(p, c, _f(1.50140941))
    c = np.sqrt(w) - _f(3)
    q = _f(-0.000200214257)
    q = fma(q, c, _f(0.000100950558))
    q = fma(q, c, _f(0.00134934322))
    q = fma(q, c, _f(-0.00367342844))
    q = fma(q, c, _f(0.00573950773))
    q = fma(q, c, _f(-0.0076224613))
    q = fma(q, c, _f(0.00943887047))
    q = fma(q, c, _f(1.00167406))
    q = fma(q, c, _f(2.83297682))
    return _f(1.4142135) * (_f(2) * u - _f(1)) * (p if w < _f(5) else q)


@njit(**_options)
def _add_noise(x, rates, start, deviation, first, second):
    for i in range(x.shape[0]):
        noisy = rates[i] + deviation * _normal(uniform_at(start + i, first, second))
        noisy = noisy if noisy > 0 else _f(0)
        rates[i] = noisy if x[i] > 0 else rates[i]


@announced
@njit(**_options)
def soft_lif(x, rates, slope, constants, lowest, first, second):
    """Fill the rates and, if it is not empty, the slope of flat inputs; both are 0 where a x / γ < ``lowest``."""
    amplitude, tau_ref, tau_rc = _f(constants[0]), _f(constants[1]), _f(constants[2])
    gamma, lowest, deviation = _f(constants[4]), _f(lowest), _f(constants[0] * constants[5])
    per_gamma, factor = _f(constants[3] / constants[4]), _f(constants[3] * constants[2] / constants[0])
    for start in range(0, x.shape[0], _BLOCK):
        b = slice(start, start + _BLOCK)
        if slope.shape[0]:
            _rates_and_slope(x[b], rates[b], slope[b], per_gamma, gamma, lowest, amplitude, tau_ref, tau_rc, factor)
        else:
            _rates(x[b], rates[b], per_gamma, gamma, lowest, amplitude, tau_ref, tau_rc)
        if deviation > 0:
            _add_noise(x[b], rates[b], start, deviation, first, second)
