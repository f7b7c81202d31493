"""A plan of runs: those that are done are not done again, and several can be trained at once."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from multiprocessing.managers import SyncManager
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import Empty
from typing import Any, Protocol

import torch

from snntorch_binary._errors import expected, in_one_line
from snntorch_binary._files import OutputError, RunFolder, digest, remove_parts, settings_in, write_json
from snntorch_binary.experiments.progress import RunProgress, RunsProgress, Sender

FORMAT = 2
"""Format of folders of results."""
SETTINGS = "settings.json"
LAST = "last.ckpt"
_NAMED = ("rules", "methods")
"""What there can be more of in a folder later."""


class ProcessEndedError(RuntimeError):
    """A process that trained a run was ended by somebody else; what it had done is kept."""


class Train(Protocol):
    """Trains one run in its folder and returns its result; sent to another process, it is pickled."""

    def __call__(self, folder: RunFolder, progress: RunProgress) -> dict[str, Any]:
        """Train, or go on with what the folder holds."""
        ...


@dataclass(frozen=True)
class PlannedRun:
    """One run.

    Attributes:
        name: of its folder below ``runs``.
        key: what its result depends on, as plain values.
        train: makes the result.
        result: the file of the result, which is there when the run is done.
        has: the names of the values in the result.
    """

    name: str
    key: Mapping[str, Any]
    train: Train
    result: str
    has: frozenset[str]

    def folder(self, out: Path, say: Callable[[str], None] = lambda _: None) -> RunFolder:
        """Return its folder."""
        return run_files(out / "runs" / self.name, self.name, self.key, say)

    def finished(self, folder: RunFolder) -> dict[str, Any] | None:
        """Return the result, or ``None`` where the run is to be trained (on)."""
        done = folder.read_tensors(self.result)
        if done is None or done.keys() != self.has:
            return None
        # Somebody may have removed it, but other pictures than these results are not made of a damaged one.
        return done if LAST in folder or not (folder.path / LAST).exists() else None


def run_files(path: Path, name: str, key: Mapping[str, Any], say: Callable[[str], None] = lambda _: None) -> RunFolder:
    """Return the files of a run in a folder; those of another name or key are taken for none."""
    return RunFolder(path, {"run": name, "settings": digest(dict(key))}, say)


def carry_out(
    plan: Sequence[PlannedRun],
    out: Path,
    progress: RunsProgress,
    say_of: Callable[[str, dict[str, Any]], str],
    jobs: int = 1,
    begin: Callable[[Sequence[PlannedRun]], object] = lambda todo: None,
) -> list[dict[str, Any]]:
    """Train what is not done already; return the results of all runs in their order.

    Args:
        plan: the runs.
        out: the folder of results.
        progress: shows how far they are.
        say_of: makes a line of a finished run's name and result.
        jobs: how many are trained at once, each in a process of its own; the results are the same. All runs are
            trained with one thread on a processor.
        begin: called with the runs that are not done, before the first of them.

    Raises:
        OSError: a file cannot be written.
        ProcessEndedError: a process was ended.
    """
    folders = {run.name: run.folder(out, progress.note) for run in plan}
    results = {run.name: run.finished(folders[run.name]) for run in plan}
    todo = [run for run in plan if results[run.name] is None]
    begin(todo)
    if jobs > 1 and len(todo) > 1:
        for run in plan:
            done = results[run.name]
            if done is not None:
                progress.finish(say_of(run.name, done), run.name)
        for run, done in _several(todo, out, progress, min(jobs, len(todo))):
            results[run.name] = done
            progress.finish(say_of(run.name, done), run.name)
    else:
        for run in plan:
            done = results[run.name]
            if done is None:
                done = results[run.name] = _one(run, folders[run.name], progress.of(run.name))
            progress.finish(say_of(run.name, done), run.name)
    return [found for run in plan if (found := results[run.name]) is not None]


def _one(run: PlannedRun, folder: RunFolder, progress: RunProgress) -> dict[str, Any]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the order of sums is then that of every machine and of every number of jobs
    try:
        result = run.train(folder, progress)
    finally:
        torch.set_num_threads(threads)
    folder.write_tensors(run.result, result)
    return result


# ---- several at once -------------------------------------------------------------------------------------------------

_queue: Any = None
_IMPORTED = ["snntorch_binary.experiments.compare.train"]
"""What all processes need, imported once for all of them."""


def _several(todo: Sequence[PlannedRun], out: Path, progress: RunsProgress, jobs: int) -> Any:
    """Train runs in processes of their own; yield each with its result as it is done."""
    context = _context()
    manager = SyncManager(ctx=context)
    manager.start(_end_with_parent)
    queue = manager.Queue()
    pool = ProcessPoolExecutor(jobs, context, _begin, (queue, list(sys.path), dict(os.environ)))
    waiting: dict[Future[dict[str, Any]], PlannedRun] = {}
    try:
        waiting = {pool.submit(_in_process, run, out): run for run in todo}
        while waiting:
            done, _ = wait(waiting, timeout=0.2, return_when="FIRST_COMPLETED")
            _listen(queue, progress)
            for future in done:
                yield waiting.pop(future), future.result()
            # The pool itself does not watch the process it started last until another has a result.
            if waiting and not all(process.is_alive() for process in _processes(pool)):
                raise BrokenProcessPool
    except BrokenProcessPool:
        what = "A process that trained a run was ended, perhaps for want of memory; the same again continues it"
        raise ProcessEndedError(f"{what}, and fewer jobs need less.") from None
    finally:
        for process in _processes(pool) if waiting else []:
            process.terminate()
        pool.shutdown(cancel_futures=True)
        manager.shutdown()


def _context() -> BaseContext:
    """Return how processes are begun: forked from one that has imported, not from this, whose threads can hang them."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    return context


def _processes(pool: ProcessPoolExecutor) -> list[BaseProcess]:
    return list((getattr(pool, "_processes", None) or {}).values())


def _begin(queue: Any, path: list[str], environment: dict[str, str]) -> None:
    global _queue
    _queue = queue
    sys.path[:] = path
    os.environ.clear()  # of the time when the first process was begun
    os.environ.update(environment)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that waits is interrupted, and ends the others
    # Lightning's own handler, which it has in training, only notes the signal; it calls this one, too.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    _end_with_parent()


def _end_with_parent() -> None:
    """Have this process end when the one that began it is killed: the same command is to be alone in its folder."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _in_process(run: PlannedRun, out: Path) -> dict[str, Any]:
    sender = Sender(run.name, lambda *said: _queue.put(said))
    return _one(run, run.folder(out, sender.note), sender)


def _listen(queue: Any, progress: RunsProgress) -> None:
    while True:
        try:
            progress.take(*queue.get_nowait())
        except Empty:
            return


def default_jobs() -> int:
    """Return half the number of cores, at least one."""
    return max(1, (os.cpu_count() or 1) // 2)


def check_jobs(jobs: int, sent: object = None) -> None:
    """Raise the house sentence unless this is a number of processes, to which this can be sent if there are several."""
    if type(jobs) is not int or jobs < 1:
        raise ValueError(expected("jobs", "a positive integer", jobs))
    if jobs > 1:
        try:
            pickle.dumps(sent)
        except Exception as error:  # whatever a user's object does
            what = "1 for a network or data that other processes cannot import"
            raise ValueError(expected("jobs", what, in_one_line(f"{jobs}: {error}", 200))) from None


# ---- the folder of results -------------------------------------------------------------------------------------------


def check_output(out: Path, settings: Mapping[str, Any]) -> None:
    """Say, before anything is trained, why results could not be written or mixed with those already there.

    Args:
        out: the folder.
        settings: what all of its results depend on, as plain values; what is below ``"rules"`` or ``"methods"`` is
            compared for those that are there in both.

    Raises:
        OutputError: the folder cannot be written to, or holds runs made with other settings.
    """
    nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        raise OutputError(f"The results cannot be written to {out}: {nearest} is no folder.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise OutputError(f"The results cannot be written to {out}: no permission to write to {nearest}.")
    path = out / SETTINGS
    if not path.exists():
        return
    before = settings_in(path)
    if not (out / "runs").is_dir():
        return
    way_out = "give another --out or remove the folder"
    if before.pop("format", None) != FORMAT:
        raise OutputError(f"{out} holds runs of another version of this package; {way_out}.")
    was, now = _by_name(_named_in(settings, before)), _by_name(_named_in(before, settings))
    changed = sorted(key for key in was.keys() | now.keys() if was.get(key) != now.get(key))
    if changed:
        others = in_one_line(", ".join(changed), 200)
        raise OutputError(f"{out} holds runs with other settings ({others}); {way_out}.")


def _named_in(others: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without what they say of rules or methods that others do not have."""
    found = dict(settings)
    for key in _NAMED:
        there, named = others.get(key), settings.get(key)
        if isinstance(there, Mapping) and isinstance(named, Mapping):
            found[key] = {name: of for name, of in named.items() if name in there}
    return found


def _by_name(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return values by names as ``data.classes``."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        named = f"{prefix}{name}"
        found |= _by_name(value, f"{named}.") if isinstance(value, Mapping) else {named: value}
    return found


def write_settings(out: Path, settings: Mapping[str, Any]) -> None:
    """Make the folder of results, and note in it what :func:`check_output` will compare.

    Raises:
        OutputError: it cannot be written.
    """
    path = out / SETTINGS
    before = settings_in(path) if path.exists() and (out / "runs").is_dir() else {}
    try:
        out.mkdir(parents=True, exist_ok=True)
        remove_parts(out)
        write_json(path, {"format": FORMAT, **settings, **_joined(before, settings)})
    except OSError as error:
        raise OutputError(f"The results cannot be written to {out}: {error.strerror}.") from None


def _joined(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rules or methods of both: there may be some at one time, and others at another."""
    found = {}
    for key in _NAMED:
        was, named = before.get(key), now.get(key)
        if isinstance(named, Mapping):
            found[key] = {**(was if isinstance(was, Mapping) else {}), **named}
    return found
