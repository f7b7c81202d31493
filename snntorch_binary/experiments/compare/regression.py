"""The report of a regression: predictive mean and spread, inside and outside of the training range."""

from __future__ import annotations

import statistics
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
from snntorch_binary.experiments.compare.report import label_of, write_curve
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
        for run in runs
        for prediction, answer in run.probabilities.items()
        for row in _rows(comparison, run, prediction, answer, where)
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
    comparison: Comparison, run: Run, prediction: str, answer: Tensor, where: dict[str, Tensor]
) -> list[dict[str, Any]]:
    experiment = comparison.experiment
    validation = run.validation_answers[prediction]
    noise = fit_noise(validation[:, 0], validation[:, 1], run.validation_labels)
    rows = []
    for name, mask in where.items():
        mean, std = answer[mask].unbind(-1)
        scores = evaluate_regression(mean, std, run.labels[mask], noise)
        rows.append(
            {
                "dataset": experiment.name,
                "rule": run.rule,
                "credit": experiment.credit,
                "prediction": prediction,
                "seed": run.seed,
                "where": name,
                **vars(scores),
                "spread": float(std.mean()),
                "noise": noise,
                "bits_per_weight": experiment.rule(run.rule).bits(prediction),
                "train_seconds": round(run.train_seconds, 1),
                "epochs": experiment.epochs,
            }
        )
    return rows


def _table(name: str, rows: list[dict[str, Any]]) -> Table:
    caption = (
        "mean ± standard deviation over seeds; inside and outside of the\ntraining range; "
        "coverage: share of targets in the 95 %\ninterval; spread: standard deviation over members"
    )
    table = Table(
        title=name,
        caption=caption,
        box=box.SIMPLE_HEAD,
        padding=(0, 2, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    for heading in ("rule", "range"):
        table.add_column(heading, no_wrap=True)
    for heading in ("RMSE", "NLL", "coverage", "spread"):
        table.add_column(heading, justify="right", no_wrap=True)
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((label_of((row["rule"], row["prediction"])), row["where"]), []).append(row)
    for (label, where), group in groups.items():
        scores = {name: [row[name] for row in group] for name in ("rmse", "nll", "coverage", "spread")}
        table.add_row(
            label,
            where,
            mean_and_spread(scores["rmse"], 3),
            mean_and_spread(scores["nll"], 3),
            f"{statistics.fmean(scores['coverage']):.2f}",
            f"{statistics.fmean(scores['spread']):.3f}",
        )
    return table
