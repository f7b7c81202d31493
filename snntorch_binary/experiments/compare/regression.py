"""The report of a regression: predictive mean and spread, inside and outside of the training range."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

import torch
from rich import box
from rich.table import Table
from torch import Tensor

from snntorch_binary._files import write_json
from snntorch_binary._text import mean_and_spread
from snntorch_binary.data import SpikeDataset, Splits
from snntorch_binary.data.sets import regression_1d
from snntorch_binary.experiments.compare.comparison import Comparison, Run
from snntorch_binary.experiments.compare.predictors import Predictor, label_of, predictors
from snntorch_binary.experiments.compare.report import write_curve
from snntorch_binary.metrics import evaluate_regression, fit_noise
from snntorch_binary.plots import predictive_band


def report_regression(comparison: Comparison) -> None:
    """Print the table and write results.json and the pictures.

    The data's noise, one number for each network, is fitted on validation data.
    """
    runs, out, console = comparison.runs, comparison.out, comparison.console
    splits = comparison.experiment.load(comparison.experiment.seeds[0]).splits
    shipped = splits is not None and splits.regression and splits.class_names == regression_1d.NAMES
    everywhere = {"": torch.ones_like(runs[0].labels, dtype=torch.bool)}
    where = everywhere
    if shipped:
        assert splits is not None
        inside = regression_1d.inside(_positions(splits.test))
        where = {"inside": inside, "outside": ~inside}
    rows = [
        row
        for predictor, groups in predictors(comparison).items()
        for seed, folds in groups.items()
        for networks in folds
        for row in _rows(comparison, predictor, seed, networks, where)
    ]
    write_json(out / "results.json", rows)
    pictures = ["learning_curve.png"]
    if shipped:
        assert splits is not None
        _draw_band(comparison, splits)
        pictures.insert(0, "predictive.png")
    write_curve(runs, out / "learning_curve.png", "rmse")
    console.print()
    console.print(_table(comparison.experiment.name, rows))
    console.print()
    comparison.written("results.json", *pictures, "and a checkpoint of every run in runs/")


def _draw_band(comparison: Comparison, splits: Splits) -> None:
    answers: dict[tuple[str, str], list[Tensor]] = {}
    for run in comparison.runs:
        for prediction, answer in run.probabilities.items():
            answers.setdefault((run.rule, prediction), []).append(answer)
    first = {label_of(key): (values[0][:, 0], values[0][:, 1]) for key, values in answers.items()}
    x, train_x = (_positions(part) for part in (splits.test, splits.train))
    path = comparison.out / "predictive.png"
    intervals = regression_1d.INTERVALS
    predictive_band(first, x, splits.test.labels, train_x, splits.train.labels, path, intervals=intervals)


def _positions(part: SpikeDataset) -> Tensor:
    assert isinstance(part.inputs, Tensor)
    return regression_1d.POSITIONS.restore(part.inputs.flatten())


def _rows(
    comparison: Comparison, predictor: Predictor, seed: int | None, runs: Sequence[Run], where: dict[str, Tensor]
) -> list[dict[str, Any]]:
    """Return the rows of networks that answer together."""
    experiment, rows = comparison.experiment, []
    answer = mixture([run.probabilities[predictor.prediction] for run in runs])
    noise = _noise(runs, predictor.prediction, comparison.same_validation)
    for name, mask in where.items():
        mean, std = answer[mask].unbind(-1)
        scores = evaluate_regression(mean, std, runs[0].labels[mask], noise)
        rows.append(
            {
                "dataset": experiment.name,
                "rule": predictor.rule,
                "credit": experiment.credit,
                "prediction": predictor.prediction,
                "trainings": predictor.trainings,
                "seed": seed,
                "where": name,
                **vars(scores),
                "spread": float(std.mean()),
                "noise": noise,
                "bits_per_weight": predictor.trainings * experiment.rule(predictor.rule).bits(predictor.prediction),
                "train_seconds": round(sum(run.train_seconds for run in runs), 1),
                "epochs": experiment.epochs,
            }
        )
    return rows


def mixture(answers: Sequence[Tensor]) -> Tensor:
    """Return mean and standard deviation [N, 2] of the mixture of several answers of that shape, in equal parts."""
    means, stds = torch.stack(list(answers)).unbind(-1)
    return torch.stack([means.mean(0), (stds.square().mean(0) + means.var(0, correction=0)).sqrt()], dim=-1)


def _noise(runs: Sequence[Run], prediction: str, same_validation: bool) -> float:
    """Return the data's noise around what networks answer together, fitted on what none of them learned from."""
    if len(runs) > 1 and not same_validation:
        return math.sqrt(statistics.fmean(_noise([run], prediction, same_validation) ** 2 for run in runs))
    validation = mixture([run.validation_answers[prediction] for run in runs])
    return fit_noise(validation[:, 0], validation[:, 1], runs[0].validation_labels)


def _table(name: str, rows: list[dict[str, Any]]) -> Table:
    caption = (
        "mean and, below it, standard deviation over seeds; inside and outside of the\ntraining range; "
        "coverage: share of targets in the 95 %\ninterval; spread: standard deviation over members"
    )
    together = {row["trainings"] for row in rows if row["trainings"] > 1}
    if together:
        caption += f"\nx {max(together)}: the networks of all seeds together, a mixture"
    table = Table(
        title=name,
        caption=caption,
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    for heading in ("rule", "range"):
        table.add_column(heading, no_wrap=True)
    for heading in ("bits/\nweight", "train-\nings", "RMSE", "NLL", "coverage", "spread"):
        table.add_column(heading, justify="right", no_wrap=True)
    groups: dict[tuple[Predictor, str], list[dict[str, Any]]] = {}
    for row in rows:
        predictor = Predictor(row["rule"], row["prediction"], row["trainings"])
        groups.setdefault((predictor, row["where"]), []).append(row)
    for (predictor, where), group in groups.items():
        scores = {name: [row[name] for row in group] for name in ("rmse", "nll", "coverage", "spread")}
        table.add_row(
            predictor.label,
            where,
            f"{group[0]['bits_per_weight']:.3g}",
            str(predictor.trainings),
            mean_and_spread(scores["rmse"], 3, "\n±"),
            mean_and_spread(scores["nll"], 3, "\n±"),
            f"{statistics.fmean(scores['coverage']):.2f}",
            f"{statistics.fmean(scores['spread']):.3f}",
        )
    return table
