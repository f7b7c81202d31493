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
from collections.abc import Sequence

import torch
from torch import Tensor

_LARGE = 2**22
"""Bytes from which on memory is kept; smaller memory the C library keeps."""
_PAGE = 2**21
"""Bytes of a large page, of which memory has a whole number."""


def empty(*shape: int) -> Tensor:
    """Return float32 numbers on the CPU that are yet to be written."""
    storage = _large(4 * math.prod(shape))
    if storage is None:
        return torch.empty(shape, dtype=torch.float32, device="cpu")
    return _in(storage, shape, torch.empty(shape, device="meta").stride())


def empty_like(x: Tensor) -> Tensor:
    """Return numbers that are yet to be written, in the order in memory that ``torch.empty_like`` gives them."""
    fits = x.dtype == torch.float32 and x.is_cpu
    storage = _large(4 * x.numel()) if fits else None
    return (
        torch.empty_like(x) if storage is None else _in(storage, x.shape, torch.empty_like(x, device="meta").stride())
    )


def _large(size: int) -> torch.UntypedStorage | None:
    return _kept.storage(size) if size >= _LARGE and _IS_POSSIBLE else None


def _in(storage: torch.UntypedStorage, shape: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Return a tensor in memory. It is no view, which what autograd has made may not be where somebody writes to it."""
    with torch.no_grad():
        return torch.empty(0, dtype=torch.float32, device="cpu").set_(storage, 0, shape, stride)


_IS_POSSIBLE = hasattr(mmap, "MADV_HUGEPAGE") and hasattr(mmap, "MADV_FREE")


class _Kept:
    """Blocks of memory that no tensor uses at the moment; the system may take their pages back when it needs them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[mmap.mmap] = []  # the longest idle first
        self._given_back: deque[tuple[mmap.mmap, bool]] = deque()  # whose ends come at any time, in any thread
        self._used = self._most = self._free = 0

    def storage(self, size: int) -> torch.UntypedStorage | None:
        """Return a block of at least so many bytes; ``None`` where the system gives no memory."""
        import numpy as np  # numba has loaded it

        size = -(-size // _PAGE) * _PAGE
        with self._lock:
            self._take_back()
            block = self._take(size)
            if block is None:
                try:
                    block = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
                    block.madvise(mmap.MADV_HUGEPAGE)
                except OSError:
                    return None
            self._used += size
            self._most = max(self._most, self._used)
        numbers = np.frombuffer(block, np.uint8)
        weakref.finalize(numbers, _give_back, self._given_back, block).atexit = False
        return torch.from_numpy(numbers).untyped_storage()

    def _take(self, size: int) -> mmap.mmap | None:
        for place in reversed(range(len(self._idle))):
            if len(self._idle[place]) == size:
                self._free -= size
                return self._idle.pop(place)
        return None

    def _take_back(self) -> None:
        while self._given_back:
            block, may_be_kept = self._given_back.popleft()
            self._used -= len(block)
            if may_be_kept:
                self._idle.append(block)
                self._free += len(block)
        while self._free > self._most:  # such as of a batch size that is no more
            self._free -= len(self._idle.pop(0))


def _give_back(given_back: deque[tuple[mmap.mmap, bool]], block: mmap.mmap) -> None:
    try:
        block.madvise(mmap.MADV_FREE)
    except OSError:  # such as of memory that somebody has locked
        given_back.append((block, False))
    else:
        given_back.append((block, True))


_kept = _Kept()


def _forget() -> None:
    global _kept
    _kept = _Kept()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)  # another thread may have held the lock
