"""`compare`: the same network trained under each rule, run by run; an interrupted comparison continues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary._files import RunFolder
from snntorch_binary.experiments.compare.in_spikes import in_spikes
from snntorch_binary.experiments.compare.train import load_module, train_one, validation_line
from snntorch_binary.experiments.data import LoadedData
from snntorch_binary.experiments.experiment import Experiment, as_plain
from snntorch_binary.experiments.progress import RunsProgress
from snntorch_binary.experiments.runs import PlannedRun, carry_out, check_output, write_settings
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
        validation_logits: class scores [M, C] of the weights in force on validation data.
        validation_labels: validation labels or targets [M].
        test_logits: class scores [N, C] of the weights in force.
        history: validation accuracy (or root mean squared error) after each epoch, of each prediction by name.
        train_seconds: time spent training.
        validation_answers: as ``probabilities``, of validation data.
    """

    rule: str
    seed: int
    fold: int
    folder: Path
    probabilities: dict[str, Tensor]
    labels: Tensor
    validation_logits: Tensor
    validation_labels: Tensor
    test_logits: Tensor
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

    def load(self, run: Run) -> tuple[SpikingModule, LoadedData]:
        """Return the trained module of a run, in evaluation mode, and its data."""
        return load_module(self.experiment, run.rule, run.seed, run.fold, run.folder)

    def written(self, *files: str) -> None:
        """Say what was written."""
        text = f"Written to {self.out}: {', '.join(files)}"
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


def files_of(comparison: Comparison, run: Run) -> RunFolder:
    """Return the files of a run; what is damaged is said on the console."""
    planned = _planned(comparison.experiment, run.rule, run.seed, run.fold)
    return planned.folder(comparison.out, lambda said: comparison.console.print(said, highlight=False, markup=False))


def train_all(experiment: Experiment, out: Path, console: Console | None = None, jobs: int = 1) -> Comparison:
    """Train and test every rule, seed and fold that has not been already.

    Args:
        experiment: what is compared.
        out: the folder of results.
        console: where progress is shown.
        jobs: how many runs are trained at once.

    Raises:
        ValueError: network and data do not fit each other, or the data cannot be read.
        OutputError: the folder cannot be written to, or holds runs made with other settings.
        NonFiniteLossError: a loss became NaN or infinite; runs and checkpoints before it are kept.
    """
    console = Console() if console is None else console
    settings = {**experiment.plain(), "rules": {rule.name: rule.plain() for rule in experiment.rules}}
    check_output(out, settings)
    plan = [
        _planned(experiment, rule.name, seed, fold)
        for seed in experiment.seeds
        for fold in range(experiment.num_folds or 1)
        for rule in experiment.rules
    ]

    def begin(todo: Sequence[PlannedRun]) -> None:  # what does not fit is found out before anything is written
        if todo:
            try_out(experiment)
        write_settings(out, as_plain(settings))

    def line(name: str, result: dict[str, Any]) -> str:
        return validation_line(name, result["history"], "rmse" if _of_regression(result) else "accuracy")

    with RunsProgress(console, len(plan), experiment.epochs) as progress:
        results = carry_out(plan, out, progress, line, jobs, begin)
    runs = []
    for planned, result in zip(plan, results, strict=True):
        keywords: dict[str, Any] = planned.train.keywords  # type: ignore[attr-defined]  # a partial
        place = {"rule": keywords["name"], "seed": keywords["seed"], "fold": keywords["fold"]}
        runs.append(Run(**place, folder=out / "runs" / planned.name, **result))
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


def _planned(experiment: Experiment, name: str, seed: int, fold: int) -> PlannedRun:
    rule = experiment.rule(name)
    key = as_plain({**experiment.plain(), "rule": rule.plain(), "seed": seed, "fold": fold})
    label = f"{name}-seed{seed}" + (f"-fold{fold}" if experiment.num_folds else "")
    has = frozenset(of.name for of in fields(Run)) - {"rule", "seed", "fold", "folder"}
    train = partial(train_one, experiment=experiment, name=name, seed=seed, fold=fold)
    return PlannedRun(label, key, train, RESULT, has)


def try_out(experiment: Experiment) -> None:
    """Answer two examples with each rule's untrained network.

    Raises:
        ValueError: the network cannot be made, does not take the data, or returns what no readout reads.
    """
    seed = experiment.seeds[0]
    data = experiment.load(seed)
    tried: list[Any] = []
    for rule in experiment.rules:
        named = experiment.network_of(rule)
        module = experiment.make_module(rule, data, seed)
        if not any(parameter.requires_grad for parameter in module.net.parameters()):
            raise ValueError(expected("network", "a module with parameters to learn", named.class_path))
        if (named, rule.sees_symbols, rule.spiking) not in tried:
            tried.append((named, rule.sees_symbols, rule.spiking))
            experiment.try_network(rule, data, module)
            if rule.spiking is not None:
                in_spikes(module.net, rule.spiking)
