"""Which examples train, validate and test: the same ones for every seed and on every machine."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.data.dataset import SpikeDataset
from snntorch_binary.data.packed_spikes import PackedSpikes


@dataclass(frozen=True)
class Source:
    """A data set before it is split, as the reader of the set hands it over.

    Attributes:
        labels: int64 [N], 0 ... C - 1 over all classes of the set; of a regression float32 targets.
        test: bool [N], the set's own test part or the part held out by its reader.
        read: maps (indices, num_steps) to the inputs of these examples, ready for `SpikeDataset`.
        class_names: C names.
        validation: bool [N], or None to hold out a tenth of the training part of each class.
    """

    labels: Tensor
    test: Tensor
    read: Callable[[Tensor, int], Tensor | PackedSpikes]
    class_names: tuple[str, ...]
    validation: Tensor | None = None


def in_memory(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], class_names: tuple[str, ...]) -> Source:
    """Return a set whose training and test part, inputs and labels each, are read."""
    inputs, labels = (torch.cat(pair) for pair in zip(train, test, strict=True))
    return Source(
        labels=labels,
        test=torch.arange(len(labels)) >= len(train[1]),
        read=lambda indices, num_steps: inputs[indices],
        class_names=class_names,
    )


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set, ready for a DataLoader.

    Attributes:
        train: new encoding noise every epoch, from the seed given to `load`.
        validation: held out of the training part; fixed spikes.
        test: fixed spikes, the same for every seed.
        num_classes: number C of classes; labels are 0 ... C - 1. A regression has 1, its target.
        input_shape: shape of the features of one example in one time step.
        num_steps: number T of time steps.
        class_names: C names.
        regression: True when the labels are float32 targets instead of classes.
    """

    train: SpikeDataset
    validation: SpikeDataset
    test: SpikeDataset
    num_classes: int
    input_shape: tuple[int, ...]
    num_steps: int
    class_names: tuple[str, ...]
    regression: bool = False


def permutation(size: int, key: str) -> Tensor:
    """Return a permutation of 0 ... size - 1 that depends on `size` and `key` only.

    Python's `random.random` is documented to give the same numbers in every version; torch.randperm is not.
    """
    rng = random.Random(key)
    order = [rng.random() for _ in range(size)]
    return torch.tensor(sorted(range(size), key=order.__getitem__), dtype=torch.int64)


def hold_out(labels: Tensor, among: Tensor, fraction: float, key: str | None) -> Tensor:
    """Return the mask [N] of the last `fraction` of the examples of each class.

    Args:
        labels: int64 [N].
        among: bool [N], the examples to choose from.
        fraction: in (0, 1); a class of at least two examples gives at least one and keeps at least one.
        key: names the permutation in which the last ones are held out; None keeps the given order.
    """
    held = torch.zeros_like(among)
    for label in labels.unique():
        members = ((labels == label) & among).nonzero().squeeze(1)
        if key is not None:
            members = members[permutation(len(members), f"{key} {int(label)}")]
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        if count > 0:
            held[members[-count:]] = True
    return held


def fold_mask(labels: Tensor, fold: int, num_folds: int) -> Tensor:
    """Return the mask [N] of the test examples of fold `fold`: each example is in exactly one fold."""
    mask = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        members = (labels == label).nonzero().squeeze(1)
        members = members[permutation(len(members), f"fold {int(label)}")]
        mask[members[fold::num_folds]] = True
    return mask


def split(
    source: Source, classes: tuple[int, ...] | None, limit_per_class: int | None, fold: int, num_folds: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the indices of the training, validation and test examples, ascending.

    The parts are those of the whole set, restricted to `classes` and to the first `limit_per_class` of each. None takes
    the parts of a regression as they are.

    Raises:
        ValueError: a class has fewer examples than there are folds.
    """
    labels, test, validation = source.labels, source.test, source.validation
    if num_folds is not None:
        smallest = min((int((labels == label).sum()) for label in classes or ()), default=0)
        if smallest < num_folds:
            what = f"at most {smallest}, the number of examples of the smallest class"
            raise ValueError(expected("num_folds", what, num_folds))
        test, validation = fold_mask(labels, fold, num_folds), None
    if validation is None:
        validation = hold_out(labels, ~test, 0.1, key="validation")
    chosen = torch.ones_like(test) if classes is None else torch.isin(labels, torch.tensor(classes))
    train, validation, test = (
        _first(labels, part & chosen, limit_per_class) for part in (~test & ~validation, validation, test)
    )
    return train, validation, test


def _first(labels: Tensor, mask: Tensor, limit: int | None) -> Tensor:
    """Return the indices [M] of the first `limit` examples of each class among `mask`."""
    indices = mask.nonzero().squeeze(1)
    if limit is None:
        return indices
    kept = [indices[labels[indices] == label][:limit] for label in labels.unique()]
    return torch.cat(kept).sort().values
