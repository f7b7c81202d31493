"""From populations to tables, pictures and results.json."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from snntorch_binary._files import write_json
from snntorch_binary.experiments.answers import answers
from snntorch_binary.experiments.tune.members import ModuleOf
from snntorch_binary.experiments.tune.tuning import Tuning
from snntorch_binary.lightning.plain_checkpoints import read_checkpoint
from snntorch_binary.lightning.spiking_module import SpikingModule
from snntorch_binary.metrics import differences_table, evaluate, paired_differences, results_table
from snntorch_binary.plots import PopulationSegment, population_history
from snntorch_binary.tune.lineage import line_of, winner
from snntorch_binary.tune.population import Population, result_files
from snntorch_binary.weights import binary_layers

PBT, FIXED = "PBT", "best fixed"
_ANSWERS = "answers.pt"


@dataclass(frozen=True)
class Tested:
    """A winner's answers to the test part.

    Attributes:
        probabilities: class probabilities [N, C] of each prediction by name.
        labels: [N].
        bits: bits a weight of each prediction.
        credit: how its weights learned of the error.
    """

    probabilities: dict[str, Tensor]
    labels: Tensor
    bits: dict[str, float]
    credit: str


def test_winner(tuning: Tuning, found: Population) -> Tested | None:
    """Return the winner's answers to the test part, read once and kept; ``None`` where there are no classes to tell."""
    files = result_files(found.folder)
    kept = files.read_tensors(_ANSWERS)
    if kept is None or kept.keys() != {field.name for field in fields(Tested)}:
        data = tuning.data_of(found.plan.seed)
        modules = tuning.modules(data)
        module = modules()
        if not isinstance(module, SpikingModule) or data is None or module.task.score != "accuracy":
            return None
        checkpoint = read_checkpoint(found.checkpoint)
        module.load_state_dict(checkpoint["state_dict"])
        module.take_up(checkpoint)
        module.eval()
        answered = answers(data.loaded.test(), lambda x: module.answers(x, final=True))
        labels = answered.pop("labels")
        bits = {name: _bits(modules, module, name) for name in answered}
        kept = {"probabilities": answered, "labels": labels, "bits": bits, "credit": module.credit}
        files.write_tensors(_ANSWERS, kept)
    return Tested(**kept)


def _bits(modules: object, module: SpikingModule, prediction: str) -> float:
    """Return the bits a weight that a prediction needs."""
    if isinstance(modules, ModuleOf):
        return modules.rule.bits(prediction)
    one = 1.0 if binary_layers(module.net) else 32.0
    return one * (getattr(module, "num_test_samples", 1) if prediction == "ensemble" else 1)


def draw(found: Population, path: Path) -> None:
    """Draw the lineage and the hyper-parameters of a population."""
    members = {report.id: report.member for report in found.reports}
    winning = {report.id for report in found.line}
    segments = [
        PopulationSegment(
            report.member,
            None if report.parent is None else members[report.parent],
            report.begin,
            report.epoch,
            report.values,
            report.score(found.plan),
            report.id in winning,
        )
        for report in found.reports
        if math.isfinite(report.score(found.plan))
    ]
    log = [name for name, of_name in found.space.items() if of_name.scale == "log"]
    population_history(segments, path, score=found.plan.metric, log=log)


def validation_table(tuning: Tuning, found: Mapping[str, Sequence[Population]]) -> Table:
    """Return the validation scores of the winners, and what all members had."""
    plan = tuning.plan
    table = Table(title=f"{tuning.name}: validation, {plan.metric}", show_edge=False)
    for heading in ("", "seed", "best", "others", "copies", "epochs in all"):
        table.add_column(heading, justify="left" if not heading else "right")
    for rule, populations in found.items():
        for population in populations:
            last = {of.member: of for of in population.reports if of.epoch == plan.epochs}
            best = winner(population.reports, population.plan)
            others = [of.score(plan) for of in last.values() if of.id != best.id]
            copies = sum(
                line[-1].member != line[-2].member
                for line in (line_of(of, population.reports)[-2:] for of in population.reports)
                if len(line) > 1
            )
            span = f"{min(others):.4g} .. {max(others):.4g}" if others else ""
            epochs = sum(of.epoch - of.begin for of in population.reports)
            table.add_row(rule, str(population.plan.seed), f"{best.score(plan):.4g}", span, str(copies), str(epochs))
    return table


def report(tuning: Tuning, found: Mapping[str, Sequence[Population]], out: Path, console: Console) -> None:
    """Print tables and write pictures, results.json, differences.json; the test part is read here, once."""
    for rule, populations in found.items():
        for population in populations:
            if rule == PBT:
                draw(population, population.folder / "population.png")
    console.print()
    console.print(validation_table(tuning, found))
    best = min(found[PBT], key=lambda of: of.score if tuning.plan.mode == "min" else -of.score)
    console.print(_schedule_table(best))
    rows, by_kind, labels = _tested_rows(tuning, found)
    if rows:
        write_json(out / "results.json", rows)
        console.print(results_table(rows))
        compared = {
            f"{PBT} {prediction} - {FIXED} {prediction}".replace(" single", ""): paired_differences(
                torch.stack(values), torch.stack(by_kind[FIXED, prediction]), labels
            )
            for (rule, prediction), values in by_kind.items()
            if rule == PBT and (FIXED, prediction) in by_kind
        }
        if compared:
            write_json(
                out / "differences.json",
                {pair: {name: vars(value) for name, value in of.items()} for pair, of in compared.items()},
            )
            console.print()
            console.print(differences_table(compared))
    console.print(
        f"\nWritten to {out}: for each seed schedule.yaml ({_replay(tuning)}), "
        "population.png, reports.jsonl and winner.ckpt",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _replay(tuning: Tuning) -> str:
    """Say who can hold the schedule again."""
    if tuning.replayable:
        return "replay it with snntorch-binary fit --config"
    return "its callbacks are for a Trainer of your own: fit has no words for this network or data"


def _tested_rows(
    tuning: Tuning, found: Mapping[str, Sequence[Population]]
) -> tuple[list[dict[str, Any]], dict[tuple[str, str], list[Tensor]], Tensor]:
    rows: list[dict[str, Any]] = []
    by_kind: dict[tuple[str, str], list[Tensor]] = {}
    labels = torch.empty(0)
    for rule, populations in found.items():
        for population in populations:
            tested = test_winner(tuning, population)
            if tested is None:
                continue
            labels = tested.labels
            for prediction, probabilities in tested.probabilities.items():
                scores = evaluate(probabilities, labels)
                by_kind.setdefault((rule, prediction), []).append(probabilities)
                rows.append(
                    {
                        "dataset": tuning.name if tuning.data is None else tuning.data.label,
                        "rule": rule,
                        "credit": tested.credit,
                        "prediction": prediction,
                        "seed": population.plan.seed,
                        "accuracy": scores.accuracy,
                        "ece": scores.ece,
                        "nll": scores.nll,
                        "brier": scores.brier,
                        "bits_per_weight": tested.bits[prediction],
                        "train_seconds": round(sum(of.seconds for of in population.reports), 1),
                        "epochs": population.plan.epochs,
                        "population": population.plan.population,
                        "validation": population.score,
                    }
                )
    return rows, by_kind, labels


def _schedule_table(best: Population) -> Table:
    table = Table(title=f"the best schedule, seed {best.plan.seed}", show_edge=False)
    table.add_column("from epoch", justify="right")
    for name in best.space:
        table.add_column(name, justify="right")
    for begin, values in best.schedule.items():
        table.add_row(str(begin), *(f"{values[name]:.3g}" if name in values else "" for name in best.space))
    return table
