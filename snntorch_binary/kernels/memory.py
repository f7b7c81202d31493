"""Memory for large results."""

from __future__ import annotations

import math
import mmap

import torch
from torch import Tensor

_LARGE = 2**25
"""Bytes from which on an allocation is new memory at every call, which the system hands over page by page."""


def empty(*shape: int) -> Tensor:
    """Return float32 numbers that are yet to be written, in large pages where the system has them.

    Handing over 32 MiB in pages of 4 KiB can take longer than to write a convolution's result to them.
    """
    size = 4 * math.prod(shape)
    if size < _LARGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.empty(shape)
    try:
        memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.madvise(mmap.MADV_HUGEPAGE)
    except OSError:  # no such pages, or no room for a mapping
        return torch.empty(shape)
    return torch.frombuffer(memory, dtype=torch.float32).view(shape)
