"""From the runs of a comparison to its table, its pictures and results.json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from snntorch_binary._files import write_json
from snntorch_binary.experiments.compare.comparison import Comparison, Run
from snntorch_binary.experiments.rules import RULES
from snntorch_binary.metrics import (
    Difference,
    adaptive_calibration_error,
    apply_temperature,
    classwise_calibration_error,
    differences_table,
    evaluate,
    example_scores,
    fit_temperature,
    paired_bootstrap,
    paired_differences,
    results_table,
    retained_accuracy,
)
from snntorch_binary.plots import learning_curve, rejection_curve, reliability_diagram

SCALED = "temperature-scaled"
"""Full precision whose class scores are divided by a temperature that was fitted on validation data."""
_OF = "full-precision"

_PAIRS: tuple[tuple[tuple[str, str], tuple[str, str]], ...] = (
    (("bayes", "ensemble"), (_OF, "single")),
    (("bayes", "ensemble"), (SCALED, "single")),
    (("bayes", "ensemble"), ("st", "single")),
    (("bayes", "mode"), ("bayes", "ensemble")),
    (("st", "single"), (_OF, "single")),
    (("bayes", "mode"), ("st", "single")),
    (("vowel-wta", "ensemble"), ("vowel-binary", "ensemble")),
    (("vowel-wta", "ensemble"), ("bayes", "ensemble")),
    (("vowel-binary", "ensemble"), ("bayes", "ensemble")),
    (("softlif", "spiking"), ("softlif", "single")),
    (("softlif-st", "single"), ("softlif", "single")),
    (("softlif-st", "spiking"), ("softlif-st", "single")),
    (("softlif-bayes", "ensemble"), ("softlif", "single")),
    (("softlif-bayes", "spiking ensemble"), ("softlif-bayes", "ensemble")),
)
"""The differences that the papers' claims are about, by (rule, prediction)."""

Answers = dict[tuple[str, str], dict[int, Tensor]]
"""Test probabilities [N, C] by (rule, prediction) and seed; folds joined in their order."""


def gather(runs: Sequence[Run]) -> tuple[Answers, Tensor]:
    """Join the folds of every rule, prediction and seed; full precision also with temperature scaling."""
    answers: dict[tuple[str, str], dict[int, list[Tensor]]] = {}
    for run in sorted(runs, key=lambda run: (RULES[run.rule].order, run.fold)):
        for prediction, probabilities in run.probabilities.items():
            answers.setdefault((run.rule, prediction), {}).setdefault(run.seed, []).append(probabilities)
        if run.rule == _OF:
            temperature = fit_temperature(run.validation_logits, run.validation_labels)
            scaled = apply_temperature(run.test_logits, temperature).float()
            answers.setdefault((SCALED, "single"), {}).setdefault(run.seed, []).append(scaled)
    first = [run for run in runs if (run.rule, run.seed) == (runs[0].rule, runs[0].seed)]
    labels = torch.cat([run.labels for run in sorted(first, key=lambda run: run.fold)])
    joined = {
        key: {seed: torch.cat(parts) for seed, parts in sorted(by_seed.items())} for key, by_seed in answers.items()
    }
    return joined, labels


def make_rows(comparison: Comparison, answers: Answers, labels: Tensor) -> list[dict[str, Any]]:
    """Return the rows of results.json, one for every rule, prediction and seed."""
    experiment, rows = comparison.experiment, []
    for (name, prediction), by_seed in answers.items():
        rule = experiment.rule(_OF if name == SCALED else name)
        for seed, probabilities in by_seed.items():
            scores = evaluate(probabilities, labels)
            seconds = sum(run.train_seconds for run in comparison.runs if (run.rule, run.seed) == (rule.name, seed))
            rows.append(
                {
                    "dataset": experiment.name,
                    "rule": name,
                    "credit": rule.credit or experiment.credit,
                    "prediction": prediction,
                    "seed": seed,
                    "accuracy": scores.accuracy,
                    "ece": scores.ece,
                    "nll": scores.nll,
                    "brier": scores.brier,
                    "adaptive_ece": adaptive_calibration_error(probabilities, labels),
                    "classwise_ece": classwise_calibration_error(probabilities, labels),
                    "bits_per_weight": rule.bits(prediction),
                    "train_seconds": round(seconds, 1),
                    "epochs": experiment.epochs,
                }
            )
    return rows


def differences(answers: Answers, labels: Tensor) -> dict[str, dict[str, Difference]]:
    """Return paired bootstrap intervals of the differences that the paper's claims are about."""
    return {
        f"{label_of(a)} - {label_of(b)}": paired_differences(
            _over_seeds(answers[a]), _over_seeds(answers[b]), labels, seed=index
        )
        for index, (a, b) in enumerate(_PAIRS)
        if a in answers and b in answers
    }


def intervals(answers: Answers, labels: Tensor) -> dict[str, dict[str, Difference]]:
    """Return the scores that are means over examples, with bootstrap intervals, of every rule and prediction.

    An interval of a difference from zero is one of the score itself.
    """
    found = {}
    for key, by_seed in answers.items():
        scores = [example_scores(probabilities, labels) for probabilities in by_seed.values()]
        values = {
            "accuracy": torch.stack([score.correct for score in scores]),
            "nll": torch.stack([score.nll for score in scores]),
            "brier": torch.stack([score.brier for score in scores]),
        }
        found[label_of(key)] = {
            name: paired_bootstrap(value, torch.zeros_like(value)) for name, value in values.items()
        }
    return found


def _over_seeds(by_seed: dict[int, Tensor]) -> Tensor:
    return torch.stack(list(by_seed.values()))


def label_of(key: tuple[str, str]) -> str:
    """Return what a rule's prediction is called in tables and pictures."""
    rule, prediction = key
    return rule if prediction == "single" else f"{rule} {prediction}"


def report(comparison: Comparison) -> None:
    """Print the tables and write results.json, differences.json, intervals.json and the pictures."""
    runs, out, console = comparison.runs, comparison.out, comparison.console
    answers, labels = gather(runs)
    rows = make_rows(comparison, answers, labels)
    compared, scores = differences(answers, labels), intervals(answers, labels)
    write_json(out / "results.json", rows)
    write_json(out / "differences.json", _plain(compared, "difference"))
    write_json(out / "intervals.json", _plain(scores, "mean"))
    pictured = {key: by_seed for key, by_seed in answers.items() if key[0] != SCALED}
    reliability_diagram(
        {
            label_of(key): (torch.cat(list(by_seed.values())), labels.repeat(len(by_seed)))
            for key, by_seed in pictured.items()
        },
        out / "reliability.png",
    )
    rejection_curve(
        {
            label_of(key): [retained_accuracy(probabilities, labels) for probabilities in by_seed.values()]
            for key, by_seed in pictured.items()
        },
        out / "rejection.png",
    )
    write_curve(runs, out / "learning_curve.png")
    # A test part of folds is small, and what it says is shown with its intervals.
    shown = {label: {name: of[name] for name in ("nll", "brier")} for label, of in scores.items()}
    console.print()
    console.print(results_table(rows, shown if comparison.experiment.num_folds else None))
    main = {pair: of_score for pair, of_score in compared.items() if pair != "bayes mode - st"}
    if main:
        console.print()
        console.print(differences_table(main))
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
