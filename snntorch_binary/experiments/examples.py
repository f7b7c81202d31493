"""A part of some data as examples that can be chosen one by one, and batches that are answered again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, SequentialSampler, TensorDataset

from snntorch_binary._errors import expected
from snntorch_binary.experiments.data import Batches, LoadedData
from snntorch_binary.experiments.noise import seed_all
from snntorch_binary.kernels.noise import mix
from snntorch_binary.lightning.data import SeededSampler


@dataclass(frozen=True)
class Examples:
    """A training part.

    Attributes:
        dataset: its examples by number.
        labels: of all of them, [N].
        collate: makes a batch of several.
    """

    dataset: Dataset[Any]
    labels: Tensor
    collate: Callable[[Any], Any]


def training_examples(data: LoadedData) -> Examples:
    """Return the training part of some data.

    Raises:
        ValueError: its examples have no numbers.
    """
    loader = data.train(1, 0)
    if not isinstance(loader, DataLoader) or not _shows_all(loader):
        what = "with a train part whose examples can be chosen by their numbers, and none is left out"
        got = f"a {type(loader).__name__} of {type(getattr(loader, 'dataset', None)).__name__}"
        raise ValueError(expected("data", what, got))
    return Examples(loader.dataset, _labels(loader.dataset), loader.collate_fn)


def _shows_all(loader: DataLoader[Any]) -> bool:
    """Say whether a loader shows all examples of a data set that has numbers for them."""
    samplers = (SequentialSampler, RandomSampler, SeededSampler)
    return not isinstance(loader.dataset, IterableDataset) and isinstance(loader.sampler, samplers)


def _labels(dataset: Any) -> Tensor:
    if isinstance(dataset, TensorDataset):
        labels = dataset.tensors[1]
    elif isinstance(getattr(dataset, "labels", None), Tensor):
        labels = dataset.labels
    else:
        labels = torch.stack([torch.as_tensor(dataset[index][1]) for index in range(len(dataset))])
    return labels.squeeze(1) if labels.dim() == 2 and labels.shape[1] == 1 else labels


class Remembered:
    """Batches that are made once; spikes are kept as bytes, a quarter of their size.

    Args:
        batches: pairs ``(x, labels)`` of a data set in its order.
        batch_size: examples at once, where that can be chosen.
    """

    def __init__(self, batches: Batches, batch_size: int) -> None:
        self._batches = of_size(batches, batch_size)
        self._kept: list[tuple[Tensor, Tensor, torch.dtype]] = []

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if not self._kept:
            for x, labels in self._batches:
                small = x.to(torch.int8)
                self._kept.append((small if torch.equal(small.to(x.dtype), x) else x, labels, x.dtype))
        return ((x.to(dtype), labels) for x, labels, dtype in self._kept)


def of_size(batches: Batches, batch_size: int) -> Batches:
    """Return batches of so many examples of the same data set in its order, or the same where there is none."""
    if not isinstance(batches, DataLoader) or not _shows_all(batches):
        return batches
    return DataLoader(batches.dataset, batch_size=batch_size, collate_fn=batches.collate_fn)


class _SeededOrder:
    """A user's loader, whose order in an epoch is the same when a training goes on there."""

    def __init__(self, loader: DataLoader[Any], seed: int, fold: int, trainer: L.Trainer) -> None:
        self.dataset = loader.dataset
        self._loader, self._seed, self._fold, self._trainer = loader, seed, fold, trainer

    def __iter__(self) -> Iterator[Any]:
        noise = mix(self._seed, self._fold, self._trainer.current_epoch) >> 1
        seed_all(noise)
        return iter(self._loader)

    def __len__(self) -> int:
        return len(self._loader)


def in_seeded_order(loader: Batches, seed: int, fold: int, trainer: L.Trainer) -> Batches:
    """Return a user's loader with an order that is a function of seed, fold and epoch; others have that already."""
    if isinstance(loader, DataLoader) and not hasattr(loader.sampler, "set_epoch"):
        return _SeededOrder(loader, seed, fold, trainer)
    return loader
