"""What every compiled kernel computes with: hashed noise, exponential and logarithm that vectorise.

numba keeps a compiled kernel as long as the kernel's own file is the same. So that a change here is seen, every file
that imports this one says its digest; a test compares them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_f = np.float32
_LOG2E = _f(1.4426950408889634)
_LN2_HIGH = _f(0.693145751953125)  # 16 bits, so that its product with an exponent is exact
_LN2_LOW = _f(1.42860677e-06)
_TO_INTEGER = _f(1.5 * 2**23)  # a sum with it is rounded to an integer
_LN2 = _f(0.6931471805599453)


@intrinsic
def float_of(context: Any, bits: Any) -> Any:
    """The float32 with these bits."""

    def generate(_: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic
def bits_of(context: Any, number: Any) -> Any:
    """The bits of a float32."""

    def generate(_: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), generate


@intrinsic
def fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a b + c with one rounding; left to the compiler, it may be one or two, as the next compilation pleases."""

    def generate(_: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return types.float32(types.float32, types.float32, types.float32), generate


# In 32 bits throughout: numba computes with uint32 in 64, of which a vector register holds half as many.
@intrinsic
def _hashed(context: Any, position: Any, first: Any, second: Any) -> Any:
    """The upper 23 bits of the hash of a position under two keys."""

    def generate(_: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(32)
        position, first, second = (builder.trunc(number, word) for number in args)

        def mixed(x: Any, bits: int, factor: int) -> Any:
            return builder.mul(builder.xor(x, builder.lshr(x, word(bits))), word(factor))

        x = builder.add(mixed(builder.xor(position, first), 16, 0x21F0AAAD), second)
        for bits, factor in ((17, 0xED5AD4BB), (11, 0xAC4C1B51), (15, 0x31848BAB)):
            x = mixed(x, bits, factor)
        return builder.lshr(builder.xor(x, builder.lshr(x, word(14))), word(9))

    return types.int32(types.int64, types.int64, types.int64), generate


@njit(inline="always")
def uniform_at(position: int, first: int, second: int) -> float:
    """One number of :func:`snntorch_binary.kernels.noise.uniform`."""
    return (_f(_hashed(position, first, second)) + _f(0.5)) * _f(2.0**-23)


@njit(inline="always")
def exp(x: float) -> float:
    """e^x to 1 ulp or so, for x in [-87, 88]; beyond, the value at the bound."""
    x = _f(88.0) if x > _f(88.0) else (_f(-87.0) if x < _f(-87.0) else x)
    k = fma(x, _LOG2E, _TO_INTEGER) - _TO_INTEGER
    r = fma(-k, _LN2_LOW, fma(-k, _LN2_HIGH, x))
    p = _f(1 / 5040)
    p = fma(p, r, _f(1 / 720))
    p = fma(p, r, _f(1 / 120))
    p = fma(p, r, _f(1 / 24))
    p = fma(p, r, _f(1 / 6))
    p = fma(p, r, _f(0.5))
    p = fma(p, r, _f(1.0))
    p = fma(p, r, _f(1.0))
    return p * float_of(np.int32(np.int32(k) + np.int32(127)) << np.int32(23))


@njit(inline="always")
def log(x: float) -> float:
    """Natural logarithm to some ulp, of a positive normal x."""
    bits = bits_of(x)
    exponent = np.int32((bits >> np.int32(23)) - np.int32(127))
    m = float_of(np.int32((bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000)))
    large = m > _f(1.4142135)
    m = m * _f(0.5) if large else m
    k = _f(exponent) + (_f(1.0) if large else _f(0.0))
    s = (m - _f(1.0)) / (m + _f(1.0))
    t = s * s
    p = _f(2 / 11)
    p = fma(p, t, _f(2 / 9))
    p = fma(p, t, _f(2 / 7))
    p = fma(p, t, _f(2 / 5))
    p = fma(p, t, _f(2 / 3))
    p = fma(p, t, _f(2.0))
    return fma(s, p, k * _LN2)
