"""What an experiment learns from: a data set by name, or whatever a user's function returns, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import lightning as L
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from snntorch_binary._errors import expected, in_one_line
from snntorch_binary.data import Splits, collate, load
from snntorch_binary.experiments.named import Named, typed
from snntorch_binary.experiments.noise import seed_all
from snntorch_binary.experiments.parts import (
    PARTS,
    Collate,
    Look,
    classes_of,
    look_at,
    named_parts,
    part_of,
    same_shape,
)
from snntorch_binary.lightning.data import SeededSampler

Batches = Iterable[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class LoadedData:
    """Three parts of a data set in batches ``(x, labels)``, x as the network takes it.

    Attributes:
        train: maps (batch size, seed) to batches in a new order each epoch.
        validation: returns the batches of the validation part.
        test: returns those of the test part.
        num_classes: classes C, or ``None`` for real targets.
        input_shape: shape of one example in one time step, as far as it is known.
        num_steps: time steps T, or ``None`` where an example has none of its own.
        class_names: C names, or none.
        splits: the data set as :func:`snntorch_binary.data.load` gives it, where it is one of those.
    """

    train: Callable[[int, int], Batches]
    validation: Callable[[], Batches]
    test: Callable[[], Batches]
    num_classes: int | None
    input_shape: tuple[int, ...]
    num_steps: int | None = None
    class_names: tuple[str, ...] = ()
    splits: Splits | None = None

    @property
    def regression(self) -> bool:
        """Whether targets are real numbers."""
        return self.num_classes is None

    @property
    def offered(self) -> dict[str, Any]:
        """Return what a network can ask for by the name of a parameter."""
        size = 1
        for each in self.input_shape:
            size *= each
        outputs = 1 if self.num_classes is None else self.num_classes
        shapes = {"input_shape": self.input_shape, "input_size": size, "num_steps": self.num_steps}
        return {**shapes, "num_classes": outputs, "num_outputs": outputs}


@dataclass(frozen=True)
class ShippedData:
    """A data set of :func:`snntorch_binary.data.load`; see there for the arguments."""

    name: str
    data_dir: str | None = None
    num_steps: int | None = None
    classes: tuple[int, ...] | str = "all"
    limit_per_class: int | None = None
    download: bool = False
    encoder: str | None = None
    one_symbol: bool = False

    def __post_init__(self) -> None:
        if self.classes != "all" and len(set(self.classes)) < 2:
            raise ValueError(expected("classes", "all or at least two different labels", self.classes))

    @property
    def label(self) -> str:
        """What tables call it."""
        return self.name

    @property
    def same_parts(self) -> bool:
        """Whether all seeds learn from, and validate on, the same examples."""
        return True

    def load(self, seed: int = 0, fold: int = 0, num_folds: int | None = None) -> LoadedData:
        """Return the data of one run."""
        splits = load(
            self.name,
            self.data_dir,
            num_steps=self.num_steps,
            classes=self.classes,  # type: ignore[arg-type]  # looked at there
            limit_per_class=self.limit_per_class,
            seed=seed,
            fold=fold,
            num_folds=num_folds,
            download=self.download,
            one_symbol=self.one_symbol,
            encoder=self.encoder,
        )
        return of_splits(splits)

    def plain(self) -> dict[str, Any]:
        """Return what results depend on as plain values; not where the files are."""
        found = {key: value for key, value in vars(self).items() if key not in ("data_dir", "download")}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


@dataclass(frozen=True)
class UserData:
    """What a function or class of a user's returns.

    That is three parts, as a mapping of ``train``, ``validation`` and ``test`` (beside which there may be
    ``num_classes`` or ``class_names``), a sequence of the three, :class:`snntorch_binary.data.Splits` or a
    ``LightningDataModule``. A part is a pair of inputs [N, ...] and labels [N] (tensors or arrays), a ``Dataset`` of
    such pairs, whose inputs become float32, or a ``DataLoader``, whose batches are taken as they are. The
    random numbers of torch, numpy and Python start anew before it is called: a split at random is that of all runs.

    Attributes:
        named: the function or class.
        time: where the time steps of an example are: ``"first"``, x [T, ...], which becomes batches [T, B, ...]; or
            ``"none"``, an image x [...], which becomes [B, ...] for a network that makes its own steps of it, or
            ``"batch-first"``, x [T, ...], for one that takes [B, T, ...].
    """

    named: Named
    time: Literal["first", "batch-first", "none"] = "first"
    num_steps: int | None = field(default=None, init=False)
    _looks: dict[int, dict[str, Look]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def label(self) -> str:
        """What tables call it."""
        return self.named.class_path.rpartition(":")[2].rpartition(".")[2]

    @property
    def same_parts(self) -> bool:
        """Whether all seeds learn from, and validate on, the same examples."""
        return not self.named.takes("data", "seed")

    def load(self, seed: int = 0, fold: int = 0, num_folds: int | None = None) -> LoadedData:
        """Return the data of one run.

        Raises:
            ValueError: the function cannot be called, or returns something else.
        """
        if num_folds is not None:
            raise ValueError(
                expected("num_folds", "left out with data of your own, which come in three parts", num_folds)
            )
        with isolate_rng():
            seed_all(0)  # of all runs: a split at random has the same test part in each
            return of_user(self.named.call("data", {"seed": seed}), self.time, self._looks.setdefault(seed, {}))

    def plain(self) -> dict[str, Any]:
        """Return what results depend on as plain values."""
        return {**self.named.plain(), "time": self.time}


Source = ShippedData | UserData


def data_of(given: Any, folder: str | None = None) -> Source:
    """Return the data that a user names: a set by name, a function or class of his own.

    Args:
        given: the name of a set; a mapping with ``name`` and further arguments of :class:`ShippedData`; a mapping with
            ``class_path``, ``init_args`` and ``time``; a function or class; or data themselves.
        folder: where the YAML file lies that names it.

    Raises:
        ValueError: it is none of these, or has unknown keys.
    """
    if isinstance(given, ShippedData | UserData):
        return given
    if isinstance(given, str) and "." not in given:
        return ShippedData(given)
    if isinstance(given, Mapping) and "name" in given:
        return ShippedData(**typed("data", ShippedData, given))
    if isinstance(given, Mapping) and "class_path" in given:
        rest = {key: value for key, value in given.items() if key in ("class_path", "init_args")}
        more = typed("data", _options, {key: value for key, value in given.items() if key not in rest})
        return UserData(Named.of("data", rest, folder), **more)
    if isinstance(given, str) or callable(given):
        return UserData(Named.of("data", given, folder))
    if isinstance(given, Splits | L.LightningDataModule | Sequence | Mapping):
        return UserData(Named("given", {}, None, lambda: given))
    raise ValueError(
        expected("data", "a data set by name, or a function that returns one", in_one_line(repr(given), 100))
    )


def _options(time: Literal["first", "batch-first", "none"] = "first") -> None:
    """What there is beside class_path and init_args."""


def of_splits(splits: Splits) -> LoadedData:
    """Return the parts of a data set that :func:`snntorch_binary.data.load` read."""

    def train(batch_size: int, seed: int) -> DataLoader[tuple[Tensor, Tensor]]:
        sampler = SeededSampler(len(splits.train), seed)
        return DataLoader(splits.train, batch_size=batch_size, sampler=sampler, collate_fn=collate)

    return LoadedData(
        train,
        lambda: in_order(splits.validation),
        lambda: in_order(splits.test),
        None if splits.regression else splits.num_classes,
        splits.input_shape,
        splits.num_steps,
        splits.class_names,
        splits,
    )


def in_order(dataset: Dataset[Any], batch_size: int = 500) -> DataLoader[tuple[Tensor, Tensor]]:
    """Return a set of spikes in its order."""
    return DataLoader(dataset, batch_size=batch_size, collate_fn=collate)


def of_user(found: Any, time: str, looks: dict[str, Look] | None = None) -> LoadedData:
    """Return the three parts in whatever a user's function returned.

    Args:
        found: what it returned.
        time: where the time steps of an example are, see :class:`UserData`.
        looks: what was seen of the parts before, which takes a pass over all examples; what is missing is added.

    Raises:
        ValueError: a part is missing, or something else; shapes differ; there is one class.
    """
    if isinstance(found, Splits):
        return of_splits(found)
    if isinstance(found, L.LightningDataModule):
        time = "first"  # as the module's loaders give them
    given = named_parts(found)
    parts = {name: part_of(name, given[name]) for name in PARTS}
    looks = {} if looks is None else looks
    for name in (name for name in PARTS if name not in looks):
        looks[name] = look_at(name, parts[name])
    shapes = {name: looks[name].shape for name in PARTS}
    shape = same_shape({name: shape for name, shape in shapes.items() if shape is not None})
    labels = torch.cat([looks[name].labels for name in PARTS])
    num_classes, names = classes_of(labels, looks["train"].labels, given)
    steps, features = (None, shape) if time == "none" or not shape else (shape[0], shape[1:])

    def batches(name: str, batch_size: int, seed: int | None) -> Batches:
        part = parts[name]
        if isinstance(part, DataLoader):
            return part
        sampler = None if seed is None else SeededSampler(len(cast(Sized, part)), seed)
        return DataLoader(part, batch_size=batch_size, sampler=sampler, collate_fn=Collate(time == "first"))

    return LoadedData(
        lambda batch_size, seed: batches("train", batch_size, seed),
        lambda: batches("validation", 200, None),
        lambda: batches("test", 200, None),
        num_classes,
        features,
        steps,
        names,
    )
