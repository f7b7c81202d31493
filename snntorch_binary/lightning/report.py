"""From the runs of a comparison to its table, its pictures and results.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from snntorch_binary.lightning.compare import Run, Settings, write_text
from snntorch_binary.metrics import (
    Difference,
    apply_temperature,
    differences_table,
    evaluate,
    fit_temperature,
    learning_curve,
    paired_differences,
    reliability_diagram,
    results_table,
)

SCALED = "temperature-scaled"
_BITS = {"full-precision": 32.0, SCALED: 32.0, "st": 1.0, "bayes": 1.0}
_NUM_MEMBERS = 10

Answers = dict[tuple[str, str], dict[int, Tensor]]
"""Test probabilities [N, C] by (rule, prediction) and seed; folds joined in their order."""


def gather(runs: list[Run]) -> tuple[Answers, Tensor]:
    """Join the folds of every rule, prediction and seed; full precision also with temperature scaling."""
    answers: dict[tuple[str, str], dict[int, list[Tensor]]] = {}
    for run in sorted(runs, key=lambda run: run.fold):
        for prediction, probabilities in run.probabilities.items():
            answers.setdefault((run.rule, prediction), {}).setdefault(run.seed, []).append(probabilities)
        if run.rule == "full-precision":
            temperature = fit_temperature(run.validation_logits, run.validation_labels)
            scaled = apply_temperature(run.test_logits, temperature).float()
            answers.setdefault((SCALED, "single"), {}).setdefault(run.seed, []).append(scaled)
    first = [run for run in runs if (run.rule, run.seed) == (runs[0].rule, runs[0].seed)]
    labels = torch.cat([run.labels for run in sorted(first, key=lambda run: run.fold)])
    joined = {
        key: {seed: torch.cat(parts) for seed, parts in sorted(by_seed.items())}
        for key, by_seed in answers.items()
    }
    return joined, labels


def make_rows(settings: Settings, runs: list[Run], answers: Answers, labels: Tensor) -> list[dict[str, Any]]:
    """Return the rows of results.json, one for every rule, prediction and seed."""
    rows = []
    for (rule, prediction), by_seed in answers.items():
        trained_as = "full-precision" if rule == SCALED else rule
        for seed, probabilities in by_seed.items():
            scores = evaluate(probabilities, labels)
            seconds = sum(run.train_seconds for run in runs if (run.rule, run.seed) == (trained_as, seed))
            rows.append(
                {
                    "dataset": settings.dataset,
                    "rule": rule,
                    "credit": "through-time",
                    "prediction": prediction,
                    "seed": seed,
                    "accuracy": scores.accuracy,
                    "ece": scores.ece,
                    "nll": scores.nll,
                    "brier": scores.brier,
                    "bits_per_weight": _BITS[rule] * (_NUM_MEMBERS if prediction == "ensemble" else 1),
                    "train_seconds": round(seconds, 1),
                    "epochs": settings.epochs or settings.recipe.epochs,
                }
            )
    return rows


def differences(answers: Answers, labels: Tensor) -> dict[str, dict[str, Difference]]:
    """Return paired bootstrap intervals of the differences that the paper's claims are about."""
    ensemble, mode, st = ("bayes", "ensemble"), ("bayes", "mode"), ("st", "single")
    full, scaled = ("full-precision", "single"), (SCALED, "single")
    pairs = [(ensemble, full), (ensemble, scaled), (ensemble, st), (mode, st), (mode, ensemble), (st, full)]
    found = {}
    for index, (a, b) in enumerate(pairs):
        if a in answers and b in answers:
            probabilities_a, probabilities_b = (torch.stack(list(answers[key].values())) for key in (a, b))
            found[f"{_label(a)} - {_label(b)}"] = paired_differences(
                probabilities_a, probabilities_b, labels, seed=index
            )
    return found


def _label(key: tuple[str, str]) -> str:
    rule, prediction = key
    return rule if prediction == "single" else f"{rule} {prediction}"


def report(settings: Settings, runs: list[Run], out: Path, console: Console) -> None:
    """Print the tables and write results.json, differences.json, reliability.png and learning_curve.png."""
    answers, labels = gather(runs)
    rows = make_rows(settings, runs, answers, labels)
    compared = differences(answers, labels)
    write_text(out / "results.json", json.dumps(rows, indent=2) + "\n")
    write_text(
        out / "differences.json",
        json.dumps(
            {pair: {k: _as_json(d) for k, d in scores.items()} for pair, scores in compared.items()}, indent=2
        )
        + "\n",
    )
    pictured = {key: by_seed for key, by_seed in answers.items() if key[0] != SCALED}
    reliability_diagram(
        {
            _label(key): (torch.cat(list(by_seed.values())), labels.repeat(len(by_seed)))
            for key, by_seed in pictured.items()
        },
        out / "reliability.png",
    )
    learning_curve(_curves(runs), out / "learning_curve.png")
    console.print(results_table(rows))
    if compared:
        console.print(differences_table(compared))
    console.print(
        f"{out}: results.json, differences.json, reliability.png, learning_curve.png, runs/", highlight=False
    )


def _as_json(difference: Difference) -> dict[str, float | bool]:
    return {
        "difference": difference.difference,
        "low": difference.low,
        "high": difference.high,
        "tie": difference.tie,
    }


def _curves(runs: list[Run]) -> dict[str, list[tuple[list[int], list[float]]]]:
    curves: dict[str, list[tuple[list[int], list[float]]]] = {}
    for run in runs:
        for prediction, accuracy in run.history.items():
            epochs = list(range(1, len(accuracy) + 1))
            curves.setdefault(_label((run.rule, prediction)), []).append((epochs, accuracy))
    return curves
