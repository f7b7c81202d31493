"""`compare`: the same network trained under each rule, run by run; an interrupted comparison continues."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sized
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from snntorch_binary._files import RunFolder, digest
from snntorch_binary.data import DirectEncoder, SpikeDataset, Splits, collate
from snntorch_binary.lightning.bayes_bisnn import BayesBiSNN
from snntorch_binary.lightning.data import SpikeDataModule
from snntorch_binary.lightning.in_spikes import prediction_in_spikes, running_in_spikes, small_batches
from snntorch_binary.lightning.plain_checkpoints import (
    RecordedCheckpoints,
    Restored,
    read_checkpoint,
    restoring,
)
from snntorch_binary.lightning.progress import ComparisonProgress
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.lightning.recipes import VOWEL_RULES, Recipe
from snntorch_binary.lightning.seeded_steps import SeededSteps
from snntorch_binary.lightning.settings import Settings, check_output, write_settings
from snntorch_binary.lightning.spiking_module import Credit, SpikingModule
from snntorch_binary.lightning.st_bisnn import STBiSNN
from snntorch_binary.lightning.vowel import VOWEL
from snntorch_binary.models import LocalSpikingMLP, SoftLIFConvNet, SpikingMLP, symbol_network
from snntorch_binary.models.winner_take_all import has_polarities
from snntorch_binary.nn import RaisedCosine, WTANetwork
from snntorch_binary.weights import Bernoulli

_DONE = "predictions.pt"  # there when a run is trained and tested
_LAST = "last.ckpt"


@dataclass(frozen=True)
class Run:
    """One trained network: what it answered on the test part, and how it got there.

    Attributes:
        rule: the rule it learned by.
        seed: its seed.
        fold: the fold that tested it.
        folder: where its checkpoint is.
        probabilities: answers to the test part of each prediction by name: class probabilities [N, C], or mean and
            standard deviation [N, 2] of a regression.
        labels: test labels or targets [N].
        validation_logits: class scores [M, C] of the weights in force on validation data.
        validation_labels: validation labels or targets [M].
        test_logits: class scores [N, C] of the weights in force.
        history: validation accuracy (or root mean squared error) after each epoch, of each prediction by name.
        train_seconds: time spent training.
    """

    rule: str
    seed: int
    fold: int
    folder: Path
    probabilities: dict[str, Tensor]
    labels: Tensor
    validation_logits: Tensor
    validation_labels: Tensor
    test_logits: Tensor
    history: dict[str, list[float]]
    train_seconds: float
    validation_answers: dict[str, Tensor] = field(default_factory=dict)


class _History(L.Callback):
    """Keeps validation accuracy by epoch and the seconds spent, across interruptions."""

    def __init__(self, progress: ComparisonProgress, label: str) -> None:
        self.scores: dict[str, list[float]] = {}
        self.seconds = 0.0
        self._progress = progress
        self._label = label
        self._since = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"accuracy": self.scores, "seconds": self.seconds + time.perf_counter() - self._since}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.scores, self.seconds = state_dict["accuracy"], state_dict["seconds"]

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._since = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        self._progress.step(
            trainer.current_epoch + (trainer.fit_loop.epoch_loop.batch_idx + 1) / trainer.num_training_batches
        )

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, SpikingModule)
        for name in pl_module.predictions:
            value = float(trainer.callback_metrics[f"val_{name}_{pl_module.task.score}"])
            self.scores.setdefault(name, []).append(value)
        self._progress.say(validation_line(self._label, self.scores, pl_module.task.score))

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.seconds += time.perf_counter() - self._since


def train_all(settings: Settings, out: Path, progress: ComparisonProgress) -> list[Run]:
    """Train and test every rule, seed and fold that has not been already.

    Raises:
        OutputError: the folder cannot be written to, or holds runs made with other settings.
        NonFiniteLossError: a loss became NaN or infinite; runs and checkpoints before it are kept.
    """
    check_output(out, settings)
    planned = [
        (rule, seed, fold) for seed in settings.seeds for fold in range(settings.folds or 1) for rule in settings.rules
    ]
    found = {run: _finished(_folder(settings, out, *run, progress.note)) for run in planned}
    score = "rmse" if settings.regression else "accuracy"
    missing = [run for run in planned if found[run] is None]
    if missing:
        load_data(settings, *missing[0][1:])  # a set that cannot be read is found out before anything is written
    write_settings(out, settings)
    runs = []
    with quiet(), progress:
        for (rule, seed, fold), done in found.items():
            folder = _folder(settings, out, rule, seed, fold)
            progress.say(folder.path.name)
            if done is None:
                done = _train_one(settings, rule, seed, fold, folder, progress)
            runs.append(Run(rule=rule, seed=seed, fold=fold, folder=folder.path, **done))
            progress.finish(validation_line(folder.path.name, runs[-1].history, score))
    return runs


def _folder(
    settings: Settings, out: Path, rule: str, seed: int, fold: int, say: Callable[[str], None] = lambda _: None
) -> RunFolder:
    run = {"rule": rule, "seed": seed, "fold": fold, "settings": digest(settings.fingerprint())}
    return RunFolder(out / "runs" / _run_name(settings, rule, seed, fold), run, say)


def _finished(folder: RunFolder) -> dict[str, Any] | None:
    """Return the results of a run, or ``None`` where it is to be trained (on)."""
    done = folder.read_tensors(_DONE)
    if done is None or done.keys() != {of.name for of in fields(Run)} - {"rule", "seed", "fold", "folder"}:
        return None
    # Somebody may have removed it, but other pictures than these results are not made of a damaged one.
    return done if _LAST in folder or not (folder.path / _LAST).exists() else None


def _run_name(settings: Settings, rule: str, seed: int, fold: int) -> str:
    return f"{rule}-seed{seed}" + (f"-fold{fold}" if settings.folds else "")


def validation_line(name: str, history: dict[str, list[float]], score: str) -> str:
    """Return the last validation score of every prediction of a run."""
    several = len(history) > 1
    values = {
        prediction: f"{100 * of[-1]:.1f} %" if score == "accuracy" else f"{of[-1]:.3f}"
        for prediction, of in history.items()
    }
    shown = [f"{prediction + ' ' if several else ''}{value}" for prediction, value in values.items()]
    return f"{name:<22} validation {score} {', '.join(shown)}"


def load_data(settings: Settings, seed: int, fold: int) -> SpikeDataModule:
    """Return the data of one run."""
    data = SpikeDataModule(
        settings.dataset,
        settings.data_dir,
        settings.recipe.batch_size,
        classes=settings.classes,
        limit_per_class=settings.limit_per_class,
        seed=seed,
        fold=fold,
        num_folds=settings.folds,
        download=settings.download,
        one_symbol=settings.one_symbol,
        num_steps=1 if settings.soft_lif else None,
        encoder=DirectEncoder() if settings.soft_lif else None,
    )
    data.setup()
    return data


def _train_one(
    settings: Settings, rule: str, seed: int, fold: int, folder: RunFolder, progress: ComparisonProgress
) -> dict[str, Any]:
    data = load_data(settings, seed, fold)
    assert data.splits is not None
    module = _make(settings, rule, seed, fold, data.splits)
    history, restored = _History(progress, folder.path.name), Restored()
    checkpoint = ModelCheckpoint(
        dirpath=folder.path,
        filename=Path(_LAST).stem,
        save_top_k=1,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    trainer = L.Trainer(
        max_epochs=settings.epochs or settings.recipe.epochs,
        devices=1,
        default_root_dir=folder.path,
        plugins=[RecordedCheckpoints(folder)],
        callbacks=[history, restored, checkpoint, *([SeededSteps(seed, fold)] if settings.soft_lif else [])],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    last = str(folder.path / _LAST) if _LAST in folder else None
    with restoring(last, restored):
        trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True)
    progress.say(f"{folder.path.name}  testing")
    module.eval()
    with torch.no_grad():
        validation, test = _answers(module, data.val_dataloader()), _answers(module, data.test_dataloader())
        probabilities = {name: test[name] for name in module.predictions}
        if settings.recipe.soft_lif is not None:
            progress.say(f"{folder.path.name}  testing in spikes")
            with running_in_spikes(module, settings.recipe.soft_lif):
                spiking = _answers(module, small_batches(data.splits.test), with_logits=False)
            probabilities |= {prediction_in_spikes(name): spiking[name] for name in module.predictions}
    result = {
        "probabilities": probabilities,
        "labels": test["labels"],
        "validation_logits": validation["logits"],
        "validation_labels": validation["labels"],
        "validation_answers": {name: validation[name] for name in module.predictions},
        "test_logits": test["logits"],
        "history": history.scores,
        "train_seconds": history.seconds,
    }
    folder.write_tensors(_DONE, result)
    return result


def _make(settings: Settings, rule: str, seed: int, fold: int, splits: Splits) -> SpikingModule:
    used = settings.recipe
    torch.manual_seed(1_000 * seed + fold)  # every rule starts from the same float network, up to its drive
    net = make_network(rule, splits, used, settings.credit, seed)
    return make_module(rule, net, splits, used, settings.credit)


def load_module(settings: Settings, run: Run) -> tuple[SpikingModule, Splits]:
    """Return the trained module of a run, in evaluation mode, and the data it learned from."""
    splits = load_data(settings, run.seed, run.fold).splits
    assert splits is not None
    module = _make(settings, run.rule, run.seed, run.fold, splits)
    module.load_state_dict(read_checkpoint(run.folder / _LAST)["state_dict"])
    return module.eval(), splits


def in_batches(dataset: SpikeDataset) -> DataLoader[tuple[Tensor, Tensor]]:
    """Return a data set in its order."""
    return DataLoader(dataset, batch_size=500, collate_fn=collate)


def make_network(rule: str, splits: Splits, used: Recipe, credit: Credit, seed: int) -> nn.Module:
    """Return the float network that a rule starts from; ``seed`` is of the fixed readouts of local credit."""
    if rule in VOWEL_RULES:
        assert used.vowel is not None
        num_symbols, num_hidden = 2 if rule == "vowel-wta" else 1, sum(used.hidden_sizes)
        basis = RaisedCosine(used.vowel.num_basis, used.vowel.window)
        return symbol_network(splits.input_shape, num_hidden, splits.num_classes, num_symbols, basis, used.vowel.init)
    if used.soft_lif is not None:
        given = used.soft_lif
        hidden_size = sum(used.hidden_sizes)
        return SoftLIFConvNet(given.image_shape, splits.num_classes, given.channels, hidden_size, noise=given.noise)
    size = math.prod(splits.input_shape)
    if credit == "through-time":
        return SpikingMLP(size, used.hidden_sizes, splits.num_classes, drive=used.start(rule))
    return LocalSpikingMLP(
        size,
        used.hidden_sizes,
        splits.num_classes,
        used.start(rule),
        used.readout_scale,
        used.burn_in,
        used.tau_mem,
        used.tau_syn,
        seed,
    )


def make_module(rule: str, net: nn.Module, splits: Splits, used: Recipe, credit: Credit) -> SpikingModule:
    """Return the LightningModule of a rule around a float network.

    Args:
        rule: one of the command line.
        net: a float network.
        splits: the data it is for.
        used: the recipe.
        credit: see :class:`SpikingModule`.
    """
    if isinstance(net, WTANetwork):
        given = used.vowel
        assert given is not None
        return VOWEL(
            net,
            splits.num_classes,
            given.lr,
            given.hidden_lr,
            kappa=given.kappa,
            beta=given.beta,
            gamma=given.gamma,
            silence=given.silence,
            polarities=has_polarities(splits.input_shape),
            num_test_samples=used.num_members,
        )
    rule = {"softlif": "full-precision"}.get(rule, rule.removeprefix("softlif-"))
    num_classes = None if splits.regression else splits.num_classes
    # The readouts of local credit have the scale in them.
    scale = used.readout_scale if credit == "through-time" else None
    if rule == "full-precision":
        return SpikingModule(net, num_classes, used.lr, readout_scale=scale, credit=credit)
    if rule == "st":
        return STBiSNN(
            net, num_classes, used.st_base_lr, used.st_lr, scale="channel", readout_scale=scale, credit=credit
        )
    return BayesBiSNN(
        net,
        num_classes,
        used.bayes_lr,
        used.rho,
        used.bayes_base_lr,
        rule=Bernoulli(init_scale=used.init_scale),
        scale="channel",
        limit=used.limit,
        num_test_samples=used.num_members,
        readout_scale=scale,
        credit=credit,
    )


def _answers(
    module: SpikingModule, loader: DataLoader[tuple[Tensor, Tensor]], with_logits: bool = True
) -> dict[str, Tensor]:
    """Return labels, the probabilities of every prediction, and the class scores of the weights in force."""
    kept: dict[str, Tensor] = {}
    end = 0
    for x, labels in loader:
        begin, end = end, end + len(labels)
        x = x.to(module.device)
        scores = {"logits": module(x)} if with_logits else {}
        for name, values in {"labels": labels, **scores, **module.answers(x, final=True)}.items():
            if name not in kept:  # all at once: a small tensor kept in a hole of the heap costs the hole, every batch
                kept[name] = values.new_empty(len(cast(Sized, loader.dataset)), *values.shape[1:], device="cpu")
            kept[name][begin:end] = values
    return kept
