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
_u = np.uint32
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


@njit(inline="always")
def uniform_at(position: int, first: int, second: int) -> float:
    """One number of :func:`snntorch_binary.kernels.noise.uniform`."""
    x = _u(_u(position) ^ _u(first))
    x = _u(_u(x ^ _u(x >> _u(16))) * _u(0x21F0AAAD))
    x = _u(x + _u(second))
    x = _u(_u(x ^ _u(x >> _u(17))) * _u(0xED5AD4BB))
    x = _u(_u(x ^ _u(x >> _u(11))) * _u(0xAC4C1B51))
    x = _u(_u(x ^ _u(x >> _u(15))) * _u(0x31848BAB))
    x = _u(x ^ _u(x >> _u(14)))
    return (_f(np.int32(x >> _u(9))) + _f(0.5)) * _f(2.0**-23)


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
