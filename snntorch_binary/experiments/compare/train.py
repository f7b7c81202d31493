"""One run of a comparison: a network trained under a rule, and what it answers."""

from __future__ import annotations

import time
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from snntorch_binary._files import RunFolder
from snntorch_binary.convert import freeze
from snntorch_binary.experiments.answers import answers
from snntorch_binary.experiments.compare.in_spikes import in_small_batches, running_in_spikes
from snntorch_binary.experiments.data import LoadedData
from snntorch_binary.experiments.description import NORMS
from snntorch_binary.experiments.examples import in_seeded_order
from snntorch_binary.experiments.experiment import Experiment
from snntorch_binary.experiments.progress import RunProgress
from snntorch_binary.experiments.rules import Rule, in_spikes
from snntorch_binary.experiments.runs import LAST
from snntorch_binary.lightning.plain_checkpoints import RecordedCheckpoints, Restored, read_checkpoint, restoring
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.lightning.seeded_steps import SeededSteps
from snntorch_binary.lightning.spiking_module import NORM_BATCHES, SpikingModule

FIRST = "first.ckpt"
"""The checkpoint of the rule that learns first, where there is one."""
_EVERY = 0.1
"""Seconds between two words on how far a training is: to another process each costs a part of a small step."""


def train_one(
    folder: RunFolder, progress: RunProgress, *, experiment: Experiment, rule: str, seed: int, fold: int
) -> dict[str, Any]:
    """Train a network under a rule, go on with it where the folder has a checkpoint, and test it.

    Returns:
        Test ``probabilities`` of each prediction by name [N, C] (of a regression mean and standard deviation [N, 2]),
        ``labels`` [N], ``validation_answers``, ``validation_labels``, ``history`` (the validation score after each
        epoch by prediction) and ``train_seconds``.

    Raises:
        NonFiniteLossError: the loss became NaN or infinite; checkpoints before that are kept.
        OSError: a file cannot be written.
    """
    learned_by = experiment.rule(rule)
    data = experiment.load(seed, fold)
    module = experiment.make_module(learned_by, data, seed, fold)
    experiment.describe(learned_by, data, module.net, seed, fold).write(folder.path)
    history = _History(progress, folder.path.name, module.predictions)
    speed = _Speed(progress, rule if (seed, fold) == (experiment.seeds[0], 0) else None)

    def fit(module: SpikingModule, epochs: int, name: str) -> None:
        restored = Restored()
        checkpoint = ModelCheckpoint(
            dirpath=folder.path,
            filename=Path(name).stem,
            save_top_k=1,
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        )
        with quiet():
            trainer = L.Trainer(
                max_epochs=epochs,
                devices=1,
                default_root_dir=folder.path,
                plugins=[RecordedCheckpoints(folder)],
                callbacks=[history, speed, restored, checkpoint, SeededSteps(seed, fold)],
                logger=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
            )
            last = str(folder.path / name) if name in folder else None
            train = in_seeded_order(data.train(experiment.batch_size, seed), seed, fold, trainer)
            with restoring(last, restored):
                trainer.fit(module, train, data.validation(), ckpt_path=last, weights_only=True)

    epochs, first = experiment.epochs, learned_by.first(experiment.epochs)
    if first is not None:
        before, epochs_before = first
        if LAST not in folder:
            earlier = experiment.make_module(before, data, seed, fold)
            fit(earlier, epochs_before, FIRST)
            module.net.load_state_dict(freeze(earlier.net).state_dict())
        epochs -= epochs_before
        history.epochs_before = epochs_before
    fit(module, epochs, LAST)
    progress.say(f"{folder.path.name}  testing")
    module.eval()
    refit_norms(module, experiment, data, seed)
    tested = _tested(module, learned_by, data, partial(progress.say, f"{folder.path.name}  testing in spikes"))
    if module.norms is not None:
        folder.write_tensors(NORMS, module.norms.state())
    return {
        **tested,
        "history": history.scores,
        "train_seconds": history.seconds,
    }


def _tested(module: SpikingModule, rule: Rule, data: LoadedData, say: Any) -> dict[str, Any]:
    def all_answers(x: Tensor) -> dict[str, Tensor]:
        return module.answers(x.to(module.device), final=True)

    with torch.no_grad():
        validation, test = answers(data.validation(), all_answers), answers(data.test(), all_answers)
        found = [{name: part[name] for name in module.predictions} for part in (validation, test)]
        if rule.spiking is not None:
            say()
            with running_in_spikes(module, rule.spiking):
                for batches, of_part in zip((data.validation(), data.test()), found, strict=True):
                    spiking = answers(in_small_batches(batches), all_answers)
                    of_part |= {in_spikes(name): spiking[name] for name in module.predictions}
    return {
        "probabilities": found[1],
        "labels": test["labels"],
        "validation_labels": validation["labels"],
        "validation_answers": found[0],
    }


def load_module(
    experiment: Experiment, name: str, seed: int, fold: int, folder: Path
) -> tuple[SpikingModule, LoadedData]:
    """Return the trained module of a run, in evaluation mode, and the data it learned from."""
    data = experiment.load(seed, fold)
    module = experiment.make_module(experiment.rule(name), data, seed, fold)
    checkpoint = read_checkpoint(folder / LAST)
    module.load_state_dict(checkpoint["state_dict"])
    module.take_up(checkpoint)
    refit_norms(module.eval(), experiment, data, seed)
    return module, data


def refit_norms(module: SpikingModule, experiment: Experiment, data: LoadedData, seed: int) -> None:
    """Have batch norms go by the weights that answer, on the first batches of the training part."""
    module.refit_norms(x.to(module.device) for x, _ in islice(data.train(experiment.batch_size, seed), NORM_BATCHES))


class _History(L.Callback):
    """Keeps validation scores by epoch and the seconds spent, across interruptions."""

    def __init__(self, progress: RunProgress, label: str, predictions: tuple[str, ...]) -> None:
        self.scores: dict[str, list[float]] = {}
        self.seconds = 0.0
        self.epochs_before = 0  # of the rule that learned first
        self._predictions = predictions
        self._progress = progress
        self._label = label
        self._since = self._said = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"accuracy": self.scores, "seconds": self.seconds + time.perf_counter() - self._since}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.scores, self.seconds = state_dict["accuracy"], state_dict["seconds"]

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._since = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        if time.perf_counter() < self._said + _EVERY:
            return
        self._said = time.perf_counter()
        batch = trainer.fit_loop.epoch_loop.batch_idx + 1
        self._progress.step(self.epochs_before + trainer.current_epoch + batch / trainer.num_training_batches)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, SpikingModule)
        for name in self._predictions:  # of the rule that learns first all are its own
            own = name if name in pl_module.predictions else pl_module.predictions[0]
            value = float(trainer.callback_metrics[f"val_{own}_{pl_module.task.score}"])
            self.scores.setdefault(name, []).append(value)
        self._progress.say(validation_line(self._label, self.scores, pl_module.task.score))

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.seconds += time.perf_counter() - self._since


class _Speed(L.Callback):
    """Says once a rule what has become of a network that goes step by step."""

    def __init__(self, progress: RunProgress, label: str | None) -> None:
        self._progress, self._label = progress, label

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        assert isinstance(pl_module, SpikingModule)
        if self._label is not None and pl_module.over_time is not None and pl_module.over_time.said:
            self._progress.note(f"{self._label}: {pl_module.over_time.said}")
        self._label = None


def validation_line(name: str, history: dict[str, list[float]], score: str) -> str:
    """Return the last validation score of every prediction of a run but a draw's, which is a noisy ensemble of one."""
    several = len(history) > 1
    values = {
        prediction: f"{100 * of[-1]:.1f} %" if score == "accuracy" else f"{of[-1]:.3f}"
        for prediction, of in history.items()
        if prediction != "draw"
    }
    shown = [f"{prediction + ' ' if several else ''}{value}" for prediction, value in values.items()]
    return f"{name:<22} validation {score} {', '.join(shown)}"
