"""Work in several processes at once, each with one thread, that end with the one that began them."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import torch

IMPORTED = ["snntorch_binary.experiments.compare.train"]
"""What all processes need, imported once for all of them."""

Key = TypeVar("Key", bound=Hashable)


class ProcessEndedError(RuntimeError):
    """A process was ended by somebody else; what it had done is kept."""


def default_jobs() -> int:
    """Return half the number of cores, and both of two."""
    cores = os.cpu_count() or 1
    return max(min(cores, 2), cores // 2)


def context() -> BaseContext:
    """Return how processes are begun: forked from one that has imported, not from this, whose threads can hang them."""
    if sys.platform != "linux":  # elsewhere there is no fork, or it is unsafe once a library of the system is loaded
        return multiprocessing.get_context("spawn")
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(IMPORTED)
    return found


def warm_up(jobs: int) -> None:
    """Begin the process that others are forked from, which imports while this one does so, too."""
    if jobs > 1 and context().get_start_method() == "forkserver":
        from multiprocessing import forkserver, resource_tracker

        resource_tracker.ensure_running()  # which lets interrupts through when it has begun
        # It ignores an interrupt once it has imported everything, and before that if none reaches it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def in_processes(
    work: Mapping[Key, tuple[Any, ...]],
    jobs: int,
    begin: Callable[..., None] | None = None,
    given: tuple[Any, ...] = (),
    meanwhile: Callable[[], None] = lambda: None,
    then: Callable[[Key], tuple[Any, ...] | None] = lambda _: None,
) -> Iterator[tuple[Key, Any]]:
    """Call functions in processes of their own; yield what each returns as it is done.

    Args:
        work: the functions and their arguments, which are pickled, by any key.
        jobs: how many at once.
        begin: called in each process before anything else.
        given: its arguments.
        meanwhile: called here several times a second.
        then: returns what is to be called once a key's work is done, a function and its arguments, if anything is. It
            is called when no other work waits; nobody gets what it returns.

    Raises:
        ProcessEndedError: a process was ended. An error in a process is the same here; the others are ended.
    """
    pool = ProcessPoolExecutor(jobs, context(), _begin, (list(sys.path), dict(os.environ), begin, given))
    waiting: dict[Future[Any], Key | None] = {}
    try:
        waiting = {pool.submit(*call): key for key, call in work.items()}
        while waiting:
            done, _ = wait(waiting, timeout=0.2, return_when="FIRST_COMPLETED")
            meanwhile()
            for future in done:
                key, result = waiting.pop(future), future.result()
                if key is None:
                    continue
                if (call := then(key)) is not None:
                    waiting[pool.submit(*call)] = None  # behind all work, which was handed in before
                yield key, result
            # The pool itself does not watch the process it started last until another has a result.
            if waiting and not all(process.is_alive() for process in _processes(pool)):
                raise BrokenProcessPool
    except BrokenProcessPool:
        what = "A process of a run was ended, perhaps for want of memory; the same again continues it"
        raise ProcessEndedError(f"{what}, and fewer jobs need less.") from None
    finally:
        for process in _processes(pool) if waiting else []:
            process.terminate()
        pool.shutdown(cancel_futures=True)


def _processes(pool: ProcessPoolExecutor) -> list[BaseProcess]:
    return list((getattr(pool, "_processes", None) or {}).values())


def _begin(
    path: list[str], environment: dict[str, str], begin: Callable[..., None] | None, given: tuple[Any, ...]
) -> None:
    sys.path[:] = path
    os.environ.clear()  # of the time when the first process was begun
    os.environ.update(environment)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that waits is interrupted, and ends the others
    # Lightning's own handler, which it has in training, only notes the signal; it calls this one, too.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    end_with_parent()
    if begin is not None:
        begin(*given)


def end_with_parent() -> None:
    """Have this process end when the one that began it is killed: the same command is to be alone in its folder."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
