"""`compare split-mnist`: five tasks of two digits, one after the other, and what is left of each.

The network has one output per digit and is never told which task an example is of.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from snntorch_binary._errors import expected
from snntorch_binary._files import RunFolder, digest
from snntorch_binary.data import SpikeDataset, Splits, collate, load
from snntorch_binary.experiments.answers import answers
from snntorch_binary.experiments.data import in_order
from snntorch_binary.experiments.progress import RunsProgress
from snntorch_binary.experiments.results_folder import check_output, write_settings
from snntorch_binary.experiments.rules import alone, make_rule
from snntorch_binary.experiments.split_mnist.settings import RULES, TASKS, SplitRecipe, SplitSettings
from snntorch_binary.learning.continual import Coreset, posterior_to_prior_
from snntorch_binary.learning.elastic_weight_consolidation import ElasticWeightConsolidation
from snntorch_binary.lightning.bayes_bisnn import BayesBiSNN
from snntorch_binary.lightning.data import SeededSampler
from snntorch_binary.lightning.plain_checkpoints import Restored, restoring
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.lightning.spiking_module import SpikingModule
from snntorch_binary.metrics import Scores, evaluate
from snntorch_binary.models import SpikingMLP

NUM_MEMBERS = 10
"""Members of the Bayesian ensemble whose test results are reported."""

_FISHER_EXAMPLES = 500


@dataclass(frozen=True)
class Stage:
    """What a network answers after one of its tasks.

    Attributes:
        probabilities: class probabilities [N, C] of each prediction by name, on the test examples of all tasks so far.
        labels: their labels [N].
        train_seconds: time spent on this task.
    """

    probabilities: dict[str, Tensor]
    labels: Tensor
    train_seconds: float

    def scores(self, prediction: str) -> list[Scores]:
        """Return how right and how well calibrated a prediction is on each task so far."""
        of_task = [torch.isin(self.labels, torch.tensor(task)) for task in TASKS]
        return [
            evaluate(self.probabilities[prediction][chosen], self.labels[chosen]) for chosen in of_task if chosen.any()
        ]


Examples = Dataset[tuple[Tensor, Tensor]]
"""Spikes and labels."""

Runs = dict[tuple[str, int], list[Stage]]
"""The stages of every run by (rule, seed), one after each task."""


def train_all(settings: SplitSettings, out: Path, progress: RunsProgress) -> Runs:
    """Learn the tasks under every rule and seed; what has been done in an earlier call is not done again.

    Raises:
        ValueError: the coreset is larger than a task.
        OutputError: the folder cannot be written to, or holds runs made with other settings.
        NonFiniteLossError: a loss became NaN or infinite; tasks before it are kept.
    """
    check_output(out, settings.fingerprint())
    training_sets(_load(settings).train, settings.coreset)  # bad data or a large coreset are found out now
    write_settings(out, settings.fingerprint())
    runs: Runs = {}
    with quiet(), progress:
        for seed in settings.seeds:
            splits = _load(settings, seed)
            for rule in settings.rules:
                run = {"rule": rule, "seed": seed, "settings": digest(settings.fingerprint())}
                folder = RunFolder(out / "runs" / f"{rule}-seed{seed}", run, progress.note)
                progress.say(folder.path.name)
                runs[rule, seed] = stages = _run(settings, splits, rule, seed, folder, progress)
                progress.finish(f"{folder.path.name:<24} {_after_all(stages[-1])}")
    return runs


def _load(settings: SplitSettings, seed: int = 0) -> Splits:
    return load(
        "mnist", settings.data_dir, limit_per_class=settings.limit_per_class, seed=seed, download=settings.download
    )


def training_sets(train: SpikeDataset, coreset: int, seed: int = 0) -> list[tuple[Examples, Examples]]:
    """Return the examples of each task, and what it is learned from: these and those kept of the tasks before it.

    Raises:
        ValueError: the coreset is larger than a task.
    """
    memory = Coreset(coreset, seed)
    sets: list[tuple[Examples, Examples]] = []
    for labels in TASKS:
        task = Subset(train, of_tasks(train.labels, [labels]))
        if len(task) < coreset:
            what = f"at most {len(task)}, the number of examples of the digits {labels[0]} and {labels[1]}"
            raise ValueError(expected("coreset", what, coreset))
        sets.append((task, memory.joined(task)))
        memory.add(task)
    return sets


def of_tasks(labels: Tensor, tasks: Sequence[Sequence[int]]) -> list[int]:
    """Return the indices of the examples of some tasks."""
    return torch.isin(labels, torch.tensor(tasks)).nonzero().squeeze(1).tolist()


class _TaskCallback(L.Callback):
    """What Lightning does not know of: fresh spikes in every epoch of every task, the penalty, the progress bar."""

    def __init__(
        self,
        train: SpikeDataset,
        epochs_before: int,
        consolidation: ElasticWeightConsolidation | None,
        progress: RunsProgress,
    ) -> None:
        self._train = train
        self._epochs_before = epochs_before
        self.consolidation = consolidation
        self._progress = progress

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._train.set_epoch(self._epochs_before + trainer.current_epoch)

    def on_before_optimizer_step(self, trainer: L.Trainer, *args: Any) -> None:
        if self.consolidation is not None:
            self.consolidation.penalty().backward()  # adds to the gradient of the loss

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        done = (trainer.fit_loop.epoch_loop.batch_idx + 1) / trainer.num_training_batches
        self._progress.step(self._epochs_before + trainer.current_epoch + done)


def _run(
    settings: SplitSettings, splits: Splits, rule: str, seed: int, folder: RunFolder, progress: RunsProgress
) -> list[Stage]:
    """Learn all tasks in their order, going on after the last one whose file, and all before it, are there."""
    used = settings.recipe
    torch.manual_seed(1_000 * seed)  # every rule starts from the same float network, up to its drive
    module = make_module(rule, used)
    consolidation = None
    if RULES[rule].consolidated is not None:
        consolidation = ElasticWeightConsolidation(module.net, getattr(used, str(RULES[rule].consolidated)))
    stages: list[Stage] = []
    going_on = True
    for index, (task, examples) in enumerate(training_sets(splits.train, settings.coreset, seed)):
        name = f"task{index + 1}.pt"
        done = folder.read_tensors(name) if going_on else None
        going_on = done is not None
        if done is not None:
            with restoring(folder.path / name, Restored()):
                module.net.load_state_dict(done["net"])
                if consolidation is not None:
                    consolidation.load_state_dict(done["consolidation"])
        else:
            begin = time.perf_counter()
            callback = _TaskCallback(splits.train, index * settings.epochs, consolidation, progress)
            _learn(module, examples, settings, seed * len(TASKS) + index, callback)
            _consolidate(module, task, consolidation, seed * len(TASKS) + index)
            seconds = time.perf_counter() - begin
            progress.say(f"{folder.path.name}  testing after task {index + 1}")
            done = {
                "net": module.net.state_dict(),
                "consolidation": None if consolidation is None else consolidation.state_dict(),
                "stage": {**_answers(module, splits.test, index), "train_seconds": seconds},
            }
            folder.write_tensors(name, done)
        stages.append(Stage(**done["stage"]))
    return stages


def make_module(name: str, used: SplitRecipe) -> SpikingModule:
    """Return a network of 784 inputs and 10 outputs with the LightningModule of a rule around it."""
    settings: dict[str, dict[str, Any]] = {
        "full-precision": {"lr": used.lr},
        "st": {"latent_lr": used.st_lr, "lr": used.base_lr},
        "bayes": {"lr": used.bayes_lr, "base_lr": used.base_lr, "rho": used.rho, "init_scale": used.init_scale},
    }
    learns_by = RULES[name].learns_by
    drive = used.drive if learns_by == "full-precision" else used.binary_drive
    net = SpikingMLP(784, (used.hidden_size,), 10, drive=drive)
    rule = alone(make_rule(learns_by, settings[learns_by]), "tasks one after the other")
    return rule.module(net, 10, readout_scale=used.readout_scale)


def _learn(module: SpikingModule, examples: Examples, settings: SplitSettings, seed: int, callback: L.Callback) -> None:
    sampler = SeededSampler(len(examples), seed)  # type: ignore[arg-type]  # a Subset, which has a length
    trainer = L.Trainer(
        max_epochs=settings.epochs,
        devices=1,
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(examples, batch_size=settings.recipe.batch_size, sampler=sampler, collate_fn=collate)
    trainer.fit(module, loader)


def _consolidate(
    module: SpikingModule, task: Examples, consolidation: ElasticWeightConsolidation | None, seed: int
) -> None:
    """Make what was learned the prior, or the anchor, of the next task."""
    if isinstance(module, BayesBiSNN):
        posterior_to_prior_(module.net)
    if consolidation is not None:
        generator = torch.Generator().manual_seed(seed)
        few = torch.randperm(len(task), generator=generator)[:_FISHER_EXAMPLES].tolist()  # type: ignore[arg-type]  # a Subset, which has a length
        one_by_one = DataLoader(Subset(task, few), collate_fn=collate)
        consolidation.consolidate(module, (x.to(module.device) for x, _ in one_by_one), generator)


def _answers(module: SpikingModule, test: SpikeDataset, index: int) -> dict[str, Any]:
    """Return the probabilities of every prediction, and the labels, of the test examples of all tasks so far."""
    module.eval()
    seen: Examples = Subset(test, of_tasks(test.labels, TASKS[: index + 1]))
    found = answers(in_order(seen), lambda x: module.answers(x.to(module.device), final=True))
    module.train()
    labels = found.pop("labels")
    return {"probabilities": found, "labels": labels}


def _after_all(stage: Stage) -> str:
    """Return the mean accuracy over all tasks of every prediction of a run."""
    several = len(stage.probabilities) > 1
    means = [
        f"{name + ' ' if several else ''}{100 * fmean(score.accuracy for score in stage.scores(name)):.1f} %"
        for name in stage.probabilities
    ]
    return f"accuracy over the tasks {', '.join(means)}"
