"""`fit`, `validate` and `test`: Lightning's own command line around this package's modules."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import lightning as L
from jsonargparse import ArgumentError
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.cli import LightningCLI

from snntorch_binary._errors import expected, in_one_line, misspelt
from snntorch_binary._files import remove_parts
from snntorch_binary.checkpoint import check_format
from snntorch_binary.experiments.config import shipped
from snntorch_binary.experiments.description import READING, RunDescription, has_numbers, weights_of
from snntorch_binary.experiments.named import Named
from snntorch_binary.lightning.data import SpikeDataModule
from snntorch_binary.lightning.plain_checkpoints import (
    PlainCheckpoints,
    Restored,
    differing_arguments,
    read_checkpoint,
    restoring,
)
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.lightning.spiking_module import SpikingModule

_USE = (
    "{what}. CONFIG is a YAML file or one of these, which ship with the package: {names}. Each of its values "
    "can be given on the command line, too: --trainer.max_epochs 5, --data.data_dir D. Example: "
    "snntorch-binary fit --config digits-bayes, then snntorch-binary validate --config digits-bayes --ckpt_path "
    "results/digits-bayes/version_0/checkpoints/last.ckpt, or snntorch-binary test --config digits-bayes with the same"
)


def run(arguments: list[str], commands: dict[str, str]) -> None:
    """Run one of Lightning's commands.

    Args:
        arguments: the command and what follows it.
        commands: what each command does, by name.

    Raises:
        ValueError: there is no such option or file, or a value is out of its range.
    """
    names = ", ".join(sorted(shipped_configs()))
    asks_for_help = {"-h", "--help"} & set(arguments)
    if not asks_for_help and not any(word.split("=")[0] in ("-c", "--config") for word in arguments):
        raise ValueError(expected("--config", f"given: a YAML file or one of {names}", "none"))
    with quiet():
        try:
            _CommandLine(
                SpikingModule,
                SpikeDataModule,
                subclass_mode_model=True,
                trainer_defaults={"enable_model_summary": False, "callbacks": [_Progress()]},
                parser_kwargs={
                    "exit_on_error": False,
                    **{
                        name: {
                            "exit_on_error": False,
                            "usage": f"snntorch-binary {name} --config CONFIG [--SECTION.KEY VALUE ...]",
                            "description": _USE.format(what=what[0].upper() + what[1:], names=names),
                        }
                        for name, what in commands.items()
                    },
                },
                save_config_kwargs={"overwrite": True},
                load_from_checkpoint_support=False,  # else class paths go into every checkpoint
                args=_with_shipped_configs(arguments),
            )
        except (ArgumentError, ValueError) as error:
            raise ValueError(sentence(error)) from None


def sentence(error: Exception) -> str:
    """Return what a user can act on: of an optional class, not that it might have been None instead."""
    text = in_one_line(str(error))
    return text.split(" - Expected a <class '")[0].split(" Errors: - ")[-1]


def shipped_configs() -> dict[str, Path]:
    """Return the configurations that ship with the package, by name."""
    return shipped(Path(__file__).parent / "configs")


def _with_shipped_configs(arguments: list[str]) -> list[str]:
    """Let ``--config digits-bayes`` name a file that ships with the package.

    Raises:
        ValueError: there is neither such a file nor such a shipped one.
    """
    known = shipped_configs()
    resolved = []
    for index, word in enumerate(arguments):
        option, equals, name = word.partition("=")
        if index > 0 and arguments[index - 1] in ("-c", "--config"):
            option, equals, name = "", "", word
        elif option not in ("-c", "--config") or not equals:
            resolved.append(word)
            continue
        if not Path(name).is_file():
            if name not in known:
                what = f"a YAML file or one of {', '.join(known)}"
                raise ValueError(expected("--config", what, misspelt(name, known)))
            name = str(known[name])
        resolved.append(option + equals + name)
    return resolved


class _Progress(RichProgressBar):
    """A bar while there is a terminal, and a line for every epoch."""

    def __init__(self) -> None:
        super().__init__(leave=False)
        self._said = False
        if not sys.stdout.isatty():
            self.disable()

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        return {}

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        over_time = pl_module.over_time
        if over_time is not None and over_time.said and not self._said and trainer.is_global_zero:
            print(over_time.said, flush=True)
            self._said = True

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        measured = trainer.callback_metrics
        words = [
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}",
            f"loss {measured['train_loss']:.3f}",
        ]
        accuracies = [
            f"{name.removeprefix('val_').removesuffix('accuracy').replace('_', ' ')}{100 * value:.1f} %"
            for name, value in measured.items()
            if name.startswith("val_") and name.endswith("accuracy")
        ]
        if accuracies:
            words.append(f"validation accuracy {', '.join(accuracies)}")
        if trainer.is_global_zero:
            print("  ".join(words), flush=True)


class _Description(L.Callback):
    """Writes what a network is beside its first checkpoint, when the logger has made its folder."""

    def __init__(self, described: RunDescription) -> None:
        self._described = described

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.log_dir is not None and trainer.is_global_zero:
            folder = Path(trainer.log_dir)
            for run in folder.parent.glob("version_*"):  # Lightning gives every run a folder of its own
                for of_killed in (run, run / "checkpoints"):
                    remove_parts(of_killed)
            self._described.write(folder)


class _CommandLine(LightningCLI):
    """Lightning's command line, which says where it left its files, and takes a checkpoint for data.

    Lightning's own lets a checkpoint change the configuration, the classes of the network included.
    """

    def _parse_ckpt_path(self) -> None:
        """Leave the configuration as the user has given it."""

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        given = self.config_init[self.subcommand]["trainer"]
        if given.get("enable_progress_bar") is False:
            self.trainer_defaults = {**self.trainer_defaults, "callbacks": []}
        plugins = given.get("plugins") or []
        plugins = plugins if isinstance(plugins, list) else [plugins]
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            kwargs["plugins"] = [*plugins, PlainCheckpoints()]
        self._restored = Restored()
        trainer: Any = super().instantiate_trainer(**kwargs)
        trainer.callbacks.append(self._restored)
        return trainer

    def before_instantiate_classes(self) -> None:
        self.config[self.subcommand]["weights_only"] = True  # a checkpoint is data, never code
        path = self._checkpoint_path()
        if path is None:
            return
        if not Path(path).exists():
            raise ValueError(expected("--ckpt_path", "an existing checkpoint", repr(str(path))))
        checkpoint = read_checkpoint(path)  # a damaged one is found out before anything is made
        check_format(checkpoint, Path(path))
        self._saved = checkpoint.get("hyper_parameters")

    def _checkpoint_path(self) -> str | None:
        path = self.config[self.subcommand].get("ckpt_path")
        return None if not path or path in ("best", "last", "hpc", "registry") else str(path)

    def after_instantiate_classes(self) -> None:
        self.datamodule.setup()  # a set that cannot be read is found out before a folder for the run is made
        path = self._checkpoint_path()
        if self.subcommand != "fit" and not self.config[self.subcommand].get("ckpt_path"):
            note = "without --ckpt_path this is a network that has not been trained"
            print(f"snntorch-binary: note: {note}.", file=sys.stderr)
        if path is not None and self.subcommand != "fit":
            different = differing_arguments(self._saved, self.model.hparams)
            if different:
                print(f"snntorch-binary: note: {path} was {different}, as the configuration says.", file=sys.stderr)

    def before_fit(self) -> None:
        """Have it written beside the weights what they are of."""
        described = describe(self.model, self.config["fit"], self.datamodule)
        callbacks: list[Any] = self.trainer.callbacks  # type: ignore[attr-defined]  # Lightning adds it as it runs
        callbacks.insert(0, _Description(described))

    def _run_subcommand(self, subcommand: str) -> None:
        with restoring(self.config[subcommand].get("ckpt_path"), self._restored):
            super()._run_subcommand(subcommand)

    def after_fit(self) -> None:
        self._say_where("config.yaml" if self.trainer.logger is None else "metrics.csv and config.yaml")
        checkpoint = getattr(self.trainer.checkpoint_callback, "best_model_path", "")
        if checkpoint and self.trainer.is_global_zero:
            print(f"Checkpoint for --ckpt_path: {_short(checkpoint)}")

    def _say_where(self, files: str) -> None:
        if self.trainer.log_dir is not None and self.trainer.is_global_zero:
            print(f"Written to {_short(self.trainer.log_dir)}: {files}")


def _short(path: str | Path) -> str:
    """Return a path as seen from the current folder, if it lies below it."""
    path, here = Path(path).absolute(), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def describe(module: SpikingModule, config: Any, data: SpikeDataModule) -> RunDescription:
    """Return what a run of `fit` is of, from its configuration."""
    network = config["model"]["init_args"].get("net")
    assert data.splits is not None
    splits = data.splits
    return RunDescription(
        Named.of("model.init_args.net", network.as_dict() if hasattr(network, "as_dict") else network),
        _RULES.get(type(module).__name__, type(module).__name__),
        weights_of(module.net),
        None if splits.regression else splits.num_classes,
        splits.class_names,
        _data_of(data),
        splits.input_shape,
        splits.num_steps,
        {name: getattr(module, name) for name in READING},
        getattr(module, "num_test_samples", 1),
        shown_numbers=has_numbers(splits.train[0][0]),
    )


_RULES = {
    "SpikingModule": "full-precision",
    "STBiSNN": "st",
    "BayesBiSNN": "bayes",
    "BalancedBayes": "balanced-bayes",
    "BalancedTrajectory": "trajectory",
}


def _data_of(data: SpikeDataModule) -> dict[str, Any]:
    """Return the data set as plain values; an encoder by its name, where it is one that has a name."""
    encoders = {"RateEncoder": "rate", "SignedRateEncoder": "signed-rate", "LatencyEncoder": "latency"}
    name = {**encoders, "DirectEncoder": "direct"}.get(type(data.encoder).__name__)
    shared = ("num_steps", "limit_per_class", "one_symbol")
    found: dict[str, Any] = {key: getattr(data, key) for key in shared}
    classes = data.classes if isinstance(data.classes, str) else list(data.classes)
    return {"name": data.dataset, "classes": classes, "encoder": name, **found}
