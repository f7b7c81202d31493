"""What a federation of online devices is: one YAML file with ``online: true``, checked before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from snntorch_binary._errors import expected
from snntorch_binary.federated.online_device import CountedSince
from snntorch_binary.federated.selective import num_selected
from snntorch_binary.federated.settings import made, made_methods, read_values
from snntorch_binary.nn import RaisedCosine

NUM_BASIS = RaisedCosine().num


@dataclass(frozen=True)
class ExchangeMethod:
    """How devices exchange what they learn.

    Attributes:
        tau: local steps between two exchanges; 0 for devices that never meet.
        rate: weights per synapse and local step, see :func:`snntorch_binary.federated.num_selected`.
        counted_since: see :class:`snntorch_binary.federated.OnlineDevice`.
    """

    tau: int = 0
    rate: float = 1.0
    counted_since: str = "sent"

    def __post_init__(self) -> None:
        if self.tau != 0:
            num_selected(self.tau, self.rate, NUM_BASIS)
        if self.counted_since not in get_args(CountedSince):
            raise ValueError(expected("counted_since", "'sent' or 'exchange'", repr(self.counted_since)))

    @property
    def num_selected(self) -> int:
        """How many of the basis functions an exchange has room for."""
        return num_selected(self.tau, self.rate, NUM_BASIS) if self.tau else 0


@dataclass(frozen=True)
class OnlineSettings:
    """Devices that see one class each. Equal settings mean equal results.

    Attributes:
        data: arguments of :func:`snntorch_binary.data.load`: the ``name`` of an event set and at least two ``classes``.
        methods: what is compared, by name.
        num_local_steps: local steps of each device, at least any tau.
        hidden: hidden circuits.
        window: time steps in a local step.
        lr: learning rate.
        kappa: smoothing of eligibility and learning signal.
        feedback: see :class:`snntorch_binary.nn.WTANetwork`.
        join: join so many time steps of the data to one, in which a pixel spikes where it did in any of them.
        num_samples: free runs in the ensemble.
        curves: which methods form a line of the picture, by its name.
        seeds: one run of every method each.
        online: says that a YAML file is of this kind.
    """

    data: dict[str, Any]
    methods: dict[str, ExchangeMethod]
    num_local_steps: int = 2000
    hidden: int = 0
    window: int = 1
    lr: float = 0.01
    kappa: float = 0.05
    feedback: str = "none"
    join: int = 1
    num_samples: int = 10
    curves: dict[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1, 2)
    online: bool = True

    def __post_init__(self) -> None:
        for name in ("num_local_steps", "window", "join", "num_samples"):
            if getattr(self, name) < 1:
                raise ValueError(expected(name, "a positive integer", getattr(self, name)))
        if self.hidden < 0:
            raise ValueError(expected("hidden", "an integer of at least 0", self.hidden))
        classes = self.data.get("classes")
        if "name" not in self.data or not isinstance(classes, list | tuple) or len(classes) < 2:
            raise ValueError(expected("data", "with the name of a data set and at least two classes", self.data))
        if not self.methods:
            raise ValueError(expected("methods", "at least one", "none"))
        for name, method in self.methods.items():
            if method.tau > self.num_local_steps:
                what = f"at most num_local_steps = {self.num_local_steps}"
                raise ValueError(expected(f"methods.{name}.tau", what, method.tau))
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(expected("seeds", "different integers of at least 0", self.seeds))

    def fingerprint(self) -> dict[str, Any]:
        """Return all that the result of one run depends on, as plain values; the rest may change in a folder."""
        values = asdict(self)
        for name in ("methods", "seeds", "curves"):
            del values[name]
        values["data"] = {key: value for key, value in self.data.items() if key != "data_dir"}
        return dict(json.loads(json.dumps(values)))


def is_online(config: str | Path) -> bool:
    """Say whether a YAML file, or one that ships with the package, is of online devices."""
    return read_values(config).get("online") is True


def read_online_settings(
    config: str | Path,
    *,
    data_dir: str | None = None,
    methods: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    limit_per_class: int | None = None,
) -> OnlineSettings:
    """Read a YAML file, or one that ships with the package by its name.

    Args:
        config: path or name.
        data_dir: folder of the data set.
        methods: names of some of the file's methods.
        seeds: in place of the file's.
        limit_per_class: at most that many examples of each class and part.

    Raises:
        ValueError: there is no such file, or it says something that is not understood.
    """
    values = read_values(config)
    if "methods" in values:
        values["methods"] = made_methods(ExchangeMethod, values["methods"])
    if isinstance(values.get("data"), dict):
        changes = {"data_dir": data_dir, "limit_per_class": limit_per_class}
        values["data"] = {**values["data"], **{key: value for key, value in changes.items() if value is not None}}
    if seeds is not None:
        values["seeds"] = list(seeds)
    settings = made(OnlineSettings, "CONFIG", values)
    unknown = [name for name in methods or () if name not in settings.methods]
    if unknown:
        raise ValueError(expected("--methods", f"some of {', '.join(settings.methods)}", repr(unknown[0])))
    for name, members in settings.curves.items():
        if not isinstance(members, list) or any(member not in settings.methods for member in members):
            raise ValueError(expected(f"curves.{name}", f"a list of some of {', '.join(settings.methods)}", members))
    if methods is None:
        return settings
    return replace(settings, methods={name: settings.methods[name] for name in methods})
