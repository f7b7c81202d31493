"""The report of a regression: predictive mean and spread, inside and outside of the training range."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from snntorch_binary._files import write_json
from snntorch_binary._text import mean_and_spread
from snntorch_binary.data import SpikeDataset
from snntorch_binary.data.sets import regression_1d
from snntorch_binary.lightning.compare import Run, load_data
from snntorch_binary.lightning.report import BITS, label_of, write_curve
from snntorch_binary.lightning.settings import Settings
from snntorch_binary.metrics import evaluate_regression, fit_noise
from snntorch_binary.plots import predictive_band


def report_regression(settings: Settings, runs: list[Run], out: Path, console: Console) -> None:
    """Print the table and write results.json and the pictures.

    The data's noise, one number for each network, is fitted on validation data.
    """
    splits = load_data(settings, 0, 0).splits
    assert splits is not None
    x, train_x = (_positions(part) for part in (splits.test, splits.train))
    inside = regression_1d.inside(x)
    rows = [
        row
        for run in runs
        for prediction, answer in run.probabilities.items()
        for row in _rows(settings, run, prediction, answer, inside)
    ]
    write_json(out / "results.json", rows)
    answers: dict[tuple[str, str], list[Tensor]] = {}
    for run in runs:
        for prediction, answer in run.probabilities.items():
            answers.setdefault((run.rule, prediction), []).append(answer)
    first = {label_of(key): (values[0][:, 0], values[0][:, 1]) for key, values in answers.items()}
    predictive_band(
        first,
        x,
        splits.test.labels,
        train_x,
        splits.train.labels,
        out / "predictive.png",
        intervals=regression_1d.INTERVALS,
    )
    write_curve(runs, out / "learning_curve.png", "rmse")
    console.print()
    console.print(_table(settings, rows))
    files = "results.json, predictive.png, learning_curve.png, and a checkpoint of every run in runs/"
    console.print(f"\nWritten to {out}: {files}", highlight=False, markup=False, soft_wrap=True)


def _positions(part: SpikeDataset) -> Tensor:
    assert isinstance(part.inputs, Tensor)
    return regression_1d.POSITIONS.restore(part.inputs.flatten())


def _rows(settings: Settings, run: Run, prediction: str, answer: Tensor, inside: Tensor) -> list[dict[str, Any]]:
    validation = run.validation_answers[prediction]
    noise = fit_noise(validation[:, 0], validation[:, 1], run.validation_labels)
    rows = []
    for where, mask in (("inside", inside), ("outside", ~inside)):
        mean, std = answer[mask].unbind(-1)
        scores = evaluate_regression(mean, std, run.labels[mask], noise)
        rows.append(
            {
                "dataset": settings.dataset,
                "rule": run.rule,
                "credit": settings.credit,
                "prediction": prediction,
                "seed": run.seed,
                "where": where,
                **vars(scores),
                "spread": float(std.mean()),
                "noise": noise,
                "bits_per_weight": BITS[run.rule] * (settings.recipe.num_members if prediction == "ensemble" else 1),
                "train_seconds": round(run.train_seconds, 1),
                "epochs": settings.epochs or settings.recipe.epochs,
            }
        )
    return rows


def _table(settings: Settings, rows: list[dict[str, Any]]) -> Table:
    caption = (
        "mean ± standard deviation over seeds; inside and outside of the\ntraining range; "
        "coverage: share of targets in the 95 %\ninterval; spread: standard deviation over members"
    )
    table = Table(
        title=settings.dataset,
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
