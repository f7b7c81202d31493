"""Data sets by name."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Literal

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.data.dataset import SpikeDataset
from snntorch_binary.data.encoders import (
    DirectEncoder,
    Encoder,
    LatencyEncoder,
    RateEncoder,
    SignedRateEncoder,
    check_num_steps,
)
from snntorch_binary.data.errors import DataNotFoundError
from snntorch_binary.data.splits import Source, Splits, split

Classes = Sequence[int] | Literal["all"]

# name: (classes, time steps unless told otherwise)
_SETS = {
    "digits": (10, 10),
    "two-moons": (2, 100),
    "regression-1d": (1, 100),
    "mnist": (10, 10),
    "fashion-mnist": (10, 10),
    "cifar10": (10, 20),
    "cifar100": (100, 20),
    "nmnist": (10, 10),
    "poker-dvs": (4, 10),
    "mnist-dvs": (10, 400),
}
_ENCODERS: dict[str, Encoder] = {
    "rate": RateEncoder(),
    "signed-rate": SignedRateEncoder(),
    "latency": LatencyEncoder(),
    "direct": DirectEncoder(),
}
EVENT_SETS = ("nmnist", "poker-dvs", "mnist-dvs")
"""Recordings of event cameras, whose spikes have a polarity."""


def names() -> tuple[str, ...]:
    """Return the names `load` knows.

    Example:
        >>> names()
        ('digits', 'two-moons', 'regression-1d', 'mnist', 'fashion-mnist', 'cifar10', 'cifar100', 'nmnist', ...
    """
    return tuple(_SETS)


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

    ================  ===========================  ==============  =====================================
    name              spikes                       features        needs
    ================  ===========================  ==============  =====================================
    `digits`          Bernoulli rates              (64,)           scikit-learn
    `two-moons`       population code              (20,)           scikit-learn
    `regression-1d`   population code              (20,)           nothing
    `mnist`           Bernoulli rates              (784,)          the idx files, or ``download=True``
    `fashion-mnist`   Bernoulli rates              (784,)          the idx files, or ``download=True``
    `cifar10`         signed Bernoulli rates       (3, 32, 32)     the binary version's files
    `cifar100`        signed Bernoulli rates       (3, 32, 32)     the binary version's files
    `nmnist`          recorded, T bins, binary     (2, 34, 34)     the event files, Tonic
    `poker-dvs`       recorded, T bins, binary     (2, 35, 35)     the event files
    `mnist-dvs`       recorded, bins of 5 ms       (2, 26, 26)     the event files
    ================  ===========================  ==============  =====================================

    The split and the spikes of the validation and test part do not depend on `seed`. `regression-1d` has float32
    targets for labels, and neither classes nor folds; see :mod:`snntorch_binary.data.regression_1d`.

    Args:
        name: one of `names()`.
        data_dir: folder that holds the set as torchvision or Tonic lay it out (``MNIST/raw``,
            ``NMNIST/Train/6``), the set's own folder, or archives of it; never written to. None looks into
            the cache folder.
        num_steps: number T of time steps; None takes 100 for `two-moons` and `regression-1d`, 400 (which is 2 s) for
            `mnist-dvs`, 20 for `cifar10` and `cifar100`, and 10 for the others.
        classes: labels to keep, re-numbered 0 ... C - 1 in the given order, for example ``(6, 7, 8, 9)``.
        limit_per_class: keep at most so many examples of each class in each part.
        seed: seed of the encoding noise of the training part.
        fold: which fold tests, in [0, num_folds).
        num_folds: cross-validate over all examples, stratified (`digits`, `nmnist`, `poker-dvs`, `mnist-dvs`).
            None uses the set's own test part where it has one, else a fixed fifth of each class (of `mnist-dvs` the
            last tenth of the files).
        download: fetch `mnist` or `fashion-mnist` into the cache folder when it is not found.
        one_symbol: let a pixel of `nmnist`, `poker-dvs` or `mnist-dvs` have one polarity only in a time step, so that
            its events are one of two symbols or silence: that of most of its events there, or in a tie of the last.
        encoder: makes the spikes of a set of images instead of the one in the table above; an encoder, or ``"rate"``,
            ``"signed-rate"``, ``"latency"`` or ``"direct"``.

    Raises:
        ValueError: an argument is out of its range.
        DataNotFoundError: the files are not where they were looked for.
        CorruptDataError: a file is truncated or not what its name says.
        MissingPackageError: a package in the table above is not installed.

    Example:
        >>> splits = load("digits", num_steps=5, classes=(3, 8))
        >>> spikes, label = splits.test[0]
        >>> spikes.shape, splits.num_classes, splits.class_names
        (torch.Size([5, 64]), 2, ('3', '8'))
    """
    if not isinstance(name, str) or name not in _SETS:
        raise ValueError(_unknown(name))
    all_classes, default_steps = _SETS[name]
    wanted = _check_classes(classes, all_classes)
    num_steps = default_steps if num_steps is None else num_steps
    check_num_steps(num_steps)
    _check_positive("limit_per_class", limit_per_class)
    _check_folds(fold, num_folds)
    if one_symbol and name not in EVENT_SETS:
        raise ValueError(expected("one_symbol", f"False for {name}, whose spikes have no polarity", True))
    if isinstance(encoder, str):
        encoder = _encoder(encoder)
    if encoder is not None and name in (*EVENT_SETS, "regression-1d"):
        raise ValueError(expected("encoder", f"None for {name}, which is no set of images", encoder))
    if name == "regression-1d":
        _refuse_classes(classes, limit_per_class, num_folds)
        from snntorch_binary.data import regression_1d

        return regression_1d.read(num_steps, seed)
    source = _read(name, data_dir, wanted, num_folds is not None, download, one_symbol)
    if num_folds is not None and not source.foldable:
        what = f"None for {name}, which has a fixed test part"
        raise ValueError(expected("num_folds", what, num_folds))

    parts = split(source, wanted, limit_per_class, fold, num_folds)
    if not all(map(len, parts)):
        where = "" if data_dir is None else f" in {data_dir}"
        raise DataNotFoundError(f"{name}{where} has too few examples for a training, validation and test part.")
    # Read once and in the order of the set: all folds then share one entry of the frame cache.
    chosen = torch.cat(parts).sort().values
    inputs = source.read(chosen, num_steps)
    number = torch.full((len(source.class_names),), -1)
    number[list(wanted)] = torch.arange(len(wanted))

    def dataset(part: Tensor, seed: int, fixed: bool) -> SpikeDataset:
        return SpikeDataset(
            inputs[torch.searchsorted(chosen, part)],
            number[source.labels[part]],
            num_steps=num_steps,
            encoder=source.encoder if encoder is None else encoder,
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
    )


def _read(
    name: str,
    data_dir: str | PathLike[str] | None,
    wanted: tuple[int, ...],
    pooled: bool,
    download: bool,
    one_symbol: bool,
) -> Source:
    """Read a data set. A reader is imported with its set, since not every set needs numpy."""
    if name in ("mnist", "fashion-mnist"):
        from snntorch_binary.data import mnist

        return mnist.read(name, data_dir, download)
    if name in ("cifar10", "cifar100"):
        from snntorch_binary.data import cifar

        return cifar.read(name, data_dir)
    if name in ("nmnist", "poker-dvs"):
        from snntorch_binary.data import events

        if name == "nmnist":
            return events.read_nmnist(data_dir, wanted, pooled, one_symbol)
        return events.read_poker_dvs(data_dir, pooled, one_symbol)
    if name == "mnist-dvs":
        from snntorch_binary.data import mnist_dvs

        return mnist_dvs.read_mnist_dvs(data_dir, wanted, one_symbol)
    if name == "digits":
        from snntorch_binary.data import digits

        return digits.read()
    if name == "two-moons":
        from snntorch_binary.data import two_moons

        return two_moons.read()
    raise ValueError(_unknown(name))


def _unknown(name: object) -> str:
    return expected("name", f"one of {', '.join(names())}", repr(name))


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
    """Return an encoder by its name, or that of a set of images by the set's; ``None`` for recordings.

    Raises:
        ValueError: there is no such encoder or set.
    """
    if name in EVENT_SETS or name in ("two-moons", "regression-1d"):
        return None
    if name in _SETS:
        return SignedRateEncoder() if name in ("cifar10", "cifar100") else RateEncoder()
    return _encoder(name)


def _encoder(name: str) -> Encoder:
    if name not in _ENCODERS:
        raise ValueError(expected("encoder", f"one of {', '.join(_ENCODERS)}", repr(name)))
    return _ENCODERS[name]


def _refuse_classes(classes: Classes, limit_per_class: int | None, num_folds: int | None) -> None:
    for argument, value, only in (
        ("classes", classes, "all"),
        ("limit_per_class", limit_per_class, None),
        ("num_folds", num_folds, None),
    ):
        if value != only:
            raise ValueError(expected(argument, f"{only!r} for regression-1d, which has no classes", repr(value)))


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
