"""`compare`: the same network trained under each rule, run by run; an interrupted comparison continues."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary._files import RunFolder
from snntorch_binary.experiments.compare.train import load_module, train_one, validation_line
from snntorch_binary.experiments.data import LoadedData
from snntorch_binary.experiments.experiment import Experiment
from snntorch_binary.experiments.progress import RunsProgress
from snntorch_binary.experiments.runs import PlannedRun, carry_out, run_files
from snntorch_binary.lightning.spiking_module import SpikingModule

RESULT = "predictions.pt"


@dataclass(frozen=True)
class Run:
    """One trained network: what it answered on the test part, and how it got there.

    Attributes:
        rule: the rule it learned by.
        seed: its seed.
        fold: the fold that tested it.
        folder: where its checkpoint is.
        probabilities: answers to the test part of each prediction by name: class probabilities [N, C], or mean and
            standard deviation [N, 2] of a regression.
        labels: test labels or targets [N].
        validation_labels: validation labels or targets [M].
        history: validation accuracy (or root mean squared error) after each epoch, of each prediction by name.
        train_seconds: time spent training.
        validation_answers: as ``probabilities``, of validation data; runs of an earlier version lack those in spikes.
    """

    rule: str
    seed: int
    fold: int
    folder: Path
    probabilities: dict[str, Tensor]
    labels: Tensor
    validation_labels: Tensor
    history: dict[str, list[float]]
    train_seconds: float
    validation_answers: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """An experiment whose runs are done, and where its results go.

    Attributes:
        experiment: what was compared.
        runs: its runs, seed by seed.
        out: the folder of results.
        regression: whether targets are real numbers.
        console: where tables go.
    """

    experiment: Experiment
    runs: Sequence[Run]
    out: Path
    regression: bool
    console: Console = field(default_factory=Console)

    @cached_property
    def same_validation(self) -> bool:
        """Whether the networks of all seeds validated on the same examples, in the same order, fold by fold."""
        first: dict[int, Run] = {}
        return self.experiment.data.same_parts and all(
            torch.equal(first.setdefault(run.fold, run).validation_labels, run.validation_labels) for run in self.runs
        )

    def load(self, run: Run) -> tuple[SpikingModule, LoadedData]:
        """Return the trained module of a run, in evaluation mode, and its data."""
        return load_module(self.experiment, run.rule, run.seed, run.fold, run.folder)

    def written(self, *files: str) -> None:
        """Say what was written."""
        text = f"Written to {self.out}: {', '.join(files)}"
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


def files_of(comparison: Comparison, run: Run) -> RunFolder:
    """Return the files of a run; what is damaged is said on the console."""
    name, key = comparison.experiment.run(run.rule, run.seed, run.fold)

    def say(text: str) -> None:
        comparison.console.print(text, highlight=False, markup=False, soft_wrap=True)

    return run_files(comparison.out / "runs" / name, name, key, say)


def train_all(
    experiment: Experiment,
    out: Path,
    console: Console | None = None,
    jobs: int = 1,
    afterwards: Callable[[Path, tuple[str, int, int]], None] | None = None,
) -> Comparison:
    """Train and test every rule, seed and fold that has not been already.

    Args:
        experiment: what is compared.
        out: the folder of results.
        console: where progress is shown.
        jobs: how many runs are trained at once.
        afterwards: takes the folder of a run and its rule, seed and fold; what else is made of it where a process has
            nothing to train while others do.

    Raises:
        ValueError: network and data do not fit each other, or the data cannot be read.
        OutputError: the folder cannot be written to, or holds runs made with other settings.
        NonFiniteLossError: a loss became NaN or infinite; runs and checkpoints before it are kept.
    """
    console = Console() if console is None else console
    has = frozenset(of.name for of in fields(Run)) - {"rule", "seed", "fold", "folder"}
    settings, places = experiment.settings(), experiment.places()

    def planned(place: dict[str, Any]) -> PlannedRun:
        name, key = experiment.run(**place)
        train = partial(train_one, experiment=experiment, **place)
        after = None if afterwards is None else partial(afterwards, out / "runs" / name, tuple(place.values()))
        return PlannedRun(name, key, train, RESULT, has, after)

    plan = [planned(place) for place in places]

    def try_out(todo: Sequence[PlannedRun]) -> None:
        experiment.try_out()

    def line(name: str, result: dict[str, Any]) -> str:
        return validation_line(name, result["history"], "rmse" if _of_regression(result) else "accuracy")

    progress = RunsProgress(console, len(plan), experiment.epochs)
    results = carry_out(plan, out, settings, progress, line, jobs, try_out)
    runs = [
        Run(**place, folder=out / "runs" / planned.name, **result)
        for place, planned, result in zip(places, plan, results, strict=True)
    ]
    _check_test_parts(runs)
    return Comparison(experiment, runs, out, _of_regression(results[0]), console)


def _of_regression(result: Mapping[str, Any]) -> bool:
    return bool(result["labels"].is_floating_point())


def _check_test_parts(runs: Sequence[Run]) -> None:
    """Refuse runs that answered different questions, whose answers would be compared one by one.

    Raises:
        ValueError: some did.
    """
    first: dict[int, Run] = {}
    for run in runs:
        other = first.setdefault(run.fold, run)
        if not torch.equal(other.labels, run.labels):
            what = "the same test part in all runs: let a split at random have a seed of its own"
            raise ValueError(expected("data", what, f"other labels in {run.folder.name} than in {other.folder.name}"))
