"""From the runs of a comparison to its table, its pictures and results.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from snntorch_binary._files import write_json
from snntorch_binary.experiments.compare.comparison import Comparison, Run
from snntorch_binary.experiments.compare.opponents import BEST, differences
from snntorch_binary.experiments.compare.predictors import Answers, Predictor, gather, label_of, labels_of
from snntorch_binary.metrics import (
    Difference,
    adaptive_calibration_error,
    classwise_calibration_error,
    differences_table,
    evaluate,
    example_scores,
    paired_bootstrap,
    results_table,
    retained_accuracy,
)
from snntorch_binary.plots import learning_curve, rejection_curve, reliability_diagram


def make_rows(comparison: Comparison, answers: Mapping[Predictor, Answers], labels: Tensor) -> list[dict[str, Any]]:
    """Return the rows of results.json, one for every predictor and seed."""
    experiment, rows = comparison.experiment, []
    for predictor, answered in answers.items():
        for seed, probabilities in answered.test.items():
            scores = evaluate(probabilities, labels)
            rows.append(
                {
                    "dataset": experiment.name,
                    "rule": predictor.rule,
                    "credit": experiment.rule(predictor.rule).credit or experiment.credit,
                    "prediction": predictor.prediction,
                    "trainings": predictor.trainings,
                    "scaled": predictor.scaled,
                    "seed": seed,
                    "accuracy": scores.accuracy,
                    "ece": scores.ece,
                    "nll": scores.nll,
                    "brier": scores.brier,
                    "adaptive_ece": adaptive_calibration_error(probabilities, labels),
                    "classwise_ece": classwise_calibration_error(probabilities, labels),
                    "validation_nll": answered.validation_nll[seed],
                    "bits_per_weight": answered.bits,
                    "train_seconds": round(answered.train_seconds[seed], 1),
                    "epochs": experiment.epochs,
                }
            )
    return rows


def intervals(answers: Mapping[Predictor, Answers], labels: Tensor) -> dict[str, dict[str, Difference]]:
    """Return the scores that are means over examples, with bootstrap intervals, of every predictor.

    An interval of a difference from zero is one of the score itself.
    """
    found = {}
    for predictor, answered in answers.items():
        scores = [example_scores(probabilities, labels) for probabilities in answered.test.values()]
        values = {
            "accuracy": torch.stack([score.correct for score in scores]),
            "nll": torch.stack([score.nll for score in scores]),
            "brier": torch.stack([score.brier for score in scores]),
        }
        found[predictor.label] = {
            name: paired_bootstrap(value, torch.zeros_like(value)) for name, value in values.items()
        }
    return found


def report(comparison: Comparison) -> None:
    """Print the tables and write results.json, differences.json, intervals.json and the pictures."""
    runs, out, console = comparison.runs, comparison.out, comparison.console
    answers, labels = gather(comparison), labels_of(runs)
    rows = make_rows(comparison, answers, labels)
    compared, scores = differences(answers, labels), intervals(answers, labels)
    write_json(out / "results.json", rows)
    write_json(out / "differences.json", _plain({pair.label: of for pair, of in compared.items()}, "difference"))
    write_json(out / "intervals.json", _plain(scores, "mean"))
    pictured = {
        predictor.label: list(answered.test.values())
        for predictor, answered in answers.items()
        if predictor.trainings == 1 and not predictor.scaled
    }
    reliability_diagram(
        {label: (torch.cat(of_seeds), labels.repeat(len(of_seeds))) for label, of_seeds in pictured.items()},
        out / "reliability.png",
    )
    rejection_curve(
        {
            label: [retained_accuracy(probabilities, labels) for probabilities in of_seeds]
            for label, of_seeds in pictured.items()
        },
        out / "rejection.png",
    )
    write_curve(runs, out / "learning_curve.png")
    # A test part of folds is small, and what it says is shown with its intervals.
    shown = {label: {name: of[name] for name in ("nll", "brier")} for label, of in scores.items()}
    console.print()
    console.print(results_table(rows, shown if comparison.experiment.num_folds else None))
    main = {pair.label: of_score for pair, of_score in compared.items() if pair.is_shown}
    if main:
        console.print()
        note = f"at its bits, at its trainings: {BEST}" if any(pair.at for pair in compared) else ""
        console.print(differences_table(main, note=note))
    console.print()
    comparison.written(
        "results.json, differences.json, intervals.json,\nreliability.png, rejection.png, learning_curve.png, "
        "and a checkpoint of every run in runs/"
    )


def _plain(found: dict[str, dict[str, Difference]], middle: str) -> dict[str, Any]:
    """Return intervals as plain values; a difference also says whether it is a tie."""
    return {
        label: {
            name: {
                middle: value.difference,
                "low": value.low,
                "high": value.high,
                **({"tie": value.tie} if middle == "difference" else {}),
            }
            for name, value in of_score.items()
        }
        for label, of_score in found.items()
    }


def write_curve(runs: Sequence[Run], path: Path, score: str = "accuracy") -> None:
    """Write the picture of validation scores by epoch."""
    curves: dict[str, list[tuple[list[int], list[float]]]] = {}
    for run in runs:
        for prediction, accuracy in run.history.items():
            epochs = list(range(1, len(accuracy) + 1))
            curves.setdefault(label_of((run.rule, prediction)), []).append((epochs, accuracy))
    learning_curve(curves, path, score=score)
