"""`compare --anytime`: accuracy and calibration after each time step, and early exit when the answer is sure."""

from __future__ import annotations

from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary._files import write_json
from snntorch_binary.experiments.answers import answers
from snntorch_binary.experiments.compare.comparison import Comparison
from snntorch_binary.experiments.compare.predictors import label_of
from snntorch_binary.experiments.data import Batches
from snntorch_binary.experiments.experiment import Experiment
from snntorch_binary.inference import run as run_network
from snntorch_binary.inference import sample_scores
from snntorch_binary.inference.structure import tensors_in_order
from snntorch_binary.lightning.balanced_trajectory import BalancedTrajectory
from snntorch_binary.lightning.draws import AnswersWithDraws
from snntorch_binary.lightning.spiking_module import SpikingModule
from snntorch_binary.metrics import EarlyExit, Scores, anytime_scores, early_exit, running_probabilities
from snntorch_binary.plots import anytime_curve

_THRESHOLDS = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Predictive entropies, in nats, below which an answer is given."""

Key = tuple[str, str]


def check_anytime(experiment: Experiment) -> None:
    """Say before anything is trained why answers cannot be scored by time step.

    Raises:
        ValueError: the set is cross-validated or a regression, or a rule has no answers by time step.
    """
    if experiment.num_folds or experiment.load(experiment.seeds[0]).regression:
        raise ValueError(expected("--anytime", "left out where a set is cross-validated or a regression", "it given"))
    if any(rule.sees_symbols for rule in experiment.rules):
        raise ValueError(expected("--anytime", "left out with VOWEL's rules", "it given"))
    if any(rule.spiking is not None for rule in experiment.rules):
        raise ValueError(expected("--anytime", "left out with rates, which take one time step", "it given"))


def report_anytime(comparison: Comparison) -> None:
    """Answer the test part after each time step; print the table, write anytime.json and anytime.png."""
    name, out = comparison.experiment.name, comparison.out
    curves: dict[Key, list[list[Scores]]] = {}
    exits: dict[Key, list[list[EarlyExit]]] = {}
    rows: list[dict[str, Any]] = []
    for run in comparison.runs:
        module, data = comparison.load(run)
        for prediction, probabilities in _by_time(module, data.test()).items():
            key = (run.rule, prediction)
            scores = anytime_scores(probabilities, run.labels)
            stops = early_exit(probabilities, run.labels, _THRESHOLDS)
            curves.setdefault(key, []).append(scores)
            exits.setdefault(key, []).append(stops)
            head = {"dataset": name, "rule": run.rule, "prediction": prediction, "seed": run.seed}
            rows += [{**head, "steps": t + 1, **vars(score)} for t, score in enumerate(scores)]
            rows += [{**head, "threshold": s.threshold, "steps": s.mean_steps, **vars(s.scores)} for s in stops]
    write_json(out / "anytime.json", rows)
    labelled = {label_of(key): of_seeds for key, of_seeds in curves.items()}
    mean_exits = {
        label_of(key): [_mean_exit(group) for group in zip(*of_seeds, strict=True)] for key, of_seeds in exits.items()
    }
    anytime_curve(labelled, out / "anytime.png", exits=mean_exits)
    comparison.console.print()
    comparison.console.print(_table(name, labelled, mean_exits))
    comparison.written("anytime.json", "anytime.png")


def _by_time(module: SpikingModule, batches: Batches) -> dict[str, Tensor]:
    """Return the class probabilities [T, N, C] of each prediction after each time step."""
    scale = 1.0 if module.readout_scale is None else module.readout_scale

    def outputs(output: Any) -> Tensor:
        read = tensors_in_order(output)[-1 if module.readout == "membrane" else 0]
        return read.transpose(0, 1) if module.time_dim == 1 else read

    def by_time(x: Tensor) -> dict[str, Tensor]:
        if isinstance(module, BalancedTrajectory):
            single, members = sample_scores(module, x, readout=outputs, norms=module.norms)
            found = {"single": single[None], "ensemble": members}
        elif not isinstance(module, AnswersWithDraws):
            found = {"single": outputs(run_network(module.net, x, module.step))[None]}
        else:
            generator = torch.Generator().manual_seed(0)
            mode, members = sample_scores(
                module.net, x, module.num_test_samples, readout=outputs, generator=generator, norms=module.norms
            )
            found = {"mode": mode[None], "draw": members[:1], "ensemble": members}
        return {name: running_probabilities(values, scale) for name, values in found.items()}

    return {name: values for name, values in answers(batches, by_time, dim=1).items() if name != "labels"}


def _mean_exit(group: tuple[EarlyExit, ...]) -> EarlyExit:
    """Return the mean over seeds of early exit at one threshold."""
    count = len(group)
    mean = {name: sum(getattr(e.scores, name) for e in group) / count for name in vars(group[0].scores)}
    return EarlyExit(group[0].threshold, sum(e.mean_steps for e in group) / count, Scores(**mean))


def _table(name: str, curves: dict[str, list[list[Scores]]], exits: dict[str, list[EarlyExit]]) -> Table:
    caption = "mean over seeds; an exit is taken when the predictive entropy falls below the threshold (nats)"
    table = Table(title=f"{name}, answers before the end", caption=caption, caption_justify="left")
    table.add_column("rule")
    for heading in ("threshold", "time steps", "accuracy (%)", "ECE (%)"):
        table.add_column(heading, justify="right")
    for label, stops in exits.items():
        for stop in stops:
            scores = stop.scores
            table.add_row(
                label,
                f"{stop.threshold:g}",
                f"{stop.mean_steps:.2f}",
                f"{100 * scores.accuracy:.2f}",
                f"{100 * scores.ece:.2f}",
            )
        last = [scores[-1] for scores in curves[label]]
        mean = [100 * sum(getattr(s, name) for s in last) / len(last) for name in ("accuracy", "ece")]
        steps = len(curves[label][0])
        table.add_row(label, "none", f"{steps:.2f}", *(f"{value:.2f}" for value in mean), end_section=True)
    return table
