"""One member's work between two rankings: from a checkpoint, with some hyper-parameters, to the next checkpoint.

What it has come to is kept under a name that tells all that it depends on, in files of plain values. A population that
was killed is started anew, and finds there what it has done.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint

from snntorch_binary._files import DamagedFileError, RunFolder, digest
from snntorch_binary.lightning.plain_checkpoints import RecordedCheckpoints
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.lightning.schedule import HyperparameterSchedule
from snntorch_binary.lightning.seeded_steps import SeededSteps
from snntorch_binary.lightning.spiking_module import NonFiniteLossError
from snntorch_binary.tune.lineage import Report
from snntorch_binary.tune.plan import Plan

CHECKPOINT = "last.ckpt"
_REPORT = "report.json"

ModuleFactory = Callable[[], L.LightningModule]
"""Makes the module that learns, with new weights from torch's random numbers."""


def files_of(folder: Path, population: str) -> RunFolder:
    """Return the files of an interval.

    Args:
        folder: where they are.
        population: tells the population from all others.
    """
    return RunFolder(folder, {"population": population})


def kept_report(folder: Path, population: str = "") -> Report | None:
    """Return the report of an interval that is done, or ``None`` where it is to be trained.

    Args:
        folder: of its files.
        population: tells the population from all others.
    """
    files = files_of(folder, population)
    content = files.read(_REPORT)
    if content is None:
        return None
    try:
        report = Report.read(content, folder / _REPORT)
    except DamagedFileError:
        return None
    return report if not report.scores or CHECKPOINT in files else None


class _StopAfter(L.Callback):
    """Ends training after some epochs, though schedules were made for more."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.should_stop = trainer.current_epoch + 1 >= self.epochs


def train_or_find(
    module_factory: ModuleFactory,
    data: L.LightningDataModule | None,
    plan: Plan,
    member: int,
    values: Mapping[str, float],
    start: str | None,
    store: Path,
    accelerator: str,
    population: str,
) -> Report:
    """Train a member until the next ranking, or find that this was done before.

    Args:
        module_factory: makes the module.
        data: its data, or ``None``.
        plan: what the population does.
        member: the member.
        values: hyper-parameters by name.
        start: the report to go on from.
        store: folder of all intervals of the population.
        accelerator: Lightning's.
        population: tells the population from all others.
    """
    before = None if start is None else store / start
    end = store / _name(population, member, start, values)
    found = kept_report(end, population)
    if found is not None and found.id == end.name:
        return found
    return train_interval(module_factory, data, plan, member, values, before, end, accelerator, population)


def _name(population: str, member: int, parent: str | None, values: Mapping[str, float]) -> str:
    """Return the name of an interval: a function of all that it depends on, its whole past included."""
    return digest([population, member, parent, dict(values)])


def train_interval(
    module_factory: ModuleFactory,
    data: L.LightningDataModule | None,
    plan: Plan,
    member: int,
    values: Mapping[str, float],
    start: Path | None,
    end: Path,
    accelerator: str = "cpu",
    population: str = "",
) -> Report:
    """Train a member until the next ranking; needs no Ray.

    Intervals one after another are one training, bit for bit: everything goes on from the checkpoint but the
    hyper-parameters, which are set again after the optimizer's state is there, and torch's own noise, which is a
    function of the seed and the step. Data of the module's own must have an order that is a function of the epoch.

    Args:
        module_factory: makes the module.
        data: its data, or ``None`` where the module has data of its own.
        plan: what the population does.
        member: the member, which seeds its first weights.
        values: hyper-parameters by name.
        start: folder of the checkpoint to go on from, of this member or of another.
        end: folder for the next checkpoint.
        accelerator: Lightning's.
        population: tells the population from all others.

    Returns:
        What it did. A member whose loss became NaN or infinite has no scores, and waits to be replaced.

    Raises:
        DamagedFileError: the checkpoint to go on from is damaged.
    """
    before = None if start is None else kept_report(start, population)
    if start is not None and before is None:
        raise DamagedFileError(f"{start} has no checkpoint of this population.")
    begin, parent = (0, None) if before is None else (before.epoch, before.id)
    until, since = begin + plan.interval, time.perf_counter()
    files = files_of(end, population)
    scores: dict[str, float] = {}
    if before is None or before.scores:
        try:
            scores = _fit(module_factory, data, plan, member, values, start, until, files, accelerator, population)
        except NonFiniteLossError:
            scores = {}
    seconds = time.perf_counter() - since
    name = _name(population, member, parent, values)
    report = Report(name, parent, member, begin, until, dict(values), scores, seconds)
    files.write(_REPORT, json.dumps(asdict(report)).encode())
    return report


def _fit(
    module_factory: ModuleFactory,
    data: L.LightningDataModule | None,
    plan: Plan,
    member: int,
    values: Mapping[str, float],
    start: Path | None,
    until: int,
    files: RunFolder,
    accelerator: str,
    population: str,
) -> dict[str, float]:
    checkpoint = None if start is None else str(start / CHECKPOINT)
    checkpoints = RecordedCheckpoints(files, None if start is None else files_of(start, population))
    with quiet():
        L.seed_everything(plan.seed_of(member), verbose=False)
        module = module_factory()
        if checkpoint is not None:  # data that are shuffled by these numbers come in another order in each interval
            L.seed_everything(plan.seed_of(member) + 2**31 + until, verbose=False)
        saved = ModelCheckpoint(
            dirpath=files.path,
            filename=Path(CHECKPOINT).stem,
            every_n_epochs=plan.interval,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        trainer = L.Trainer(
            max_epochs=plan.epochs,
            accelerator=accelerator,
            devices=1,
            default_root_dir=files.path,
            plugins=[checkpoints],
            # All members have the same noise in a step, so that one training can follow a line through several.
            callbacks=[HyperparameterSchedule({0: dict(values)}), SeededSteps(plan.seed), _StopAfter(until), saved],
            check_val_every_n_epoch=plan.interval,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    return {key: float(value) for key, value in trainer.callback_metrics.items()}
