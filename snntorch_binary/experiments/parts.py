"""The three parts of a user's data: each a pair, a ``Dataset`` or a ``DataLoader``, looked at once before training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any, cast

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, default_collate

from snntorch_binary._errors import expected, in_one_line

PARTS = ("train", "validation", "test")


def named_parts(found: Any) -> dict[str, Any]:
    """Return the parts, by name, in what a user's function returned; beside them what it says of the classes.

    Raises:
        ValueError: a part is missing, or it is something else.
    """
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
    return given


def _of_module(module: L.LightningDataModule) -> dict[str, Any]:
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
    return {**loaders, **known}


class Collate:
    """Puts examples together along a new dimension: the second of inputs with time in front, else the first."""

    def __init__(self, time_first: bool) -> None:
        self.dim = int(time_first)

    def __call__(self, examples: Sequence[tuple[Any, Any]]) -> tuple[Tensor, Tensor]:
        """Return the batch of some examples; inputs become float32."""
        inputs = [_number("data", x).float() for x, _ in examples]
        same_shape({f"example {index}": tuple(x.shape) for index, x in enumerate(inputs)})
        return torch.stack(inputs, min(self.dim, inputs[0].dim())), default_collate([label for _, label in examples])


def part_of(name: str, given: Any) -> Dataset[Any] | DataLoader[Any]:
    """Return a part as a set of examples, or as the loader that it is.

    Raises:
        ValueError: it is something else, or has no length.
    """
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
class Look:
    """All labels [N] of a part, and the shape of each of its inputs; of a loader's ``None``."""

    labels: Tensor
    shape: tuple[int, ...] | None


def look_at(name: str, part: Dataset[Any] | DataLoader[Any]) -> Look:
    """Return the labels of a part and the shape of its inputs, having seen all of them once."""
    if isinstance(part, TensorDataset):
        x, labels = part.tensors
        _check_finite(name, x)
        return Look(_labels(name, labels), tuple(x.shape[1:]))
    labels_of: list[Tensor] = []
    shapes: dict[str, tuple[int, ...]] = {}
    for place, example in enumerate(_all(part)):
        if not isinstance(example, (tuple, list)) or len(example) != 2:
            what = f"of pairs of an input and its label in its {name} part"
            raise ValueError(expected("data", what, in_one_line(repr(example), 80)))
        x, label = (_number(name, each) for each in example)
        _check_finite(name, x, "" if isinstance(part, DataLoader) else f" in example {place}")
        if not isinstance(part, DataLoader):
            shapes[f"{name} example {place}"] = tuple(x.shape)
        labels_of.append(label.reshape(-1) if isinstance(part, DataLoader) else label[None])
    if not labels_of:
        raise ValueError(expected("data", f"with examples in its {name} part", "none"))
    return Look(_labels(name, torch.cat(labels_of)), None if isinstance(part, DataLoader) else same_shape(shapes))


def _check_finite(name: str, x: Tensor, where: str = "") -> None:
    if x.is_floating_point() and not bool(torch.isfinite(x).all()):
        raise ValueError(expected("data", f"with finite inputs in its {name} part", f"NaN or infinite ones{where}"))


def _all(part: Dataset[Any] | DataLoader[Any]) -> Iterator[Any]:
    return iter(part) if isinstance(part, DataLoader) else (part[index] for index in range(len(cast(Sized, part))))


def _labels(name: str, labels: Tensor) -> Tensor:
    labels = labels.squeeze(1) if labels.dim() == 2 and labels.shape[1] == 1 else labels
    if labels.dim() != 1:
        raise ValueError(expected("data", f"with one label for each {name} example", f"the shape {list(labels.shape)}"))
    return labels


def same_shape(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Return the shape that all of these have, or none where there are none.

    Raises:
        ValueError: one has another.
    """
    if not shapes:
        return ()
    first, *others = shapes.items()
    for name, shape in others:
        if shape != first[1]:
            what = f"of inputs of one shape (recordings of unequal lengths are cut or padded first), {list(first[1])}"
            raise ValueError(expected("data", what, f"{list(shape)} in {name}"))
    return first[1]


def classes_of(labels: Tensor, trained: Tensor, given: Mapping[str, Any]) -> tuple[int | None, tuple[str, ...]]:
    """Return the number of classes and their names, or ``None`` where labels are real numbers.

    Args:
        labels: of all parts [N].
        trained: of the training part.
        given: may have ``num_classes`` and ``class_names``.

    Raises:
        ValueError: a label is beyond the classes, or one class only is learned.
    """
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
