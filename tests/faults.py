"""Commands that are hit by a fault at each of their file events, and then given once more.

``python faults.py FOLDER FAULT STEP ARGUMENTS...`` runs a command of the command line in a process of its own once
without a fault, and then once for every STEP-th event at which it opens a file to write, renames, removes or makes
one below its folder: there ``kill`` is a SIGKILL, ``term`` a SIGTERM, and ``full`` is a disk that is full from then
on. Each time the same command follows without a fault. FOLDER/K is where the K-th runs; FOLDER/faults.json says what
was seen. The processes are forks of one that has imported everything.
"""

import errno
import importlib
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import figures

_CHANGE = {"os.rename": 1, "os.remove": 0, "os.mkdir": 0, "os.rmdir": 0}
"""Audit events that change a folder, and the argument that is the path."""


def _changed(event, arguments):
    """Return the path that an event is about to change, or None."""
    if event == "open":
        path, _, flags = arguments
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return path if writes and isinstance(path, (str, os.PathLike)) else None
    return arguments[_CHANGE[event]] if event in _CHANGE else None


class Faults:
    """Counts the file events below a folder, and strikes at one of them."""

    def __init__(self, folder, fault, at):
        self.folder, self.fault, self.at = f"{folder}{os.sep}", fault, at
        self.events = []

    def __call__(self, event, arguments):
        path = _changed(event, arguments)
        if path is None or not os.path.abspath(path).startswith(self.folder):
            return
        self.events.append(f"{event} {os.path.basename(path)}")
        number = len(self.events)
        if self.fault == "full" and number >= self.at > 0 and event not in ("os.remove", "os.rmdir"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        if number == self.at and self.fault in ("kill", "term"):
            os.kill(os.getpid(), signal.SIGKILL if self.fault == "kill" else signal.SIGTERM)


def run(run_command, folder, fault="", at=0):
    """Run a command in a process of its own; return its status, what it said and its file events."""
    folder.mkdir(exist_ok=True)
    said = folder.with_suffix(".said")
    events = folder.with_suffix(".events")
    pid = os.fork()
    if pid == 0:
        output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(folder)
        faults = Faults(folder, fault, at)
        sys.addaudithook(faults)
        code = 99
        try:
            code = run_command()
        except SystemExit as exit:
            code = exit.code if isinstance(exit.code, int) else 1
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            events.write_text("\n".join(faults.events))
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    lines = events.read_text().splitlines() if events.exists() else []
    return status, said.read_text(), lines


def population(out="out"):
    """Train a small population without Ray, member after member."""
    from snntorch_binary._files import OutputError
    from snntorch_binary.tune import Plan, Quadratic, Range, population
    from snntorch_binary.tune.interval import train_or_find
    from snntorch_binary.tune.lineage import write_report

    def train(module_factory, data, space, plan, resources, out, of_population, listener, tried):
        starts = [None] * plan.population
        for _ in range(plan.epochs // plan.interval):
            for member in range(plan.population):
                values = {"h0": 0.25 * (1 + member)}
                arguments = (plan, member, values, starts[member], out / "members", "cpu", of_population)
                report = train_or_find(module_factory, data, *arguments)
                write_report(out / "reports.jsonl", report)
                starts[member] = report.id

    population._run = train
    plan = Plan("Q", "max", epochs=4, interval=2, population=2)
    try:
        population.population_based_training(Quadratic, None, {"h0": Range(0.0, 1.0)}, plan, out=out)
    except (OSError, OutputError) as error:  # of which the command line makes a sentence
        print(error)
        return 1
    return 0


def import_all():
    """Import what commands import when they run, compiled kernels, too, so that their processes need not."""
    import matplotlib.pyplot  # noqa: F401
    import sklearn.datasets  # noqa: F401
    import torch

    import snntorch_binary

    root = Path(snntorch_binary.__file__).parent
    for room in ("lightning", "experiments", "experiments/compare", "experiments/fit"):
        for path in (root / room).glob("[!_]*.py"):
            importlib.import_module(".".join(("snntorch_binary", *Path(room).parts, path.stem)))
    with torch.no_grad():  # the first kernel makes numba ready for all
        snntorch_binary.nn.Leaky(0.9)(torch.ones(2, 1, 3))


def main(folder, fault, step, arguments):
    from snntorch_binary.cli import main as command_line

    import_all()
    figures.left_undrawn().start()

    def run_command(*more):
        return population() if arguments == ["population"] else command_line([*arguments, *more])

    folder.mkdir(parents=True, exist_ok=True)
    status, said, events = run(run_command, folder / "unbroken")
    seen = {"unbroken": [status, said], "events": events, "runs": []}
    for at in range((step + 1) // 2, len(events) + 1, step):
        where = folder / str(at)
        first = run(run_command, where, fault, at)
        checkpoints = sorted(str(path) for path in where.rglob("version_*/**/last.ckpt"))
        again = run(lambda left=checkpoints: run_command(*(["--ckpt_path", left[-1]] if left else [])), where)
        seen["runs"].append({"at": at, "event": events[at - 1], "first": first[:2], "again": again[:2]})
    (folder / "faults.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), sys.argv[2], int(sys.argv[3]), sys.argv[4:])
