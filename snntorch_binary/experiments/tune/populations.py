"""What `tune` does: a population, and as many fixed settings, for each seed."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import ray
from rich.console import Console

from snntorch_binary.experiments.named import modules_of_files
from snntorch_binary.experiments.progress import RunsProgress
from snntorch_binary.experiments.tune.members import DataOf, ModuleOf, replayed
from snntorch_binary.experiments.tune.report import FIXED, PBT, report
from snntorch_binary.experiments.tune.tuning import Tuning
from snntorch_binary.tune.engine import ray_started
from snntorch_binary.tune.lineage import Report
from snntorch_binary.tune.plan import Plan
from snntorch_binary.tune.population import Population, finished, population_based_training, prepare


def train_all(tuning: Tuning, out: Path, console: Console | None = None) -> dict[str, list[Population]]:
    """Train all populations. Interrupted, the same call goes on.

    Args:
        tuning: what is tuned.
        out: folder for results.
        console: where to show progress.

    Raises:
        ValueError: before anything is trained or written, where it cannot be.
        OutputError: the folder cannot be written to, or holds results of another call.
        PopulationError: a member ended with an error, or the loss of all became NaN or infinite.
    """
    console = Console() if console is None else console
    kinds = {PBT: tuning.plan, **({FIXED: replace(tuning.plan, perturb=False)} if tuning.fixed else {})}
    found: dict[str, list[Population]] = {kind: [] for kind in kinds}
    epochs = tuning.plan.population * tuning.plan.epochs
    started = False
    with ExitStack() as stack:
        progress = stack.enter_context(RunsProgress(console, len(kinds) * len(tuning.seeds), epochs))
        for seed in tuning.seeds:
            data = tuning.data_of(seed)
            modules = tuning.modules(data)
            for module in modules_of_files():  # workers do not find them by their names
                ray.cloudpickle.register_pickle_by_value(module)
            for kind, plan in kinds.items():
                label, folder = f"seed {seed}, {kind}", folder_of(out, seed, kind)
                if not started and not finished(folder, plan):
                    tried = prepare(modules, data, tuning.space, plan, tuning.resources)
                    progress.say("Ray is starting")
                    stack.enter_context(ray_started(tuning.resources, tried.data_bytes))  # once for all
                    started = True
                population = population_based_training(
                    modules,
                    data,
                    tuning.space,
                    replace(plan, seed=seed),
                    out=folder,
                    resources=tuning.resources,
                    config=tuning.plain(seed),
                    replay=replayed(modules, data),
                    listener=_Listener(progress, label, plan),
                    say=progress.note,
                )
                _describe(tuning, modules, data, population)
                found[kind].append(population)
                progress.finish(f"{label:<20} validation {plan.metric} {population.score:.4g}")
    return found


def run(tuning: Tuning, out: Path, console: Console | None = None) -> dict[str, list[Population]]:
    """Train all populations, print tables, write files; see :func:`train_all`."""
    console = Console() if console is None else console
    found = train_all(tuning, out, console)
    report(tuning, found, out, console)
    return found


def folder_of(out: Path, seed: int, kind: str) -> Path:
    """Return the folder of a population."""
    return out / f"seed{seed}" / kind.replace(" ", "-").lower()


def _describe(tuning: Tuning, modules: object, data: DataOf | None, population: Population) -> None:
    """Write a description of the winner beside its weights, where its network is one that an experiment names."""
    if tuning.experiment is None or not isinstance(modules, ModuleOf) or data is None:
        return
    module = modules()
    described = tuning.experiment.describe(modules.rule, data.loaded, module.net, population.plan.seed)
    described.write(population.folder)


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
