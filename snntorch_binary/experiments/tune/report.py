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
from snntorch_binary.tune.settings import ModuleOf, TuneSettings, data_of
from torch import Tensor

from snntorch_binary._files import write_json
from snntorch_binary.lightning.plain_checkpoints import read_checkpoint
from snntorch_binary.lightning.spiking_module import SpikingModule
from snntorch_binary.metrics import differences_table, evaluate, paired_differences, results_table
from snntorch_binary.plots import PopulationSegment, population_history
from snntorch_binary.tune.interval import ModuleFactory
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


def test_winner(settings: TuneSettings, found: Population) -> Tested | None:
    """Return the winner's answers to the test part, read once and kept; ``None`` where there are no classes to tell."""
    config = settings.config_of(found.plan.seed)
    files = result_files(found.folder)
    kept = files.read_tensors(_ANSWERS)
    if kept is None or kept.keys() != {field.name for field in fields(Tested)}:
        module, data = _trained(ModuleOf(config["model"]), found), data_of(config.get("data"))
        if not isinstance(module, SpikingModule) or data is None or module.task.score != "accuracy":
            return None
        data.setup("test")
        parts: dict[str, list[Tensor]] = {}
        with torch.no_grad():
            for x, labels in data.test_dataloader():
                for name, values in {"labels": labels, **module.answers(x, final=True)}.items():
                    parts.setdefault(name, []).append(values)
        answers = {name: torch.cat(values) for name, values in parts.items()}
        labels = answers.pop("labels")
        binary = bool(binary_layers(module.net))
        members = getattr(module, "num_test_samples", 1)
        bits = {name: (1.0 if binary else 32.0) * (members if name == "ensemble" else 1) for name in answers}
        kept = {"probabilities": answers, "labels": labels, "bits": bits, "credit": module.credit}
        files.write_tensors(_ANSWERS, kept)
    return Tested(**kept)


def _trained(module_factory: ModuleFactory, found: Population) -> Any:
    module = module_factory()
    module.load_state_dict(read_checkpoint(found.checkpoint)["state_dict"])
    return module.eval()


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


def validation_table(settings: TuneSettings, found: Mapping[str, Sequence[Population]]) -> Table:
    """Return the validation scores of the winners, and what all members had."""
    plan = settings.plan
    table = Table(title=f"{settings.name}: validation, {plan.metric}", show_edge=False)
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


def report(settings: TuneSettings, found: Mapping[str, Sequence[Population]], out: Path, console: Console) -> None:
    """Print tables and write pictures, results.json, differences.json; the test part is read here, once."""
    for rule, populations in found.items():
        for population in populations:
            if rule == PBT:
                draw(population, population.folder / "population.png")
    console.print()
    console.print(validation_table(settings, found))
    best = min(found[PBT], key=lambda of: of.score if settings.plan.mode == "min" else -of.score)
    console.print(_schedule_table(best))
    rows, answers, labels = _tested_rows(settings, found)
    if rows:
        write_json(out / "results.json", rows)
        console.print(results_table(rows))
        compared = {
            f"{PBT} {prediction} - {FIXED} {prediction}".replace(" single", ""): paired_differences(
                torch.stack(values), torch.stack(answers[FIXED, prediction]), labels
            )
            for (rule, prediction), values in answers.items()
            if rule == PBT and (FIXED, prediction) in answers
        }
        if compared:
            write_json(
                out / "differences.json",
                {pair: {name: vars(value) for name, value in of.items()} for pair, of in compared.items()},
            )
            console.print()
            console.print(differences_table(compared))
    console.print(
        f"\nWritten to {out}: for each seed schedule.yaml (replay it with snntorch-binary fit --config), "
        "population.png, reports.jsonl and winner.ckpt",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _tested_rows(
    settings: TuneSettings, found: Mapping[str, Sequence[Population]]
) -> tuple[list[dict[str, Any]], dict[tuple[str, str], list[Tensor]], Tensor]:
    rows: list[dict[str, Any]] = []
    answers: dict[tuple[str, str], list[Tensor]] = {}
    labels = torch.empty(0)
    for rule, populations in found.items():
        for population in populations:
            tested = test_winner(settings, population)
            if tested is None:
                continue
            labels = tested.labels
            for prediction, probabilities in tested.probabilities.items():
                scores = evaluate(probabilities, labels)
                answers.setdefault((rule, prediction), []).append(probabilities)
                rows.append(
                    {
                        "dataset": settings.config["data"].get("name", "digits"),
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
    return rows, answers, labels


def _schedule_table(best: Population) -> Table:
    table = Table(title=f"the best schedule, seed {best.plan.seed}", show_edge=False)
    table.add_column("from epoch", justify="right")
    for name in best.space:
        table.add_column(name, justify="right")
    for begin, values in best.schedule.items():
        table.add_row(str(begin), *(f"{values[name]:.3g}" if name in values else "" for name in best.space))
    return table
