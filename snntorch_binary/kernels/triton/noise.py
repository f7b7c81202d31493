"""Noise by key and position, see :mod:`snntorch_binary.kernels.noise`."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from snntorch_binary.kernels.noise import signed
from snntorch_binary.kernels.triton.arithmetic import uniform_at
from snntorch_binary.kernels.triton.launch import launch

_BLOCK = 1024


@triton.jit(do_not_specialize=["first", "second"])
def _uniform(out, size, first, second, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + i, uniform_at(i, first, second), i < size)


def uniform(out: Any, first: int, second: int) -> None:
    """Fill a flat array with U(0, 1) noise."""
    launch(_uniform, out.shape[0], _BLOCK, (out,), out.shape[0], signed(first), signed(second))
