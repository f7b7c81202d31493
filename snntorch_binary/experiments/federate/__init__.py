"""`federate`: one network learned by many clients under several methods, on this machine or on real nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from snntorch_binary._errors import expected, require

require("snntorch_binary.federated.flower", "federated")  # one clear sentence before the imports that need it

from snntorch_binary.experiments.federate.federation import Federation, make_federation  # noqa: E402  # after the check above
from snntorch_binary.experiments.federate.report import report  # noqa: E402  # after the check above
from snntorch_binary.experiments.federate.runs import FederatedRun, run_all  # noqa: E402  # after the check above
from snntorch_binary.experiments.progress import RunsProgress  # noqa: E402  # after the check above
from snntorch_binary.experiments.runs import check_jobs  # noqa: E402  # after the check above


def federate(
    network: Any,
    data: Any,
    methods: Any,
    *,
    out: str | Path | None = None,
    jobs: int = 1,
    console: Console | None = None,
    **settings: Any,
) -> list[FederatedRun]:
    """Train a network on data that are spread over clients, under several methods; print tables, write results.

    Interrupted, the same call continues after the last finished round.

    Args:
        network: a class or function that makes the float network, or its name; see
            :func:`snntorch_binary.experiments.compare`.
        data: a function that returns a training, a validation and a test part, or the name of a data set; see there.
        methods: by name, each with a ``rule``, and an ``aggregation`` of :mod:`snntorch_binary.federated`.
        out: the folder of results; by default ``results`` and the name of the data.
        jobs: how many runs are under way at once, in processes of their own.
        console: where tables go.
        **settings: ``num_clients``, ``num_rounds`` and others, see :class:`Federation`.

    Raises:
        ValueError: a value is out of its range, network and data do not fit each other, or no client can learn.
        OutputError: the folder cannot be written to, or holds runs made with other settings.

    Example:
        >>> from snntorch_binary.models import SpikingMLP
        >>> methods = {"average": {"rule": "st"}}
        >>> runs = federate(lambda input_size: SpikingMLP(input_size, [64], 10), "digits", methods)  # doctest: +SKIP
    """
    federation = make_federation(network, data, methods, **settings)
    return run(federation, Path("results") / federation.name if out is None else Path(out), console, jobs)


def run(federation: Federation, out: Path, console: Console | None = None, jobs: int = 1) -> list[FederatedRun]:
    """Carry out a federation; see :func:`federate`."""
    check_jobs(jobs, federation)
    if jobs > 1 and federation.engine == "ray":
        raise ValueError(expected("jobs", "1 with the engine ray, which has processes of its own", jobs))
    console = Console() if console is None else console
    progress = RunsProgress(console, len(federation.methods) * len(federation.seeds), federation.num_rounds)
    runs = run_all(federation, out, progress, jobs)
    report(federation, runs, out, console)
    return runs
