"""Compiled kernels in as many threads as torch has: each takes a part of what is independent."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache

import torch

_LEAST_NUMBERS = 1 << 19  # a thread that reads fewer gains less than it costs to wake it


def parts(count: int, numbers: int, multiple: int = 1) -> list[tuple[int, int]]:
    """Return the parts (begin, end) of range(count), one a thread; one alone where there is little to do.

    Args:
        count: how many things are independent.
        numbers: how many numbers are read for all of them.
        multiple: parts begin at multiples of it.
    """
    threads = max(1, min(torch.get_num_threads(), numbers // _LEAST_NUMBERS, -(-count // multiple)))
    size = -(-count // (threads * multiple)) * multiple
    return [(begin, min(begin + size, count)) for begin in range(0, count, max(1, size))] or [(0, count)]


def in_threads(run: Callable[..., None], chosen: list[tuple[int, int]]) -> None:
    """Call ``run(begin, end)`` for every part, side by side; kernels let go of Python's lock meanwhile."""
    waiting: list[Future[None]] = []
    here = chosen[:1]
    for part in chosen[1:]:
        try:
            waiting.append(_pool(os.getpid()).submit(run, *part))
        except RuntimeError:  # Python is about to end, and starts no work in threads any more
            here.append(part)
    try:
        for part in here:
            run(*part)
    finally:
        wait(waiting)
    for one in waiting:
        one.result()


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Return threads of this process, begun as they are needed; those of another did not come along in a fork."""
    return ThreadPoolExecutor(os.cpu_count(), "snntorch_binary")
