"""Federations of online devices as YAML files: those that ship, and a user's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from snntorch_binary._errors import expected
from snntorch_binary.experiments.config import made_of_file, path_of, read_file, shipped, with_arguments
from snntorch_binary.experiments.experiment import check_method_name
from snntorch_binary.experiments.federate.config import SHIPPED as OF_NETWORKS
from snntorch_binary.experiments.federate.config import chosen
from snntorch_binary.experiments.fl_snn.federation import OnlineFederation, make_online_federation
from snntorch_binary.nn.wta.network import Feedback

SHIPPED = Path(__file__).parent / "configs"


def _file(
    data: dict[str, Any] | str,
    methods: dict[Any, Any],
    online: bool = True,
    name: str | None = None,
    num_local_steps: int = 2000,
    hidden: int = 0,
    window: int = 1,
    lr: float = 0.01,
    kappa: float = 0.05,
    feedback: Feedback = "none",
    join: int = 1,
    num_samples: int = 10,
    curves: dict[str, list[str]] = {},  # noqa: B006  # a signature only, of what a file may say
    seeds: list[int] = [0, 1, 2],  # noqa: B006  # a signature only
) -> None:
    """What a file may say."""


def is_online(config: str | Path) -> bool:
    """Say whether a YAML file, or one that ships, is of online devices: by its ``online: true``.

    Raises:
        ValueError: there is no such file.
    """
    path = path_of(config, {**shipped(OF_NETWORKS), **shipped(SHIPPED)})
    try:
        values = yaml.safe_load(path.read_text(encoding="utf8"))
    except (yaml.YAMLError, UnicodeDecodeError):  # said by whoever reads it
        return False
    return isinstance(values, dict) and values.get("online") is True


def read_online_federation(
    config: str | Path,
    *,
    data_dir: str | None = None,
    limit_per_class: int | None = None,
    methods: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
) -> OnlineFederation:
    """Return the federation of a YAML file, or of one that ships by its name.

    Args:
        config: path or name.
        data_dir: folder of the data set.
        limit_per_class: at most that many examples of each class and part.
        methods: names of some of the file's methods.
        seeds: in place of the file's.

    Raises:
        ValueError: there is no such file, or it says something that is not understood.
    """
    known = shipped(SHIPPED)
    path = path_of(config, known)
    values = read_file(path, _file, "CONFIG")
    if not values.pop("online"):
        raise ValueError(expected("online", "true in a file of online devices", "false"))
    for name in values["methods"]:
        check_method_name(name)
    for name, members in values["curves"].items():
        if any(member not in values["methods"] for member in members):
            raise ValueError(
                expected(f"curves.{name}", f"a list of some of {', '.join(map(str, values['methods']))}", members)
            )
    values["data"] = with_arguments(values["data"], {"data_dir": data_dir, "limit_per_class": limit_per_class})
    values["methods"] = chosen(values["methods"], methods)
    values["seeds"] = values["seeds"] if seeds is None else seeds
    return made_of_file(make_online_federation, path, values, ships=path in known.values())
