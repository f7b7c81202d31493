"""Data sets by name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache
from os import PathLike
from typing import Literal

import torch
from torch import Tensor

from snntorch_binary._errors import expected, misspelt
from snntorch_binary.data import sets
from snntorch_binary.data.dataset import SpikeDataset
from snntorch_binary.data.description import Description, Request, registered
from snntorch_binary.data.encoders import (
    DirectEncoder,
    Encoder,
    LatencyEncoder,
    RateEncoder,
    SignedRateEncoder,
    check_num_steps,
)
from snntorch_binary.data.errors import DataNotFoundError
from snntorch_binary.data.splits import Splits, split

Classes = Sequence[int] | Literal["all"]

_ENCODERS: dict[str, Encoder] = {
    "rate": RateEncoder(),
    "signed-rate": SignedRateEncoder(),
    "latency": LatencyEncoder(),
    "direct": DirectEncoder(),
}


def names() -> tuple[str, ...]:
    """Return the names `load` knows.

    Example:
        >>> names()
        ('digits', 'two-moons', 'regression-1d', 'mnist', 'fashion-mnist', 'notmnist', 'cifar10', 'cifar100', ...
    """
    return tuple(described.name for described in _sets())


def describe(name: str) -> Description:
    """Return what a data set is, without reading it.

    Raises:
        ValueError: `name` is none of `names()`.

    Example:
        >>> print(describe("nmnist"))
        nmnist: recorded, T bins, binary, 10 x (2, 34, 34), 10 classes; needs the event files, Tonic
        >>> describe("nmnist").polarities, describe("digits").polarities
        (True, False)
    """
    for described in _sets():
        if described.name == name:
            return described
    raise ValueError(expected("name", f"one of {', '.join(names())}", misspelt(name, names())))


def _sets() -> tuple[Description, ...]:
    _discover()
    return registered()


@cache
def _discover() -> None:
    """Import every module in the folder of the sets, which registers what it reads."""
    for module in pkgutil.iter_modules(sets.__path__):
        importlib.import_module(f"{sets.__name__}.{module.name}")


def load(
    name: str,
    data_dir: str | PathLike[str] | None = None,
    *,
    num_steps: int | None = None,
    classes: Classes = "all",
    limit_per_class: int | None = None,
    seed: int = 0,
    fold: int = 0,
    num_folds: int | None = None,
    download: bool = False,
    one_symbol: bool = False,
    encoder: Encoder | str | None = None,
) -> Splits:
    """Load a data set as spikes, split into training, validation and test part.

    ``describe(name)`` says what a set is and what it needs: scikit-learn, files, or nothing.

    The split and the spikes of the validation and test part do not depend on `seed`. A regression has float32 targets
    for labels, and neither classes nor folds.

    Args:
        name: one of `names()`.
        data_dir: folder that holds the set as torchvision or Tonic lay it out (``MNIST/raw``,
            ``NMNIST/Train/6``), the set's own folder, or archives of it; never written to. None looks into
            the cache folder.
        num_steps: number T of time steps; None takes the set's own.
        classes: labels to keep, re-numbered 0 ... C - 1 in the given order, for example ``(6, 7, 8, 9)``.
        limit_per_class: keep at most so many examples of each class in each part.
        seed: seed of the encoding noise of the training part.
        fold: which fold tests, in [0, num_folds).
        num_folds: cross-validate over all examples of a set that is ``foldable``, stratified. None uses the set's own
            test part where it has one, else a fixed fifth of each class (of `mnist-dvs` the last tenth of the files).
        download: fetch the files of `mnist` and `fashion-mnist` into the cache folder when they are not found.
        one_symbol: let a pixel of an event camera have one polarity only in a time step, so that its events are one of
            two symbols or silence: that of most of its events there, or in a tie of the last.
        encoder: makes the spikes of a set of values instead of the set's own; an encoder, or ``"rate"``,
            ``"signed-rate"``, ``"latency"`` or ``"direct"``.

    Raises:
        ValueError: an argument is out of its range.
        DataNotFoundError: the files are not where they were looked for.
        CorruptDataError: a file is truncated or not what its name says.
        MissingPackageError: a package that the set needs is not installed.

    Example:
        >>> splits = load("digits", num_steps=5, classes=(3, 8))
        >>> spikes, label = splits.test[0]
        >>> spikes.shape, splits.num_classes, splits.class_names
        (torch.Size([5, 64]), 2, ('3', '8'))
    """
    described = describe(name)
    wanted = _check_classes(classes, described.num_classes)
    num_steps = described.num_steps if num_steps is None else num_steps
    check_num_steps(num_steps)
    _check_positive("limit_per_class", limit_per_class)
    _check_folds(fold, num_folds)
    if one_symbol and not described.polarities:
        raise ValueError(expected("one_symbol", f"False for {name}, whose spikes have no polarity", True))
    if isinstance(encoder, str):
        encoder = _encoder(encoder)
    if encoder is not None and (described.encoder is None or described.regression):
        raise ValueError(expected("encoder", f"None for {name}, which is no set of images", encoder))
    if described.regression:
        _refuse_classes(name, classes, limit_per_class, num_folds)

    source = described.read(Request(data_dir, wanted, num_folds is not None, download, one_symbol))
    if num_folds is not None and not described.foldable:
        raise ValueError(expected("num_folds", f"None for {name}, which has a fixed test part", num_folds))
    parts = split(source, None if described.regression else wanted, limit_per_class, fold, num_folds)
    if not all(map(len, parts)):
        where = "" if data_dir is None else f" in {data_dir}"
        raise DataNotFoundError(f"{name}{where} has too few examples for a training, validation and test part.")
    # Read once and in the order of the set: all folds then share one entry of the frame cache.
    chosen = torch.cat(parts).sort().values
    inputs = source.read(chosen, num_steps)
    labels = source.labels if described.regression else _renumbered(source.labels, wanted, described.num_classes)

    def dataset(part: Tensor, seed: int, fixed: bool) -> SpikeDataset:
        return SpikeDataset(
            inputs[torch.searchsorted(chosen, part)],
            labels[part],
            num_steps=num_steps,
            encoder=described.encoder if encoder is None else encoder,
            seed=seed,
            fixed=fixed,
        )

    train, validation, test = parts
    test_set = dataset(test, seed=1, fixed=True)
    return Splits(
        train=dataset(train, seed=seed, fixed=False),
        validation=dataset(validation, seed=0, fixed=True),
        test=test_set,
        num_classes=len(wanted),
        input_shape=tuple(test_set[0][0].shape[1:]),
        num_steps=num_steps,
        class_names=tuple(source.class_names[label] for label in wanted),
        regression=described.regression,
    )


def _renumbered(labels: Tensor, wanted: tuple[int, ...], num_classes: int) -> Tensor:
    """Return the place of each label [N] among those that are wanted, -1 for the others."""
    number = torch.full((num_classes,), -1)
    number[list(wanted)] = torch.arange(len(wanted))
    return number[labels]


def _check_classes(classes: Classes, num_classes: int) -> tuple[int, ...]:
    if isinstance(classes, str):
        if classes == "all":
            return tuple(range(num_classes))
    else:
        wanted = tuple(classes)
        whole = all(isinstance(label, int) and 0 <= label < num_classes for label in wanted)
        if wanted and whole and len(set(wanted)) == len(wanted):
            return wanted
    what = f'"all" or different labels from 0 to {num_classes - 1}'
    raise ValueError(expected("classes", what, repr(classes)))


def encoder_of(name: str) -> Encoder | None:
    """Return an encoder of images by its name, or that of a set of images by the set's; ``None`` for other sets.

    Raises:
        ValueError: there is no such encoder or set.
    """
    if name not in names():
        return _encoder(name)
    encoder = describe(name).encoder
    return encoder if encoder in _ENCODERS.values() else None


def _encoder(name: str) -> Encoder:
    if name not in _ENCODERS:
        raise ValueError(expected("encoder", f"one of {', '.join(_ENCODERS)}", repr(name)))
    return _ENCODERS[name]


def _refuse_classes(name: str, classes: Classes, limit_per_class: int | None, num_folds: int | None) -> None:
    for argument, value, only in (
        ("classes", classes, "all"),
        ("limit_per_class", limit_per_class, None),
        ("num_folds", num_folds, None),
    ):
        if value != only:
            raise ValueError(expected(argument, f"{only!r} for {name}, which has no classes", repr(value)))


def _check_positive(name: str, value: int | None) -> None:
    if value is not None and (not isinstance(value, int) or value < 1):
        raise ValueError(expected(name, "None or a positive int", value))


def _check_folds(fold: int, num_folds: int | None) -> None:
    if num_folds is None:
        if fold != 0:
            raise ValueError(expected("fold", "0 when `num_folds` is None", fold))
        return
    if not isinstance(num_folds, int) or num_folds < 2:
        raise ValueError(expected("num_folds", "None or an int of at least 2", num_folds))
    if not isinstance(fold, int) or not 0 <= fold < num_folds:
        raise ValueError(expected("fold", f"an int in [0, {num_folds})", fold))
