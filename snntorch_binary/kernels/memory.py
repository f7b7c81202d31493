"""Memory for large results, which is used again: new memory costs more than what is written to it.

The system hands it over page by page, each cleared and 4 KiB in size: 32 MiB can take longer than to compute what
goes there. torch keeps none on the CPU, so that a network over all time steps, whose results are large, pays at each.
"""

from __future__ import annotations

import math
import mmap
import os
import threading
import weakref
from collections import deque

import torch
from torch import Tensor

_LARGE = 2**22
"""Bytes from which on memory is kept; smaller memory the C library keeps."""
_PAGE = 2**21
"""Bytes of a large page, of which memory has a whole number."""


def empty(*shape: int) -> Tensor:
    """Return float32 numbers that are yet to be written."""
    size = 4 * math.prod(shape)
    if size < _LARGE or not _IS_POSSIBLE:
        return torch.empty(shape)
    numbers = _kept.numbers(size)
    return torch.empty(shape) if numbers is None else numbers.view(shape)


def empty_like(x: Tensor) -> Tensor:
    """Return numbers that are yet to be written, in the order in memory that ``torch.empty_like`` gives them."""
    if x.dtype != torch.float32 or not x.is_cpu or 4 * x.numel() < _LARGE:
        return torch.empty_like(x)
    return empty(x.numel()).as_strided(x.shape, torch.empty_like(x, device="meta").stride())


_IS_POSSIBLE = hasattr(mmap, "MADV_HUGEPAGE") and hasattr(mmap, "MADV_FREE")


class _Kept:
    """Blocks of memory that no tensor uses at the moment; the system may take their pages back when it needs them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[int, list[mmap.mmap]] = {}
        self._given_back: deque[mmap.mmap] = deque()  # whose ends come at any time, in any thread
        self._used = self._most = self._free = 0

    def numbers(self, size: int) -> Tensor | None:
        """Return float32 numbers in a block of at least so many bytes; ``None`` where the system gives no memory."""
        import numpy as np  # numba has loaded it

        size, length = -(-size // _PAGE) * _PAGE, size // 4
        with self._lock:
            self._take_back()
            blocks = self._idle.get(size)
            if blocks:
                block = blocks.pop()
                self._free -= size
            else:
                try:
                    block = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
                    block.madvise(mmap.MADV_HUGEPAGE)
                except OSError:
                    return None
            self._used += size
            self._most = max(self._most, self._used)
        numbers = np.frombuffer(block, np.float32, length)
        weakref.finalize(numbers, self._given_back.append, block).atexit = False
        return torch.from_numpy(numbers)

    def _take_back(self) -> None:
        while self._given_back:
            block = self._given_back.popleft()
            self._used -= len(block)
            if self._free + len(block) <= self._most:
                block.madvise(mmap.MADV_FREE)
                self._idle.setdefault(len(block), []).append(block)
                self._free += len(block)


_kept = _Kept()


def _forget() -> None:
    global _kept
    _kept = _Kept()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)  # another thread may have held the lock
