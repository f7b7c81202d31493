"""What the kernels compute with: hashed noise, exponential and logarithm of ``compiled/arithmetic.py``.

``tl.exp`` is an approximation on a GPU, whose relative error grows with its argument to 4e-6 at 60; this one is as good
as the CPU's, and every rounding is said, so that a posterior means the same draw on both.
"""

from __future__ import annotations

import triton
import triton.language as tl

_LOG2E = tl.constexpr(1.4426950408889634)
_LN2_HIGH = tl.constexpr(0.693145751953125)  # 16 bits, so that its product with an exponent is exact
_LN2_LOW = tl.constexpr(1.42860677e-06)
_TO_INTEGER = tl.constexpr(1.5 * 2**23)  # a sum with it is rounded to an integer
_LN2 = tl.constexpr(0.6931471805599453)


@triton.jit
def uniform_at(position, first, second):
    """Noise of :func:`snntorch_binary.kernels.noise.uniform` at int32 positions, by keys with the same bits."""
    x = (position ^ first).to(tl.uint32, bitcast=True)
    x = (x ^ (x >> 16)) * 0x21F0AAAD
    x = x + second.to(tl.uint32, bitcast=True)
    x = (x ^ (x >> 17)) * 0xED5AD4BB
    x = (x ^ (x >> 11)) * 0xAC4C1B51
    x = (x ^ (x >> 15)) * 0x31848BAB
    x = x ^ (x >> 14)
    return ((x >> 9).to(tl.int32).to(tl.float32) + 0.5) * (2.0**-23)


@triton.jit
def exp(x):
    """e^x to 1 ulp or so, for x in [-87, 88]; beyond, the value at the bound."""
    x = tl.where(x > 88.0, 88.0, tl.where(x < -87.0, -87.0, x))
    shifted = tl.fma(x, _LOG2E, _TO_INTEGER)
    k = shifted - _TO_INTEGER
    r = tl.fma(-k, _LN2_LOW, tl.fma(-k, _LN2_HIGH, x))
    p = tl.fma(r, 1 / 5040, 1 / 720)
    p = tl.fma(p, r, 1 / 120)
    p = tl.fma(p, r, 1 / 24)
    p = tl.fma(p, r, 1 / 6)
    p = tl.fma(p, r, 0.5)
    p = tl.fma(p, r, 1.0)
    p = tl.fma(p, r, 1.0)
    # The lowest bits of `shifted` are those of the integer k, and no cast has to say what becomes of NaN.
    return p * ((shifted.to(tl.int32, bitcast=True) + 127) << 23).to(tl.float32, bitcast=True)


@triton.jit
def log(x):
    """Natural logarithm to some ulp, of a positive normal x."""
    bits = x.to(tl.int32, bitcast=True)
    exponent = (bits >> 23) - 127
    m = ((bits & 0x7FFFFF) | 0x3F800000).to(tl.float32, bitcast=True)
    large = m > 1.4142135
    m = tl.where(large, m * 0.5, m)
    k = exponent.to(tl.float32) + tl.where(large, 1.0, 0.0)
    s = tl.div_rn(m - 1.0, m + 1.0)
    t = s * s
    p = tl.fma(t, 2 / 11, 2 / 9)
    p = tl.fma(p, t, 2 / 7)
    p = tl.fma(p, t, 2 / 5)
    p = tl.fma(p, t, 2 / 3)
    p = tl.fma(p, t, 2.0)
    return tl.fma(s, p, k * _LN2)
