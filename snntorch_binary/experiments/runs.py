"""A plan of runs: those that are done are not done again, and several can be trained at once."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from multiprocessing.managers import SyncManager
from pathlib import Path
from queue import Empty
from typing import Any, Protocol

import torch

from snntorch_binary._errors import expected, in_one_line
from snntorch_binary._files import RunFolder, digest
from snntorch_binary._processes import context, end_with_parent, in_processes
from snntorch_binary.experiments.progress import RunProgress, RunsProgress, Sender
from snntorch_binary.experiments.results_folder import check_output, write_settings

LAST = "last.ckpt"


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
        afterwards: what else is made of a run once it is done, while others are still being trained; nothing depends
            on it or on its errors, and whoever needs what it makes looks whether it is there. Sent to another process,
            it is pickled.
    """

    name: str
    key: Mapping[str, Any]
    train: Train
    result: str
    has: frozenset[str]
    afterwards: Callable[[], None] | None = None

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
    settings: Mapping[str, Any],
    progress: RunsProgress,
    say_of: Callable[[str, dict[str, Any]], str],
    jobs: int = 1,
    try_out: Callable[[Sequence[PlannedRun]], object] = lambda todo: None,
) -> list[dict[str, Any]]:
    """Train what is not done already; return the results of all runs in their order.

    Args:
        plan: the runs.
        out: the folder of results.
        settings: what all results in the folder depend on, see :func:`check_output`.
        progress: shows how far they are.
        say_of: makes a line of a finished run's name and result.
        jobs: how many are trained at once, each in a process of its own; the results are the same. All runs are
            trained with one thread on a processor.
        try_out: called with the runs that are not done, if there are any, before anything is trained or written.

    Raises:
        OutputError: the folder cannot be written to, or holds runs made with other settings.
        OSError: a file cannot be written.
        ProcessEndedError: a process was ended.
    """
    check_output(out, settings)
    folders = {run.name: run.folder(out, progress.note) for run in plan}
    finished = [(run, done) for run in plan if (done := run.finished(folders[run.name])) is not None]
    done_before = [run.name for run, _ in finished]
    todo = [run for run in plan if run.name not in done_before]
    if todo:
        try_out(todo)
    write_settings(out, settings)
    at_once = min(jobs, len(todo))
    trained = _several(todo, out, progress, at_once) if at_once > 1 else _in_turn(todo, folders, progress)
    results = {}
    with progress:
        if finished:
            progress.note(f"{len(finished)} of {len(plan)} were done before, and are not trained again.")
        for run, result in chain(finished, trained):
            results[run.name] = result
            progress.finish(say_of(run.name, result), run.name)
    return [results[run.name] for run in plan]


def _in_turn(todo: Sequence[PlannedRun], folders: Mapping[str, RunFolder], progress: RunsProgress) -> Any:
    """Train runs one after another; yield each with its result as it is done."""
    for run in todo:
        yield run, _one(run, folders[run.name], progress.of(run.name))


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


def _several(todo: Sequence[PlannedRun], out: Path, progress: RunsProgress, jobs: int) -> Any:
    """Train runs in processes of their own; yield each with its result as it is done."""
    manager = SyncManager(ctx=context())
    manager.start(end_with_parent)
    queue = manager.Queue()
    try:
        work = {run.name: (_in_process, run, out) for run in todo}
        by_name = {run.name: run for run in todo}

        def then(name: str) -> tuple[Any, ...] | None:
            afterwards = by_name[name].afterwards
            return None if afterwards is None else (_afterwards, name, afterwards)

        for name, result in in_processes(work, jobs, _keep, (queue,), lambda: _listen(queue, progress), then):
            yield by_name[name], result
    finally:
        manager.shutdown()


def _keep(queue: Any) -> None:
    global _queue
    _queue = queue


def _in_process(run: PlannedRun, out: Path) -> dict[str, Any]:
    sender = Sender(run.name, lambda *said: _queue.put(said))
    return _one(run, run.folder(out, sender.note), sender)


def _afterwards(name: str, make: Callable[[], None]) -> None:
    sender = Sender(name, lambda *said: _queue.put(said))
    sender.say(f"{name}: what else is asked of it")
    with suppress(Exception):  # it is made again by whoever needs it, when all are trained, and what is wrong said then
        make()
    sender.rest()


def _listen(queue: Any, progress: RunsProgress) -> None:
    while True:
        try:
            progress.take(*queue.get_nowait())
        except Empty:
            return


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
