"""What `snntorch-binary tune` does: a population, and as many fixed settings, for each seed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from snntorch_binary.tune.report import FIXED, PBT, report
from snntorch_binary.tune.settings import ModuleOf, TuneSettings, data_of

from snntorch_binary.experiments.progress import RunsProgress
from snntorch_binary.experiments.provenance import write_csv
from snntorch_binary.tune.engine import ray_started
from snntorch_binary.tune.lineage import Report
from snntorch_binary.tune.plan import Plan
from snntorch_binary.tune.population import Population, finished, population_based_training, prepare


def run(settings: TuneSettings, out: Path, console: Console, arguments: Sequence[str]) -> dict[str, list[Population]]:
    """Train all populations, print tables, write files. Interrupted, the same call goes on.

    Args:
        settings: what a configuration asks for.
        out: folder for results.
        console: where to show progress and tables.
        arguments: the command line, for results.csv.
    """
    kinds = {PBT: settings.plan, **({FIXED: replace(settings.plan, perturb=False)} if settings.fixed else {})}
    found: dict[str, list[Population]] = {rule: [] for rule in kinds}
    epochs = settings.plan.population * settings.plan.epochs
    started = False
    with ExitStack() as stack:
        progress = stack.enter_context(RunsProgress(console, len(kinds) * len(settings.seeds), epochs))
        for seed in settings.seeds:
            config = settings.config_of(seed)
            module_factory, data = ModuleOf(config["model"]), data_of(config.get("data"))
            for rule, plan in kinds.items():
                label, folder = f"seed {seed}, {rule}", out / f"seed{seed}" / rule.replace(" ", "-").lower()
                if not started and not finished(folder, plan):
                    tried = prepare(module_factory, data, settings.space, plan, settings.resources)
                    progress.say("Ray is starting")
                    stack.enter_context(ray_started(settings.resources, tried.data_bytes))  # once for all
                    started = True
                population = population_based_training(
                    module_factory,
                    data,
                    settings.space,
                    replace(plan, seed=seed),
                    out=folder,
                    resources=settings.resources,
                    config=config,
                    listener=_Listener(progress, label, plan),
                    say=progress.note,
                )
                found[rule].append(population)
                progress.finish(f"{label:<20} validation {plan.metric} {population.score:.4g}")
    report(settings, found, out, console)
    write_csv(out, arguments)
    return found


class _Listener:
    """Shows how far a population is, and its best score so far."""

    def __init__(self, progress: RunsProgress, label: str, plan: Plan) -> None:
        self.progress, self.label, self.plan = progress, label, plan
        self.epochs, self.best = 0, plan.worst

    def __call__(self, report: Report) -> None:
        self.epochs += report.epoch - report.begin
        if self.plan.better(report.score(self.plan), self.best):
            self.best = report.score(self.plan)
        self.progress.step(self.epochs)
        self.progress.say(f"{self.label}, best {self.plan.metric} {self.best:.4g}")
