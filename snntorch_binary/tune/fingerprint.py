"""What the results of a population depend on, as plain values: a folder of results is read with the same ones only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import lightning as L
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from snntorch_binary.tune.interval import ModuleFactory
from snntorch_binary.tune.plan import Plan
from snntorch_binary.tune.space import Space

_MAY_CHANGE = ("data_dir", "download")


def fingerprint(
    module_factory: ModuleFactory,
    data: L.LightningDataModule | None,
    space: Space,
    plan: Plan,
    config: Mapping[str, Any],
) -> dict[str, Any]:
    """Return plan, space, model and data as plain values; nothing is trained, and no data are read.

    Args:
        module_factory: makes the module, which is looked at where ``config`` has no section ``model``.
        data: is looked at where ``config`` has no section ``data``.
        space: the ranges of the hyper-parameters.
        plan: what the population does.
        config: sections ``model`` and ``data`` of a configuration, if there are such.
    """
    if "model" in config:
        model = config["model"]
    else:
        with isolate_rng():
            module = module_factory()
        model = {**_identity(module), "layers": str(module)}
    found = {
        "plan": plan.plain(),
        "space": {name: asdict(of_name) for name, of_name in space.items()},
        "model": model,
        "data": _without_places(config["data"]) if "data" in config else None if data is None else _identity(data),
    }
    return {name: _plain(value) for name, value in found.items()}


def _plain(value: Any) -> Any:
    """Return a value so that equal ones are written equally in every process."""
    if isinstance(value, Mapping):
        return {str(key): _plain(of_key) for key, of_key in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if isinstance(value, Tensor):
        return value.tolist()
    if value is None or isinstance(value, bool | int | float):
        return value
    # Objects are told by how they are printed, without their addresses, which are others in every process.
    return re.sub(r" at 0x[0-9a-f]+", "", value if isinstance(value, str) else repr(value))


def _identity(of: L.LightningModule | L.LightningDataModule) -> dict[str, Any]:
    kind = type(of)
    return {"class": f"{kind.__module__}.{kind.__qualname__}", "hyper_parameters": _without_places(of.hparams)}


def _without_places(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of data but for where they lie."""
    return {name: value for name, value in values.items() if name not in _MAY_CHANGE}
