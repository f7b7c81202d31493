"""Tunings as YAML files: those that ship, and a user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snntorch_binary.experiments.config import made_of_file, path_of, read_file, shipped, with_arguments
from snntorch_binary.experiments.description import READING
from snntorch_binary.experiments.tune.tuning import Tuning, make_tuning

SHIPPED = Path(__file__).parent / "configs"


def _file(
    space: dict[str, Any],
    metric: str,
    mode: str,
    interval: int,
    network: dict[str, Any] | str | None = None,
    rule: dict[str, Any] | str | None = None,
    model: dict[str, Any] | str | None = None,
    data: dict[str, Any] | str | None = None,
    name: str | None = None,
    epochs: int = 20,
    batch_size: int = 50,
    seeds: list[int] = [0],  # noqa: B006  # a signature only, of what a file may say
    fixed: bool = True,
    population: int = 8,
    quantile: float = 0.25,
    resample: float = 0.25,
    factors: tuple[float, float] = (0.8, 1.2),
    start: list[dict[str, float]] = [],  # noqa: B006  # a signature only
    synchronous: bool = True,
    slots: int | None = None,
    cpus: int = 1,
    gpus: float = 0.0,
    address: str | None = None,
    credit: str = "through-time",
    readout: str = "auto",
    readout_scale: float | None = None,
    step: bool | None = None,
    time_dim: int | None = None,
) -> None:
    """What a file may say."""


_OF_NETWORKS = ("credit", *READING)


def read_tuning(config: str | Path, *, data_dir: str | None = None, **changes: Any) -> Tuning:
    """Return the tuning of a YAML file, or of one that ships by its name.

    Args:
        config: path or name.
        data_dir: folder of the data set.
        **changes: values in place of the file's, by name; ``None`` leaves the file's.

    Raises:
        ValueError: there is no such file, or it says something that is not understood.

    Example:
        >>> read_tuning("digits-bayes-pbt", population=4).plan.population
        4
    """
    known = shipped(SHIPPED)
    path = path_of(config, known)
    values = read_file(path, _file, "CONFIG")
    values |= {name: value for name, value in changes.items() if value is not None}
    values["name"] = values["name"] or path.stem
    if values["data"] is not None:
        values["data"] = with_arguments(values["data"], {"data_dir": data_dir})
    if values["model"] is not None:
        values = {name: value for name, value in values.items() if name not in _OF_NETWORKS}
    return made_of_file(make_tuning, path, values, ships=path in known.values())
