"""Federations as YAML files: those that ship, and a user's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snntorch_binary._errors import expected, misspelt
from snntorch_binary.experiments.config import made_of_file, path_of, read_file, shipped, with_arguments
from snntorch_binary.experiments.federate.federation import Federation, make_federation

SHIPPED = Path(__file__).parent / "configs"
_PROTECTIONS = ("local_privacy", "secure_aggregation")


def _file(
    network: dict[str, Any] | str,
    data: dict[str, Any] | str,
    methods: dict[Any, Any],
    name: str | None = None,
    partition: dict[str, Any] | str = "snntorch_binary.federated.IID",
    num_clients: int = 10,
    clients_per_round: int = 2,
    num_rounds: int = 30,
    local_epochs: int = 1,
    batch_size: int = 32,
    drop_last: bool = False,
    uniform: bool = False,
    stragglers: float = 0.0,
    gradient_noise: float = 0.0,
    lr_drops: list[int] = [],  # noqa: B006  # a signature only, of what a file may say
    lr_drop: float = 5.0,
    label_shift: bool = False,
    temperature: float = 1.0,
    evaluate_every: int = 1,
    evaluation_batch_size: int = 500,
    seeds: list[int] = [0, 1, 2],  # noqa: B006  # a signature only
    engine: str = "in-process",
    local_privacy: Any = "absent",
    secure_aggregation: Any = "absent",
    credit: str = "through-time",
    readout: str = "auto",
    readout_scale: float | None = None,
    step: bool | None = None,
    time_dim: int | None = None,
) -> None:
    """What a file may say."""


def read_federation(
    config: str | Path,
    *,
    data_dir: str | None = None,
    limit_per_class: int | None = None,
    methods: Sequence[str] | None = None,
    **changes: Any,
) -> Federation:
    """Return the federation of a YAML file, or of one that ships by its name.

    Args:
        config: path or name.
        data_dir: folder of the data set.
        limit_per_class: at most that many examples of each class and part.
        methods: names of some of the file's methods.
        **changes: values in place of the file's, by name; ``None`` leaves the file's.

    Raises:
        ValueError: there is no such file, or it says something that is not understood.

    Example:
        >>> list(read_federation("digits-5-clients", methods=["bayes-product"]).methods)
        ['bayes-product']
    """
    known = shipped(SHIPPED)
    path = path_of(config, known)
    values = read_file(path, _file, "CONFIG")
    values |= {name: value for name, value in changes.items() if value is not None}
    values["data"] = with_arguments(values["data"], {"data_dir": data_dir, "limit_per_class": limit_per_class})
    values["methods"] = chosen(values["methods"], methods)
    for name in _PROTECTIONS:
        if values[name] is None:  # "name:" alone would leave a protection away without a word
            raise ValueError(expected(name, "with settings, such as {}, or not to be there", "nothing"))
        values[name] = None if values[name] == "absent" else values[name]
    return made_of_file(make_federation, path, values, ships=path in known.values())


def chosen(methods: Mapping[Any, Any], names: Sequence[str] | None) -> dict[Any, Any]:
    """Return some of a file's methods, or all.

    Raises:
        ValueError: there is none of a name.
    """
    for name in names or ():
        if name not in methods:
            raise ValueError(expected("--methods", f"some of {', '.join(map(str, methods))}", misspelt(name, methods)))
    return dict(methods) if names is None else {name: methods[name] for name in names}
