"""How a scale and a bias are rounded, so that kernels round as torch does."""

from __future__ import annotations

from functools import cache

import torch

NOTHING, TWICE, ONCE = 0, 1, 2
"""No bias; a product that is rounded, and then the sum; both in one rounding."""


def addition_of(has_bias: bool, fused: bool) -> int:
    """Return how a layer adds its bias."""
    return NOTHING if not has_bias else ONCE if fused and addcmul_is_fused() else TWICE


def norm_addition_of(has_norm: bool) -> int:
    """Return how a batch norm adds its bias."""
    return NOTHING if not has_norm else ONCE if addcmul_is_fused() else TWICE


@cache
def addcmul_is_fused() -> bool:
    """Say whether ``torch.addcmul`` rounds once, which depends on how torch was built."""
    x = torch.full((64,), 1.0 + 2.0**-12)
    return bool((torch.addcmul(torch.full((64,), -1.0), x, x) != x * x - 1.0).all())
