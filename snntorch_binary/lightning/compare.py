"""`compare`: the same network trained under each rule, run by run, so that an interrupted comparison continues."""

from __future__ import annotations

import json
import logging
import math
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.warnings import PossibleUserWarning
from torch import Tensor, nn
from torch.utils.data import DataLoader

from snntorch_binary._errors import expected
from snntorch_binary.data import names
from snntorch_binary.lightning.data import SpikeDataModule
from snntorch_binary.lightning.modules import BayesBiSNN, SpikingClassifier, STBiSNN
from snntorch_binary.lightning.networks import SpikingMLP
from snntorch_binary.lightning.progress import ComparisonProgress
from snntorch_binary.lightning.recipes import RULES, Recipe, recipe


class OutputError(RuntimeError):
    """The results cannot be written where they should go."""


@dataclass(frozen=True)
class Settings:
    """What is compared. Equal settings mean equal results; ``None`` takes the data set's recipe.

    Attributes:
        dataset: one of :func:`snntorch_binary.data.names`.
        data_dir: folder with the set or archives of it.
        rules: of ``"full-precision"``, ``"st"`` and ``"bayes"``.
        classes: ``"all"`` or the classes to keep.
        limit_per_class: at most that many examples of each class and part.
        epochs: passes over the training part.
        seeds: one run of every rule each.
        num_folds: cross-validate with so many folds.
        download: let the set be downloaded where that is possible.
    """

    dataset: str
    data_dir: str | None = None
    rules: tuple[str, ...] = RULES
    classes: tuple[int, ...] | str = "all"
    limit_per_class: int | None = None
    epochs: int | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    num_folds: int | None = None
    download: bool = False

    def __post_init__(self) -> None:
        if self.dataset not in names():
            raise ValueError(expected("dataset", f"one of {', '.join(names())}", repr(self.dataset)))
        for rule in self.rules:
            if rule not in RULES:
                raise ValueError(expected("rules", f"some of {', '.join(RULES)}", repr(rule)))
        if not self.rules or len(set(self.rules)) != len(self.rules):
            raise ValueError(expected("rules", "different rules, at least one", self.rules))
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(expected("seeds", "different integers of at least 0", self.seeds))
        if self.epochs is not None and self.epochs < 1:
            raise ValueError(expected("epochs", "a positive integer", self.epochs))

    @property
    def recipe(self) -> Recipe:
        """The data set's recipe."""
        return recipe(self.dataset, self.classes)

    @property
    def folds(self) -> int | None:
        """Number of folds, or ``None`` for the set's own split."""
        return self.recipe.num_folds if self.num_folds is None else self.num_folds

    def fingerprint(self) -> dict[str, Any]:
        """Return all that the result of one run depends on, as plain values."""
        used = {**asdict(self.recipe), "epochs": self.epochs or self.recipe.epochs, "num_folds": self.folds}
        one_run = {"dataset": self.dataset, "classes": self.classes, "limit_per_class": self.limit_per_class}
        return json.loads(json.dumps({**one_run, **used}))


@dataclass(frozen=True)
class Run:
    """One trained network: what it answered on the test part, and how it got there.

    Attributes:
        rule: the rule it learned by.
        seed: its seed.
        fold: the fold that tested it.
        probabilities: class probabilities [N, C] of each prediction by name.
        labels: test labels [N].
        validation_logits: class scores [M, C] of ``single`` predictions on validation data, for temperature scaling.
        validation_labels: validation labels [M].
        test_logits: class scores [N, C] of ``single`` predictions.
        history: validation accuracy after each epoch, of each prediction by name.
        train_seconds: time spent training.
    """

    rule: str
    seed: int
    fold: int
    probabilities: dict[str, Tensor]
    labels: Tensor
    validation_logits: Tensor
    validation_labels: Tensor
    test_logits: Tensor
    history: dict[str, list[float]]
    train_seconds: float


class _History(L.Callback):
    """Keeps validation accuracy by epoch and the seconds spent, across interruptions."""

    def __init__(self, progress: ComparisonProgress, label: str) -> None:
        self.accuracy: dict[str, list[float]] = {}
        self.seconds = 0.0
        self._progress = progress
        self._label = label
        self._since = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"accuracy": self.accuracy, "seconds": self.seconds + time.perf_counter() - self._since}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.accuracy, self.seconds = state_dict["accuracy"], state_dict["seconds"]

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._since = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        self._progress.step(
            trainer.current_epoch + (trainer.fit_loop.epoch_loop.batch_idx + 1) / trainer.num_training_batches
        )

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, SpikingClassifier)
        for name in pl_module.predictions:
            value = float(trainer.callback_metrics[f"val_{name}_accuracy"])
            self.accuracy.setdefault(name, []).append(value)
        best = pl_module.predictions[-1]
        self._progress.say(f"{self._label}  validation accuracy {100 * self.accuracy[best][-1]:.1f} %")

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.seconds += time.perf_counter() - self._since


def prepare_output(out: Path, settings: Settings) -> None:
    """Make the output folder, or say why its results could not be written or mixed with those already there.

    Raises:
        OutputError: the folder cannot be written to, or holds runs made with other settings.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(f"The results cannot be written to {out}: {error.strerror}.") from None
    path, fingerprint = out / "settings.json", settings.fingerprint()
    if path.exists():
        try:
            before = json.loads(path.read_text())
        except ValueError:
            before = None
        if before != fingerprint:
            raise OutputError(f"{out} holds the runs of other settings; give another --out or remove it.")
    else:
        write_text(path, json.dumps(fingerprint, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    os.replace(temporary, path)


def train_all(settings: Settings, out: Path, progress: ComparisonProgress) -> list[Run]:
    """Train and test every rule, seed and fold that has not been already.

    Raises:
        NonFiniteLossError: a loss became NaN or infinite; runs and checkpoints before it are kept.
    """
    runs = []
    folds = range(settings.folds or 1)
    with _quiet(), progress:
        for seed in settings.seeds:
            for fold in folds:
                for rule in settings.rules:
                    name = f"{rule}-seed{seed}" + (f"-fold{fold}" if settings.folds else "")
                    folder = out / "runs" / name
                    done = folder / "predictions.pt"
                    progress.start(name)
                    if not done.exists():
                        _train_one(settings, rule, seed, fold, folder, progress)
                    runs.append(Run(rule=rule, seed=seed, fold=fold, **torch.load(done, weights_only=True)))
                    progress.finish()
    return runs


def _train_one(
    settings: Settings, rule: str, seed: int, fold: int, folder: Path, progress: ComparisonProgress
) -> None:
    used = settings.recipe
    epochs = settings.epochs or used.epochs
    data = SpikeDataModule(
        settings.dataset,
        settings.data_dir,
        used.batch_size,
        classes=settings.classes,
        limit_per_class=settings.limit_per_class,
        seed=seed,
        fold=fold,
        num_folds=settings.folds,
        download=settings.download,
    )
    data.setup()
    assert data.splits is not None
    torch.manual_seed(1_000 * seed + fold)  # every rule starts from the same float network
    net = SpikingMLP(
        math.prod(data.splits.input_shape), used.hidden_sizes, data.splits.num_classes, drive=used.drive
    )
    module = make_module(rule, net, data.splits.num_classes, used)
    history = _History(progress, folder.name)
    checkpoint = ModelCheckpoint(
        dirpath=folder,
        filename="last",
        save_top_k=1,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    trainer = L.Trainer(
        max_epochs=epochs,
        callbacks=[history, checkpoint],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    last = folder / "last.ckpt"
    trainer.fit(module, datamodule=data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    progress.say(f"{folder.name}  testing")
    module.eval()
    with torch.no_grad():
        validation, test = _answers(module, data.val_dataloader()), _answers(module, data.test_dataloader())
    result = {
        "probabilities": {name: test[name] for name in module.predictions},
        "labels": test["labels"],
        "validation_logits": validation["logits"],
        "validation_labels": validation["labels"],
        "test_logits": test["logits"],
        "history": history.accuracy,
        "train_seconds": history.seconds,
    }
    temporary = folder / ".predictions.pt"
    torch.save(result, temporary)
    os.replace(temporary, folder / "predictions.pt")


def make_module(rule: str, net: nn.Module, num_classes: int, used: Recipe) -> SpikingClassifier:
    """Return the LightningModule of a rule around a float network.

    Args:
        rule: ``"full-precision"``, ``"st"`` or ``"bayes"``.
        net: a float network.
        num_classes: number of classes C.
        used: the recipe.
    """
    if rule == "full-precision":
        return SpikingClassifier(net, num_classes, used.lr, readout_scale=used.readout_scale)
    if rule == "st":
        return STBiSNN(net, num_classes, used.lr, used.st_lr, readout_scale=used.readout_scale)
    return BayesBiSNN(
        net,
        num_classes,
        used.bayes_lr,
        used.rho,
        used.lr,
        init_scale=used.init_scale,
        readout_scale=used.readout_scale,
    )


def _answers(module: SpikingClassifier, loader: DataLoader[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Return labels, the class scores of the weights in force, and the probabilities of every prediction."""
    parts: dict[str, list[Tensor]] = {}
    for x, labels in loader:
        x = x.to(module.device)
        answers = {"labels": labels, "logits": module(x), **module.probabilities(x, final=True)}
        for name, values in answers.items():
            parts.setdefault(name, []).append(values.cpu())
    return {name: torch.cat(values) for name, values in parts.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's notes about devices, workers and tips out of the progress display."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PossibleUserWarning)
            warnings.filterwarnings("ignore", ".*LeafSpec.*")
            warnings.filterwarnings("ignore", ".*Checkpoint directory .* exists and is not empty.*")
            yield
    finally:
        logger.setLevel(level)
