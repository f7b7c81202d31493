"""What an experiment learns from: a data set by name, or whatever a user's function returns, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, default_collate

from snntorch_binary._errors import expected, in_one_line
from snntorch_binary.data import Splits, collate, load
from snntorch_binary.experiments.named import Named, typed
from snntorch_binary.lightning.data import SeededSampler

PARTS = ("train", "validation", "test")
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

    def load(self, seed: int = 0, fold: int = 0, num_folds: int | None = None) -> LoadedData:
        """Return the data of one run."""
        splits = load(
            self.name,
            self.data_dir,
            num_steps=self.num_steps,
            classes=self.classes,  # type: ignore[arg-type]
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
    such pairs, whose inputs become float32, or a ``DataLoader``, whose batches are taken as they are.

    Attributes:
        named: the function or class.
        time: where the time steps of an example are: ``"first"``, x [T, ...], which becomes batches [T, B, ...]; or
            ``"none"``, an image x [...], which becomes [B, ...] for a network that makes its own steps of it, or
            ``"batch-first"``, x [T, ...], for one that takes [B, T, ...].
    """

    named: Named
    time: Literal["first", "batch-first", "none"] = "first"
    num_steps: int | None = field(default=None, init=False)

    @property
    def label(self) -> str:
        """What tables call it."""
        return self.named.class_path.rpartition(":")[2].rpartition(".")[2]

    def load(self, seed: int = 0, fold: int = 0, num_folds: int | None = None) -> LoadedData:
        """Return the data of one run.

        Raises:
            ValueError: the function cannot be called, or returns something else.
        """
        if num_folds is not None:
            raise ValueError(
                expected("num_folds", "left out with data of your own, which come in three parts", num_folds)
            )
        found = self.named.call("data", {"seed": seed})
        return of_user(found, self.time)

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


# ---- of a user's own -------------------------------------------------------------------------------------------------


def of_user(found: Any, time: str) -> LoadedData:
    """Return the three parts in whatever a user's function returned.

    Raises:
        ValueError: a part is missing, or something else; shapes differ; there is one class.
    """
    if isinstance(found, Splits):
        return of_splits(found)
    if isinstance(found, L.LightningDataModule):
        return _of_module(found)
    given: dict[str, Any] = {}
    if isinstance(found, Mapping):
        known = (*PARTS, "num_classes", "class_names")
        unknown = [key for key in found if key not in known]
        if unknown:
            raise ValueError(expected("data", f"parts named {', '.join(known)}", repr(unknown[0])))
        given = dict(found)
    elif isinstance(found, Sequence) and not isinstance(found, str) and len(found) == len(PARTS):
        given = dict(zip(PARTS, found, strict=True))
    else:
        what = "three parts (train, validation, test), Splits or a LightningDataModule"
        raise ValueError(expected("data", what, in_one_line(repr(found), 80)))
    missing = [name for name in PARTS if given.get(name) is None]
    if missing:
        raise ValueError(expected("data", f"with a {missing[0]} part", f"{', '.join(map(str, given))}"))
    parts = {name: _part(name, given[name]) for name in PARTS}
    looks = {name: _look(name, part) for name, part in parts.items()}
    shape = _same_shape({name: look.shape for name, look in looks.items() if look.shape is not None})
    labels = torch.cat([look.labels for look in looks.values()])
    num_classes, names = _classes(labels, looks["train"].labels, given)
    steps, features = (None, shape) if time == "none" or not shape else (shape[0], shape[1:])

    def batches(name: str, batch_size: int, seed: int | None) -> Batches:
        part = parts[name]
        if isinstance(part, DataLoader):
            return part
        sampler = None if seed is None else SeededSampler(len(cast(Sized, part)), seed)
        return DataLoader(part, batch_size=batch_size, sampler=sampler, collate_fn=_Collate(time == "first"))

    return LoadedData(
        lambda batch_size, seed: batches("train", batch_size, seed),
        lambda: batches("validation", 200, None),
        lambda: batches("test", 200, None),
        num_classes,
        features,
        steps,
        names,
    )


class _Collate:
    """Puts examples together along a new dimension: the second of inputs with time in front, else the first."""

    def __init__(self, time_first: bool) -> None:
        self.dim = int(time_first)

    def __call__(self, examples: Sequence[tuple[Any, Any]]) -> tuple[Tensor, Tensor]:
        inputs = [_number("data", x).float() for x, _ in examples]
        _same_shape({f"example {index}": tuple(x.shape) for index, x in enumerate(inputs)})
        return torch.stack(inputs, min(self.dim, inputs[0].dim())), default_collate([label for _, label in examples])


def _part(name: str, given: Any) -> Dataset[Any] | DataLoader[Any]:
    if isinstance(given, DataLoader):
        return given
    if isinstance(given, IterableDataset):
        what = f"with a {name} part that has a length, or a DataLoader of it"
        raise ValueError(expected("data", what, type(given).__name__))
    if isinstance(given, Dataset) or (hasattr(given, "__getitem__") and not isinstance(given, Sequence | Mapping)):
        if not hasattr(given, "__len__"):
            raise ValueError(expected("data", f"with a {name} part that has a length", type(given).__name__))
        return cast("Dataset[Any]", given)
    if isinstance(given, Sequence) and not isinstance(given, str) and len(given) == 2:
        x, labels = (_number(name, each) for each in given)
        if not len(x) or len(x) != len(labels):
            what = f"with as many inputs as labels in its {name} part, at least one"
            raise ValueError(expected("data", what, f"{len(x)} and {len(labels)}"))
        return TensorDataset(x, labels)
    what = f"with a {name} part that is a pair of inputs and labels, a Dataset or a DataLoader"
    raise ValueError(expected("data", what, in_one_line(repr(given), 80)))


def _number(name: str, given: Any) -> Tensor:
    try:
        found = torch.as_tensor(given)
    except Exception:  # whatever torch makes of it
        what = f"of numbers in its {name} part"
        raise ValueError(expected("data", what, in_one_line(type(given).__name__, 80))) from None
    if found.is_complex():
        raise ValueError(expected("data", f"of real numbers in its {name} part", str(found.dtype)))
    return found


@dataclass
class _Look:
    labels: Tensor
    shape: tuple[int, ...] | None


def _look(name: str, part: Dataset[Any] | DataLoader[Any]) -> _Look:
    """Return the labels of a part and the shape of its inputs, having seen all of them once."""
    if isinstance(part, TensorDataset):
        x, labels = part.tensors
        return _Look(_labels(name, labels), tuple(x.shape[1:]))
    labels_of: list[Tensor] = []
    shapes: dict[str, tuple[int, ...]] = {}
    for place, example in enumerate(_all(part)):
        if not isinstance(example, (tuple, list)) or len(example) != 2:
            what = f"of pairs of an input and its label in its {name} part"
            raise ValueError(expected("data", what, in_one_line(repr(example), 80)))
        x, label = (_number(name, each) for each in example)
        if not isinstance(part, DataLoader):
            shapes[f"{name} example {place}"] = tuple(x.shape)
        labels_of.append(label.reshape(-1) if isinstance(part, DataLoader) else label[None])
    if not labels_of:
        raise ValueError(expected("data", f"with examples in its {name} part", "none"))
    return _Look(_labels(name, torch.cat(labels_of)), None if isinstance(part, DataLoader) else _same_shape(shapes))


def _all(part: Dataset[Any] | DataLoader[Any]) -> Iterator[Any]:
    return iter(part) if isinstance(part, DataLoader) else (part[index] for index in range(len(cast(Sized, part))))


def _labels(name: str, labels: Tensor) -> Tensor:
    labels = labels.squeeze(1) if labels.dim() == 2 and labels.shape[1] == 1 else labels
    if labels.dim() != 1:
        raise ValueError(expected("data", f"with one label for each {name} example", f"the shape {list(labels.shape)}"))
    return labels


def _same_shape(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    if not shapes:
        return ()
    first, *others = shapes.items()
    for name, shape in others:
        if shape != first[1]:
            what = f"of inputs of one shape (recordings of unequal lengths are cut or padded first), {list(first[1])}"
            raise ValueError(expected("data", what, f"{list(shape)} in {name}"))
    return first[1]


def _classes(labels: Tensor, trained: Tensor, given: Mapping[str, Any]) -> tuple[int | None, tuple[str, ...]]:
    if labels.is_floating_point():
        return None, ()
    names = tuple(map(str, given.get("class_names") or ()))
    low, high = int(labels.min()), int(labels.max())
    count = int(given.get("num_classes") or len(names) or high + 1)
    if low < 0 or high >= count or (names and len(names) != count):
        raise ValueError(expected("data", f"with labels in 0..{count - 1}", f"labels from {low} to {high}"))
    if count < 2 or len(trained.unique()) < 2:
        raise ValueError(expected("data", "with at least two classes in its train part", "one"))
    return count, names or tuple(map(str, range(count)))


def _of_module(module: L.LightningDataModule) -> LoadedData:
    try:
        module.prepare_data()
        for stage in ("fit", "test"):
            module.setup(stage)
        loaders = {
            "train": module.train_dataloader(),
            "validation": module.val_dataloader(),
            "test": module.test_dataloader(),
        }
    except Exception as error:  # of a user's own module
        why = in_one_line(f"{type(error).__name__}: {error}", 300)
        raise ValueError(expected("data", "a LightningDataModule with all three loaders", why)) from error
    for name, loader in loaders.items():
        if not isinstance(loader, DataLoader):
            what = f"a LightningDataModule whose {name} loader is a DataLoader"
            raise ValueError(expected("data", what, type(loader).__name__))
    known = {key: getattr(module, key) for key in ("num_classes", "class_names") if getattr(module, key, None)}
    return of_user({**loaders, **known}, "first")
