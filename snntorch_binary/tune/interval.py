"""One member's work between two rankings: from a checkpoint, with some hyper-parameters, to the next checkpoint."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint

from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.lightning.schedule import HyperparameterSchedule
from snntorch_binary.lightning.seeded_steps import SeededSteps
from snntorch_binary.lightning.spiking_module import NonFiniteLossError
from snntorch_binary.tune.lineage import Report
from snntorch_binary.tune.plan import Plan

CHECKPOINT = "last.ckpt"
_NOTE = "note.json"

ModuleFactory = Callable[[], L.LightningModule]
"""Makes the module that learns, with new weights from torch's random numbers."""


@dataclass(frozen=True)
class Note:
    """What lies beside a checkpoint: whose it is."""

    id: str
    epoch: int
    failed: bool

    @classmethod
    def read(cls, folder: Path) -> Note:
        """Read the note of a checkpoint's folder."""
        return cls(**json.loads((folder / _NOTE).read_text()))


class _StopAfter(L.Callback):
    """Ends training after some epochs, though schedules were made for more."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.should_stop = trainer.current_epoch + 1 >= self.epochs


def train_interval(
    module_factory: ModuleFactory,
    data: L.LightningDataModule | None,
    plan: Plan,
    member: int,
    values: Mapping[str, float],
    start: Path | None,
    end: Path,
    accelerator: str = "cpu",
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

    Returns:
        What it did. A member whose loss became NaN or infinite has no scores, and waits to be replaced.
    """
    before = None if start is None else Note.read(start)
    begin = 0 if before is None else before.epoch
    until, since, name = begin + plan.interval, time.perf_counter(), uuid.uuid4().hex
    scores: dict[str, float] = {}
    if before is None or not before.failed:
        path = None if start is None else str(start / CHECKPOINT)
        try:
            scores = _fit(module_factory, data, plan, member, values, path, until, end, accelerator)
        except NonFiniteLossError:
            scores = {}
    end.mkdir(parents=True, exist_ok=True)
    note = {"id": name, "epoch": until, "failed": not scores}
    (end / _NOTE).write_text(json.dumps(note))
    seconds = time.perf_counter() - since
    parent = None if before is None else before.id
    return Report(name, parent, member, begin, until, dict(values), scores, seconds)


def _fit(
    module_factory: ModuleFactory,
    data: L.LightningDataModule | None,
    plan: Plan,
    member: int,
    values: Mapping[str, float],
    checkpoint: str | None,
    until: int,
    end: Path,
    accelerator: str,
) -> dict[str, float]:
    with quiet():
        L.seed_everything(plan.seed_of(member), verbose=False)
        module = module_factory()
        if checkpoint is not None:  # data that are shuffled by these numbers come in another order in each interval
            L.seed_everything(plan.seed_of(member) + 2**31 + until, verbose=False)
        saved = ModelCheckpoint(
            dirpath=end,
            filename=Path(CHECKPOINT).stem,
            every_n_epochs=plan.interval,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        trainer = L.Trainer(
            max_epochs=plan.epochs,
            accelerator=accelerator,
            devices=1,
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
