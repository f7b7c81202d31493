"""FL-SNN: devices that learn online, their accuracy against the bytes that they send."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from snntorch_binary.experiments.fl_snn.config import read_online_federation
from snntorch_binary.experiments.fl_snn.federation import OnlineFederation, make_online_federation
from snntorch_binary.experiments.fl_snn.report import report_online
from snntorch_binary.experiments.fl_snn.runs import OnlineRun, run_online
from snntorch_binary.experiments.progress import RunsProgress


def run(federation: OnlineFederation, out: Path, console: Console | None = None) -> list[OnlineRun]:
    """Run a federation of online devices; print the table, write results and picture.

    Raises:
        ValueError: something in the federation is wrong.
        OutputError: the folder cannot be written to, or holds runs made with other settings.
    """
    console = Console() if console is None else console
    progress = RunsProgress(console, len(federation.methods) * len(federation.seeds), 1)
    runs = run_online(federation, out, progress)
    report_online(federation, runs, out, console)
    return runs


__all__ = ["OnlineFederation", "OnlineRun", "make_online_federation", "read_online_federation", "run", "run_online"]
