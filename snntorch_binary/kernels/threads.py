"""Compiled kernels in as many threads as torch has: each takes a part of what is independent."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
    if len(chosen) > 1:
        waiting = [_pool(os.getpid(), len(chosen) - 1).submit(run, *part) for part in chosen[1:]]
        try:
            run(*chosen[0])
        finally:
            for one in waiting:
                one.result()
    else:
        run(*chosen[0])


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Return threads of this process: those of another one did not come along when it was forked."""
    return ThreadPoolExecutor(threads, "snntorch_binary")
