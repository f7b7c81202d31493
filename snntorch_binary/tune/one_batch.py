"""What one batch tells before a population is started: scores, hyper-parameters, and the memory of a trial."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.utils.data import Dataset

from snntorch_binary.lightning.hyperparameters import Hyperparameter, hyperparameters
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.tune.interval import ModuleFactory

_PROCESS = 450 * 2**20
"""Bytes of a worker that has imported torch, Lightning and Ray (measured: resident size without data)."""


@dataclass(frozen=True)
class OneBatch:
    """What one training batch and one validation batch have shown.

    Attributes:
        module: the module that learned from it.
        scores: names of what it logs in validation.
        hyperparameters: what it lets change, by name.
        memory: bytes that a trial will need, its data included.
        data_bytes: bytes of the data.
    """

    module: L.LightningModule
    scores: tuple[str, ...]
    hyperparameters: dict[str, Hyperparameter]
    memory: int
    data_bytes: int


class _Look(L.Callback):
    def __init__(self) -> None:
        self.found: dict[str, Hyperparameter] = {}
        self.state = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.found = hyperparameters(trainer, pl_module)

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.state = _bytes_of(trainer.optimizers[0].state)


def try_one_batch(
    module_factory: ModuleFactory, data: L.LightningDataModule | None, seed: int, accelerator: str = "cpu"
) -> OneBatch:
    """Train on one batch, validate on another, and say what there is.

    Raises:
        ValueError: data, module or hyper-parameters are not what they should be.
    """
    look = _Look()
    with quiet(), isolate_rng(), _saved_for_backward() as saved:
        L.seed_everything(seed, verbose=False)
        module = module_factory()
        trainer = L.Trainer(
            max_epochs=1,
            limit_train_batches=1,
            limit_val_batches=1,
            accelerator=accelerator,
            devices=1,
            callbacks=[look],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(module, datamodule=data)
    parameters = _bytes_of(module.state_dict()) + _bytes_of(list(module.parameters()))
    data_bytes = _bytes_of_data(data)
    memory = _PROCESS + 2 * parameters + look.state + sum(saved.values()) + data_bytes
    return OneBatch(module, tuple(trainer.callback_metrics), look.found, memory, data_bytes)


@contextmanager
def _saved_for_backward() -> Iterator[dict[int, int]]:
    """Count the bytes that autograd keeps for the backward pass, each storage once."""
    sizes: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield sizes


def _bytes_of(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, dict):
        return sum(map(_bytes_of, value.values()))
    if isinstance(value, (list, tuple)):
        return sum(map(_bytes_of, value))
    return 0


def _bytes_of_data(data: L.LightningDataModule | None) -> int:
    """Return the bytes of the tensors that a data module has read, at any depth."""
    seen: set[int] = set()

    def count(value: Any) -> int:
        if id(value) in seen:
            return 0
        seen.add(id(value))
        if isinstance(value, (Tensor, dict, list, tuple)):
            inner = value.values() if isinstance(value, dict) else value
            return _bytes_of(value) if isinstance(value, Tensor) else sum(map(count, inner))
        if type(value).__module__.startswith("snntorch_binary") or isinstance(value, Dataset):
            return sum(map(count, vars(value).values()))
        return 0

    return count(data)


def available_memory() -> int:
    """Return the bytes that new processes can have on this machine, or in its control group."""
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []
    found = [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    if not found:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return found[0]
    return found[0] if limit == "max" else min(found[0], int(limit) - int(used))
