"""From the runs on split MNIST to tables, the picture and results.json."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from snntorch_binary._files import write_json
from snntorch_binary.experiments.split_mnist.run import NUM_MEMBERS, Runs
from snntorch_binary.experiments.split_mnist.settings import DATASET, RULES, TASKS, SplitSettings
from snntorch_binary.metrics import Difference, differences_table, paired_differences, results_table
from snntorch_binary.plots import continual_curve

TASK_NAMES = tuple(f"{first}/{second}" for first, second in TASKS)
_SCORES = ("accuracy", "ece", "nll", "brier")

Row = dict[str, Any]


def make_rows(settings: SplitSettings, runs: Runs) -> list[Row]:
    """Return the rows of results.json: every rule, prediction and seed on each task after each task."""
    rows = []
    for (rule, seed), stages in sorted(runs.items(), key=lambda run: (settings.rules.index(run[0][0]), run[0][1])):
        for prediction in stages[0].probabilities:
            bits = float(RULES[rule].weight_bits)
            for after, stage in enumerate(stages):
                for task, scores in zip(TASK_NAMES, stage.scores(prediction), strict=False):
                    rows.append(
                        {
                            "dataset": DATASET,
                            "rule": rule,
                            "credit": "through-time",
                            "prediction": prediction,
                            "seed": seed,
                            "task": task,
                            "after_task": TASK_NAMES[after],
                            **{name: getattr(scores, name) for name in _SCORES},
                            "bits_per_weight": bits * (NUM_MEMBERS if prediction == "ensemble" else 1),
                            "train_seconds": round(sum(before.train_seconds for before in stages[: after + 1]), 1),
                            "epochs": settings.epochs,
                            "coreset": settings.coreset,
                        }
                    )
    return rows


def averages(rows: list[Row]) -> list[Row]:
    """Return one row for each rule, prediction and seed: the mean over the five tasks after the last one."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row["after_task"] == TASK_NAMES[-1]:
            groups.setdefault((row["rule"], row["prediction"], row["seed"]), []).append(row)
    return [{**group[0], **{name: fmean(row[name] for row in group) for name in _SCORES}} for group in groups.values()]


def accuracies(rows: list[Row]) -> dict[str, Tensor]:
    """Return accuracies [num_seeds, after task, task] of each rule and prediction, NaN where a task is yet to come."""
    found: dict[str, dict[int, Tensor]] = {}
    for row in rows:
        by_seed = found.setdefault(_label(row["rule"], row["prediction"]), {})
        of_seed = by_seed.setdefault(row["seed"], torch.full((len(TASKS), len(TASKS)), torch.nan))
        of_seed[TASK_NAMES.index(row["after_task"]), TASK_NAMES.index(row["task"])] = row["accuracy"]
    return {label: torch.stack(list(by_seed.values())) for label, by_seed in found.items()}


def differences(settings: SplitSettings, runs: Runs) -> dict[str, dict[str, Difference]]:
    """Return paired bootstrap intervals, over all test examples after the last task, of Bayes less the others."""
    found: dict[str, dict[str, Difference]] = {}
    if "bayes" not in settings.rules:
        return found
    for prediction in ("ensemble", "mode"):
        for rule in settings.rules:
            if rule == "bayes":
                continue
            ours, theirs = (
                torch.stack([runs[name, seed][-1].probabilities[kind] for seed in settings.seeds])
                for name, kind in (("bayes", prediction), (rule, "single"))
            )
            labels = runs[rule, settings.seeds[0]][-1].labels
            found[f"bayes {prediction} - {rule}"] = paired_differences(ours, theirs, labels, seed=len(found))
    return found


def _label(rule: str, prediction: str) -> str:
    return rule if prediction == "single" else f"{rule} {prediction}"


def report(settings: SplitSettings, runs: Runs, out: Path, console: Console) -> None:
    """Print the tables and write results.json, differences.json and the picture."""
    rows = make_rows(settings, runs)
    compared = differences(settings, runs)
    by_rule = accuracies(rows)
    write_json(out / "results.json", rows)
    plain = {pair: {name: asdict(value) for name, value in of.items()} for pair, of in compared.items()}
    write_json(out / "differences.json", plain)
    continual_curve(by_rule, TASK_NAMES, out / "tasks.png")
    console.print()
    console.print(results_table(averages(rows)))
    console.print("means over the five tasks after the last one", style="dim")
    console.print()
    console.print(_task_table(by_rule))
    shown = {pair: of for pair, of in compared.items() if "mode" not in pair}
    if shown:
        console.print()
        console.print(differences_table(shown))
    files = "results.json, differences.json, tasks.png, and what was learned after every task in runs/"
    console.print(f"\nWritten to {out}: {files}", highlight=False, markup=False, soft_wrap=True)


def _task_table(by_rule: dict[str, Tensor]) -> Table:
    """Return the accuracy of each task after the last one, and how much of it has been forgotten."""
    table = Table(
        title="accuracy % of each task after the last one",
        caption="forgotten: accuracy right after a task was learned less that after the last one, mean over tasks",
        box=None,
    )
    table.add_column("rule", overflow="fold")
    for name in (*TASK_NAMES, "forgotten"):
        table.add_column(name, justify="right", no_wrap=True)
    for label, values in by_rule.items():
        last, learned = values[:, -1].mean(0), values.diagonal(dim1=1, dim2=2).mean(0)
        cells = [*last.tolist(), float((learned - last).mean())]
        table.add_row(label, *(f"{100 * cell:.1f}" for cell in cells))
    return table
