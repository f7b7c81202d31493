"""Whole federations on this machine, run by run; an interrupted one continues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from snntorch_binary._files import RunFolder
from snntorch_binary.experiments.examples import of_size
from snntorch_binary.experiments.federate.apps import Protection, describe, server_of
from snntorch_binary.experiments.federate.checkpoint import RoundCheckpoint
from snntorch_binary.experiments.federate.federation import Federation
from snntorch_binary.experiments.federate.record import RoundRecord, answers_of, round_line
from snntorch_binary.experiments.federate.sides import make_sides
from snntorch_binary.experiments.progress import RunProgress, RunsProgress
from snntorch_binary.experiments.runs import PlannedRun, carry_out
from snntorch_binary.federated.flower.client import client_app
from snntorch_binary.federated.flower.grid import InProcessGrid, run_in_process
from snntorch_binary.federated.flower.strategy import TooFewClientsError
from snntorch_binary.lightning.quiet import quiet

RESULT = "predictions.pt"


@dataclass(frozen=True)
class FederatedRun:
    """A finished federation.

    Attributes:
        method: its name.
        seed: its seed.
        folder: where its checkpoint is.
        probabilities: class probabilities [N, C] on the test part, of each prediction by name.
        labels: test labels [N].
        history: one entry a round: ``round``, ``used``, ``left_out``, number of ``answers``, mean ``bytes_up`` and
            ``bytes_down`` a client, where clients say it ``loss``, and where it was evaluated ``scores``, accuracy,
            ECE, NLL and Brier score on validation data of each prediction by name.
        train_seconds: time spent on learning.
    """

    method: str
    seed: int
    folder: Path
    probabilities: dict[str, Tensor]
    labels: Tensor
    history: list[dict[str, Any]]
    train_seconds: float


_HAS = frozenset(field.name for field in fields(FederatedRun)) - {"method", "seed", "folder"}


def run_all(federation: Federation, out: Path, progress: RunsProgress, jobs: int = 1) -> list[FederatedRun]:
    """Run every method and seed that has not been run already.

    Args:
        federation: what is run.
        out: the folder of results.
        progress: shows how far all is.
        jobs: how many runs are under way at once, in processes of their own.

    Raises:
        ValueError: something in the federation is wrong, no client's answer ever counted, or what is learned answers
            NaN.
        OutputError: the folder cannot be written to, or holds runs made with other settings.
    """
    settings = {**federation.plain(), "methods": {name: of.plain() for name, of in federation.methods.items()}}
    runs = [(method, seed) for seed in federation.seeds for method in federation.methods]
    plan = [_planned(federation, *run) for run in runs]

    def try_out(todo: Sequence[PlannedRun]) -> None:  # the last method, too, before the first has learned
        missing = [run for run, of in zip(runs, plan, strict=True) if of in todo]
        for method, seed in missing:
            if seed == missing[0][1]:
                try_method(federation, method, seed)

    def line(name: str, result: dict[str, Any]) -> str:
        return round_line(name, result["history"], federation.num_rounds)

    results = carry_out(plan, out, settings, progress, line, jobs, try_out)
    return [
        FederatedRun(method, seed, out / "runs" / planned.name, **result)
        for (method, seed), planned, result in zip(runs, plan, results, strict=True)
    ]


def _planned(federation: Federation, method: str, seed: int) -> PlannedRun:
    name, key = federation.run(method, seed)
    train = partial(run_one, federation=federation, method=method, seed=seed)
    return PlannedRun(name, key, train, RESULT, _HAS)


def try_method(federation: Federation, method: str, seed: int) -> None:
    """Make both sides of a method's federation and answer two examples, before anything learns.

    Raises:
        ValueError: they cannot be made, or the network does not take the data.
    """
    experiment = federation.experiment(method)
    data = federation.load(method, seed)
    rule = experiment.rules[0]
    experiment.try_network(rule, data, experiment.make_module(rule, data, seed))
    make_sides(federation, method, seed, data)


@quiet()
def run_one(
    files: RunFolder, progress: RunProgress, *, federation: Federation, method: str, seed: int
) -> dict[str, Any]:
    """Run one method under one seed, or go on with what its folder holds.

    Returns:
        All of a :class:`FederatedRun` that its folder does not say.

    Raises:
        ValueError: no client's answer ever counted, or what is learned answers NaN.
    """
    name = files.path.name
    sides = make_sides(federation, method, seed)
    describe(federation, method, seed, sides).write(files.path)
    record = RoundRecord(federation, sides, RoundCheckpoint(files), name, progress)
    protection = [Protection(federation)]
    if federation.engine == "ray":
        from snntorch_binary.federated.flower import ray

        # Ray's processes forget what clients remember where a run ends.
        clients = client_app(sides.participant, protection, files.path.absolute() / "memories")
        record.resume()
        ray.run_on_ray(server_of(federation, sides, record, seed, wait=60.0), clients, federation.num_clients)
    else:
        record.grid = InProcessGrid(client_app(sides.participant, protection), federation.num_clients)
        record.resume()
        try:
            run_in_process(server_of(federation, sides, record, seed), record.grid)
        except TooFewClientsError as error:
            raise ValueError(str(error)) from None
    if not any(entry["used"] for entry in record.history):
        reasons = record.history[-1]["left_out"]
        why = f"client {min(reasons)}: {reasons[min(reasons)]}" if reasons else "none was asked"
        raise ValueError(f"{name} has learned nothing: no client's answer ever counted ({why}).")
    progress.say(f"{name}  testing")
    test = of_size(sides.data.test(), federation.evaluation_batch_size)
    probabilities, labels = answers_of(sides.module, test, final=True)
    if not all(bool(answer.isfinite().all()) for answer in probabilities.values()):
        raise ValueError(f"{name} has learned a network that answers NaN or infinite values.")
    return {
        "probabilities": probabilities,
        "labels": labels,
        "history": record.history,
        "train_seconds": record.seconds,
    }
