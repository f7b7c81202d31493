"""A schedule as a configuration of `snntorch-binary fit`, which needs no Ray."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from snntorch_binary._files import write_text


def replay_config(
    schedule: Mapping[int, Mapping[str, float]], seed: int, noise: int, epochs: int, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the configuration of a training that holds a schedule.

    Args:
        schedule: see :class:`snntorch_binary.lightning.HyperparameterSchedule`.
        seed: of the first weights.
        noise: seed of torch's own noise in each step, see :class:`snntorch_binary.lightning.SeededSteps`.
        epochs: passes over the training part.
        config: its sections ``model`` and ``data``, if there are such; without ``data``, give them with another
            ``--config`` before this one.
    """
    callbacks = [
        {
            "class_path": "snntorch_binary.lightning.HyperparameterSchedule",
            "init_args": {"schedule": {epoch: dict(values) for epoch, values in schedule.items()}},
        },
        {"class_path": "snntorch_binary.lightning.SeededSteps", "init_args": {"seed": noise}},
        {
            "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
            "init_args": {"filename": "last", "enable_version_counter": False},
        },
    ]
    logger = {
        "class_path": "lightning.pytorch.loggers.CSVLogger",
        "init_args": {"save_dir": "results", "name": "replay"},
    }
    return {
        "seed_everything": seed,
        **{name: config[name] for name in ("model", "data") if name in config},
        "trainer": {
            "max_epochs": epochs,
            "devices": 1,
            "num_sanity_val_steps": 0,
            "logger": logger,
            "callbacks": callbacks,
        },
    }


def write_replay(
    path: Path,
    schedule: Mapping[int, Mapping[str, float]],
    seed: int,
    noise: int,
    epochs: int,
    config: Mapping[str, Any],
) -> None:
    """Write it as YAML, whole or not at all."""
    content = replay_config(schedule, seed, noise, epochs, config)
    # safe_dump writes floats so that they are read back as the same, and as plain values only.
    write_text(path, yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120))
