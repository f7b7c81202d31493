"""From the runs of a comparison to its table, its pictures and results.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from snntorch_binary._files import write_json
from snntorch_binary.lightning.compare import Run
from snntorch_binary.lightning.recipes import ALL_RULES, SOFT_LIF_RULES, VOWEL_RULES
from snntorch_binary.lightning.settings import Settings
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
BITS = {rule: 1.0 if rule.endswith(("st", "bayes")) else 32.0 for rule in (*ALL_RULES, SCALED)}

Answers = dict[tuple[str, str], dict[int, Tensor]]
"""Test probabilities [N, C] by (rule, prediction) and seed; folds joined in their order."""


def gather(runs: list[Run]) -> tuple[Answers, Tensor]:
    """Join the folds of every rule, prediction and seed; full precision also with temperature scaling."""
    answers: dict[tuple[str, str], dict[int, list[Tensor]]] = {}
    for run in sorted(runs, key=lambda run: (ALL_RULES.index(run.rule), run.fold)):
        for prediction, probabilities in run.probabilities.items():
            answers.setdefault((run.rule, prediction), {}).setdefault(run.seed, []).append(probabilities)
        if run.rule == "full-precision":
            temperature = fit_temperature(run.validation_logits, run.validation_labels)
            scaled = apply_temperature(run.test_logits, temperature).float()
            answers.setdefault((SCALED, "single"), {}).setdefault(run.seed, []).append(scaled)
    first = [run for run in runs if (run.rule, run.seed) == (runs[0].rule, runs[0].seed)]
    labels = torch.cat([run.labels for run in sorted(first, key=lambda run: run.fold)])
    joined = {
        key: {seed: torch.cat(parts) for seed, parts in sorted(by_seed.items())} for key, by_seed in answers.items()
    }
    return joined, labels


def make_rows(settings: Settings, runs: list[Run], answers: Answers, labels: Tensor) -> list[dict[str, Any]]:
    """Return the rows of results.json, one for every rule, prediction and seed."""
    rows = []
    for (rule, prediction), by_seed in answers.items():
        trained_as = "full-precision" if rule == SCALED else rule
        for seed, probabilities in by_seed.items():
            scores = evaluate(probabilities, labels)
            members = rule.endswith("bayes") and prediction.endswith("ensemble")  # each has weights of its own
            seconds = sum(run.train_seconds for run in runs if (run.rule, run.seed) == (trained_as, seed))
            rows.append(
                {
                    "dataset": settings.dataset,
                    "rule": rule,
                    "credit": "online" if rule in VOWEL_RULES else settings.credit,
                    "prediction": prediction,
                    "seed": seed,
                    "accuracy": scores.accuracy,
                    "ece": scores.ece,
                    "nll": scores.nll,
                    "brier": scores.brier,
                    "adaptive_ece": adaptive_calibration_error(probabilities, labels),
                    "classwise_ece": classwise_calibration_error(probabilities, labels),
                    "bits_per_weight": BITS[rule] * (settings.recipe.num_members if members else 1),
                    "train_seconds": round(seconds, 1),
                    "epochs": settings.epochs or settings.recipe.epochs,
                    **({} if settings.hidden is None else {"hidden": settings.hidden}),
                }
            )
    return rows


def differences(answers: Answers, labels: Tensor) -> dict[str, dict[str, Difference]]:
    """Return paired bootstrap intervals of the differences that the paper's claims are about."""
    ensemble, mode, st = ("bayes", "ensemble"), ("bayes", "mode"), ("st", "single")
    full, scaled = ("full-precision", "single"), (SCALED, "single")
    signed, unsigned = ((rule, "ensemble") for rule in VOWEL_RULES)
    pairs = [(ensemble, full), (ensemble, scaled), (ensemble, st), (mode, ensemble), (st, full), (mode, st)]
    pairs += [(signed, unsigned), (signed, ensemble), (unsigned, ensemble)]
    soft, soft_st, soft_bayes = SOFT_LIF_RULES
    pairs += [((soft, "spiking"), (soft, "single")), ((soft_st, "single"), (soft, "single"))]
    pairs += [((soft_st, "spiking"), (soft_st, "single")), ((soft_bayes, "ensemble"), (soft, "single"))]
    pairs += [((soft_bayes, "spiking ensemble"), (soft_bayes, "ensemble"))]
    return {
        f"{label_of(a)} - {label_of(b)}": paired_differences(
            _over_seeds(answers[a]), _over_seeds(answers[b]), labels, seed=index
        )
        for index, (a, b) in enumerate(pairs)
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


def report(settings: Settings, runs: list[Run], out: Path, console: Console) -> None:
    """Print the tables and write results.json, differences.json, intervals.json and the two pictures."""
    answers, labels = gather(runs)
    rows = make_rows(settings, runs, answers, labels)
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
    console.print(results_table(rows, shown if settings.folds else None))
    main = {pair: of_score for pair, of_score in compared.items() if pair != "bayes mode - st"}
    if main:
        console.print()
        console.print(differences_table(main))
    console.print(f"\n{_files(out)}", highlight=False, markup=False, soft_wrap=True)


def _files(out: Path) -> str:
    return (
        f"Written to {out}: results.json, differences.json, intervals.json,\n"
        "reliability.png, rejection.png, learning_curve.png, and a checkpoint of every run in runs/"
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


def write_curve(runs: list[Run], path: Path, score: str = "accuracy") -> None:
    """Write the picture of validation scores by epoch."""
    curves: dict[str, list[tuple[list[int], list[float]]]] = {}
    for run in runs:
        for prediction, accuracy in run.history.items():
            epochs = list(range(1, len(accuracy) + 1))
            curves.setdefault(label_of((run.rule, prediction)), []).append((epochs, accuracy))
    learning_curve(curves, path, score=score)
