"""What a federation is: one YAML file, checked before anything is trained."""

from __future__ import annotations

import json
import math
import re
import warnings
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from snntorch_binary._errors import expected, require

Built = TypeVar("Built")

ENGINES = ("in-process", "ray")
FEWEST_SUMMED, MOST_SUMMED = 3, 1023
"""Clients a round with secure aggregation: two would know each other's, and Flower's sums of 32 bits hold no more."""


@dataclass(frozen=True)
class Method:
    """One way to learn the network federatedly.

    Attributes:
        model: ``class_path`` and ``init_args`` of a :class:`snntorch_binary.lightning.SpikingModule`, or of a plain
            network that returns class scores.
        aggregation: the same of an :class:`snntorch_binary.federated.Aggregation`.
        data: arguments of :func:`snntorch_binary.data.load` in which this method's input differs from the others':
            ``num_steps``, ``encoder``.
    """

    model: dict[str, Any]
    aggregation: dict[str, Any] = field(default_factory=lambda: {"class_path": "snntorch_binary.federated.Average"})
    data: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.data.keys() <= {"num_steps", "encoder"}:
            raise ValueError(expected("data", "num_steps or encoder, where it is a method's own", self.data))


@dataclass(frozen=True)
class LocalPrivacy:
    """Flower's local differential privacy: each client clips its update and adds noise before it is sent.

    On all that the network learns; see :class:`snntorch_binary.federated.flower.local_privacy.LocalPrivacyModifier`.

    Attributes:
        clipping_norm: bound on the update's norm, positive.
        sensitivity: of the update, at least 0.
        epsilon: privacy budget, positive; small is private.
        delta: probability that the guarantee fails, in (0, 1).
    """

    clipping_norm: float
    sensitivity: float
    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        for name in ("clipping_norm", "epsilon", "delta"):
            if not getattr(self, name) > 0:
                raise ValueError(expected(name, "a positive float", getattr(self, name)))
        if not self.delta < 1:
            raise ValueError(expected("delta", "a float in (0, 1)", self.delta))
        if not self.sensitivity >= 0:
            raise ValueError(expected("sensitivity", "a float of at least 0", self.sensitivity))


@dataclass(frozen=True)
class SecureAggregation:
    """Flower's secure aggregation: a server that follows the protocol learns the mean of what clients send only.

    See :mod:`snntorch_binary.federated.flower.secure_aggregation` for what it does not withstand.

    Attributes:
        num_shares: with how many clients each one exchanges masks and shares of its keys, as a part of a round's
            clients, in (0, 1]. Less than 1 is faster with many clients, but where many are lost the server may learn
            the means of groups.
        reconstruction_threshold: part of the shares that are needed to take the masks away, in (0, 1]: more is safer
            against clients that work together with the server, less lets more clients be lost in a round.
        clipping_range: bound on the change of a number in a round, positive. Changes, weighted by the client's part of
            the largest number of examples in the round, are rounded to multiples of its 2,097,152nd part, at random so
            that the mean is right on average.
    """

    num_shares: float = 1.0
    reconstruction_threshold: float = 0.6
    clipping_range: float = 8.0

    def __post_init__(self) -> None:
        for name in ("num_shares", "reconstruction_threshold"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(expected(name, "a float in (0, 1]", getattr(self, name)))
        if not 0 < self.clipping_range < math.inf:
            raise ValueError(expected("clipping_range", "a positive float", self.clipping_range))


@dataclass(frozen=True)
class FederationSettings:
    """A federation. Equal settings mean equal results.

    Attributes:
        data: arguments of :func:`snntorch_binary.data.load`, at least its ``name``.
        methods: what is compared, by name.
        partition: ``class_path`` and ``init_args`` of a :class:`snntorch_binary.federated.Partition`.
        num_clients: clients K.
        clients_per_round: of which so many learn in a round.
        num_rounds: rounds.
        local_epochs: passes over its examples that a client makes in a round.
        batch_size: examples per step.
        drop_last: leave out a client's last, smaller batch.
        uniform: let every client count the same, whatever its number of examples.
        stragglers: probability that a client answers too late to count.
        gradient_noise: σ of the noise on updates, see :func:`snntorch_binary.federated.with_noise`.
        lr_drops: rounds after which all learning rates are divided by ``lr_drop``.
        lr_drop: their divisor.
        label_shift: let each client's loss take account of its own shares of the classes, see
            :mod:`snntorch_binary.federated.label_shift`.
        temperature: of posteriors whose module has ``rho=None``.
        evaluate_every: rounds from one look at the validation data to the next.
        evaluation_batch_size: examples whose answer is computed at once; fewer need less memory.
        seeds: one run of every method each.
        engine: ``"in-process"``, or ``"ray"`` for Flower's simulation engine.
        local_privacy: Flower's local differential privacy, or ``None``.
        secure_aggregation: Flower's secure aggregation, or ``None``.
    """

    data: dict[str, Any]
    methods: dict[str, Method]
    partition: dict[str, Any] = field(default_factory=lambda: {"class_path": "snntorch_binary.federated.IID"})
    num_clients: int = 10
    clients_per_round: int = 2
    num_rounds: int = 30
    local_epochs: int = 1
    batch_size: int = 32
    drop_last: bool = False
    uniform: bool = False
    stragglers: float = 0.0
    gradient_noise: float = 0.0
    lr_drops: tuple[int, ...] = ()
    lr_drop: float = 5.0
    label_shift: bool = False
    temperature: float = 1.0
    evaluate_every: int = 1
    evaluation_batch_size: int = 500
    seeds: tuple[int, ...] = (0, 1, 2)
    engine: str = "in-process"
    local_privacy: LocalPrivacy | None = None
    secure_aggregation: SecureAggregation | None = None

    def __post_init__(self) -> None:
        for name in (
            "num_clients",
            "clients_per_round",
            "num_rounds",
            "local_epochs",
            "batch_size",
            "evaluate_every",
            "evaluation_batch_size",
        ):
            if getattr(self, name) < 1:
                raise ValueError(expected(name, "a positive integer", getattr(self, name)))
        if self.clients_per_round > self.num_clients:
            what = f"at most {self.num_clients}, the number of clients"
            raise ValueError(expected("clients_per_round", what, self.clients_per_round))
        for name in ("stragglers",):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(expected(name, "a float in [0, 1]", getattr(self, name)))
        for name in ("gradient_noise", "temperature"):
            if not getattr(self, name) >= 0:
                raise ValueError(expected(name, "a float of at least 0", getattr(self, name)))
        if not self.lr_drop > 0:
            raise ValueError(expected("lr_drop", "a positive float", self.lr_drop))
        if not self.methods:
            raise ValueError(expected("methods", "at least one", "none"))
        if "name" not in self.data:
            raise ValueError(expected("data", "with the name of a data set", self.data))
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(expected("seeds", "different integers of at least 0", self.seeds))
        if self.engine not in ENGINES:
            raise ValueError(expected("engine", f"one of {', '.join(ENGINES)}", repr(self.engine)))
        if self.secure_aggregation is not None:
            if not FEWEST_SUMMED <= self.clients_per_round <= MOST_SUMMED:
                what = f"from {FEWEST_SUMMED} to {MOST_SUMMED} with secure_aggregation"
                raise ValueError(expected("clients_per_round", what, self.clients_per_round))
            for name in ("stragglers", "gradient_noise"):
                if getattr(self, name):
                    what = "0 with secure_aggregation, where the server sees no single answer"
                    raise ValueError(expected(name, what, getattr(self, name)))

    def lr_factor(self, round: int) -> float:
        """Return what all learning rates are multiplied with in a round, from 1."""
        return self.lr_drop ** -sum(round > drop for drop in self.lr_drops)

    def fingerprint(self) -> dict[str, Any]:
        """Return all that the result of one run depends on, as plain values; the rest may change in a folder."""
        values = asdict(self)
        for name in ("methods", "seeds", "engine"):
            del values[name]
        values["data"] = {key: value for key, value in self.data.items() if key not in ("data_dir", "download")}
        return dict(json.loads(json.dumps(values)))


def shipped_configs() -> dict[str, Path]:
    """Return the configurations that ship with the package, by name."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "configs").glob("*.yaml"))}


def read_values(config: str | Path) -> dict[str, Any]:
    """Read a YAML file, or one that ships with the package by its name.

    Raises:
        ValueError: there is no such file, or it is none of settings.
        MissingPackageError: PyYAML is not installed.
    """
    yaml = require("yaml", "lightning")
    path = Path(config)
    if not path.is_file():
        shipped = shipped_configs()
        if str(config) not in shipped:
            what = f"a YAML file or one of {', '.join(shipped)}"
            raise ValueError(expected("CONFIG", what, repr(str(config))))
        path = shipped[str(config)]
    try:
        values = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML file: {' '.join(str(error).split())}.") from None
    if not isinstance(values, dict):
        raise ValueError(expected("CONFIG", "a YAML file of settings", repr(str(config))))
    return values


def read_settings(config: str | Path, **changes: Any) -> FederationSettings:
    """Read a YAML file, or one that ships with the package by its name.

    Args:
        config: path or name.
        changes: values that replace the file's; ``None`` leaves the file's.

    Raises:
        ValueError: there is no such file, or it says something that is not understood.
        MissingPackageError: PyYAML is not installed.
    """
    values = read_values(config)
    values.update({name: value for name, value in changes.items() if value is not None})
    if "methods" in values:
        values["methods"] = made_methods(Method, values["methods"])
    protections: tuple[tuple[str, Any], ...] = (
        ("local_privacy", LocalPrivacy),
        ("secure_aggregation", SecureAggregation),
    )
    for name, kind in protections:
        if name not in values:
            continue
        if values[name] is None:  # "name:" alone would leave a protection away without a word
            raise ValueError(expected(name, "with settings, such as {}, or not to be there", "nothing"))
        values[name] = made(kind, name, values[name])
    return made(FederationSettings, "CONFIG", values)


def made_methods(kind: type[Built], given: Any) -> dict[str, Built]:
    """Return the methods of a YAML file by name, or say what is wrong with them.

    Raises:
        ValueError: they have no names, a name cannot be that of a folder, or see :func:`made`.
    """
    if not isinstance(given, dict):
        raise ValueError(expected("methods", "with methods by name", repr(given)))
    for name in given:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(expected("methods", "with names of letters, digits and - _ .", repr(name)))
    return {name: made(kind, f"methods.{name}", values) for name, values in given.items()}


_NAME = re.compile(r"\w[\w.-]*")
_KINDS = {"int": int, "float": (int, float), "bool": bool, "str": str, "dict[str, Any]": dict}


def made(kind: type[Built], name: str, values: Any) -> Built:
    """Return a dataclass of a YAML file's values, or say which of them is not what it should be.

    Raises:
        ValueError: a key is unknown or missing, or a value is of the wrong type.
    """
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]  # of dataclasses only
    if not isinstance(values, dict):
        raise ValueError(expected(name, f"with some of {', '.join(known)}", repr(values)))
    for key, value in values.items():
        if key not in known:
            raise ValueError(expected(name, f"with some of {', '.join(known)}", repr(key)))
        of_type = str(known[key].type)
        right: Any = _KINDS.get(of_type, object)
        if not isinstance(value, right) or (isinstance(value, bool) and of_type in ("int", "float")):
            raise ValueError(expected(key, f"of type {of_type.partition('[')[0]}", repr(value)))
        if of_type.startswith("tuple"):
            whole = isinstance(value, list) and all(type(number) is int for number in value)
            if not whole:
                raise ValueError(expected(key, "a list of integers", repr(value)))
            values = {**values, key: tuple(value)}
    missing = [
        key for key, each in known.items() if key not in values and each.default is each.default_factory is MISSING
    ]
    if missing:
        raise ValueError(expected(name, f"with {missing[0]}", f"only {', '.join(values) or 'nothing'}"))
    return kind(**values)


def build(spec: dict[str, Any], base: type[Built]) -> Built:
    """Return a new object of a ``class_path`` with its ``init_args``.

    Args:
        spec: ``{"class_path": ..., "init_args": {...}}``, nested as far as it goes.
        base: the class that it must be one of.

    Raises:
        ValueError: there is no such class, or its arguments are wrong.
    """
    jsonargparse = require("jsonargparse", "lightning")
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(base, "it")
    return cast(Built, _instantiated(parser, spec))


def _instantiated(parser: Any, values: dict[str, Any]) -> Any:
    from jsonargparse import ArgumentError

    # Where jsonargparse has the new name of this method, the old one warns.
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return instantiate(parser.parse_object({"it": values})).it
    except (ArgumentError, ValueError, TypeError) as error:
        text = " ".join(str(error).split())
        sentence = text.split(" - Expected a <class 'NoneType'>")[0].split(" Errors: - ")[-1]
        raise ValueError(sentence.removeprefix("Validation failed: ")) from None


def chosen_settings(
    config: str | Path,
    *,
    data_dir: str | None = None,
    methods: str | None = None,
    seeds: str | None = None,
    limit_per_class: int | None = None,
    **changes: Any,
) -> FederationSettings:
    """Read a YAML file, with what a command line says otherwise.

    Args:
        config: path or name.
        data_dir: folder of the data set.
        methods: names of some of the methods, separated by commas.
        seeds: integers separated by commas.
        limit_per_class: at most that many examples of each class and part.
        changes: any other values by name; ``None`` leaves the file's.

    Raises:
        ValueError: a value is wrong.
    """
    numbers = None if seeds is None else seeds_of(seeds)
    settings = read_settings(config, seeds=numbers, **changes)
    data = {**settings.data}
    for name, value in (("data_dir", data_dir), ("limit_per_class", limit_per_class)):
        if value is not None:
            data[name] = value
    names = list(settings.methods) if methods is None else [word.strip() for word in methods.split(",")]
    unknown = [name for name in names if name not in settings.methods]
    if unknown:
        raise ValueError(expected("--methods", f"some of {', '.join(settings.methods)}", repr(unknown[0])))
    return replace(settings, data=data, methods={name: settings.methods[name] for name in names})


def seeds_of(text: str) -> list[int]:
    """Return the seeds that a command line names.

    Raises:
        ValueError: they are no integers.
    """
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise ValueError(expected("--seeds", "integers separated by commas", repr(text))) from None
