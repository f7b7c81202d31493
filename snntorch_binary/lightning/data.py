"""The shipped data sets as a LightningDataModule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from snntorch_binary._errors import expected
from snntorch_binary.data import SpikeDataset, Splits, collate, load
from snntorch_binary.data.encoders import (
    DirectEncoder,
    LatencyEncoder,
    PopulationEncoder,
    RateEncoder,
    SignedRateEncoder,
)
from snntorch_binary.lightning.plain_checkpoints import LoadsPlainly

Encoders = DirectEncoder | LatencyEncoder | PopulationEncoder | RateEncoder | SignedRateEncoder
"""What a configuration may name as encoder; Python code can pass any other."""


class SeededSampler(Sampler[int]):
    """A random order that is a function of (seed, epoch) only, so that a resumed epoch is the same."""

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch; Lightning calls it."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        return iter(torch.randperm(self.size, generator=generator).tolist())

    def __len__(self) -> int:
        return self.size


class SpikeDataModule(LoadsPlainly, L.LightningDataModule):  # type: ignore[misc]
    """A data set of :func:`snntorch_binary.data.load` in time-first batches: spikes [T, B, ...], labels [B].

    Args:
        name: one of :func:`snntorch_binary.data.names`.
        data_dir: folder with the set or archives of it; digits and two-moons need none.
        batch_size: examples per training batch.
        num_steps: time steps T; ``None`` is the set's default.
        classes: ``"all"`` or the classes to keep.
        limit_per_class: keep at most that many examples of each class and part.
        seed: of the training noise and order; validation and test spikes never change.
        fold: which fold tests, for cross-validation.
        num_folds: number of folds, or ``None`` for the set's own split.
        download: let the set be downloaded where that is possible.
        one_symbol: let a pixel of an event camera have one polarity only in a time step.
        encoder: makes the spikes of a set of images, see :func:`snntorch_binary.data.load`.

    Raises:
        ValueError: an argument is out of its range.
        DataNotFoundError: the files are not where they should be.

    Example:
        >>> data = SpikeDataModule("digits", batch_size=50)
        >>> data.setup()
        >>> spikes, labels = next(iter(data.train_dataloader()))
        >>> spikes.shape, labels.shape
        (torch.Size([10, 50, 64]), torch.Size([50]))
    """

    def __init__(
        self,
        name: str = "digits",
        data_dir: str | None = None,
        batch_size: int = 100,
        num_steps: int | None = None,
        classes: Sequence[int] | str = "all",
        limit_per_class: int | None = None,
        seed: int = 0,
        fold: int = 0,
        num_folds: int | None = None,
        download: bool = False,
        one_symbol: bool = False,
        encoder: Encoders | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(expected("batch_size", "a positive integer", batch_size))
        self.save_hyperparameters(ignore=["encoder"])
        self.dataset = name
        self.data_dir = data_dir
        self.batch_size = batch_size
        self.num_steps = num_steps
        self.classes = classes
        self.limit_per_class = limit_per_class
        self.seed = seed
        self.fold = fold
        self.num_folds = num_folds
        self.download = download
        self.one_symbol = one_symbol
        self.encoder = encoder
        self.splits: Splits | None = None

    def setup(self, stage: str | None = None) -> None:
        """Read the data set, once."""
        if self.splits is None:
            self.splits = load(
                self.dataset,
                self.data_dir,
                num_steps=self.num_steps,
                classes=self.classes,  # type: ignore[arg-type]
                limit_per_class=self.limit_per_class,
                seed=self.seed,
                fold=self.fold,
                num_folds=self.num_folds,
                download=self.download,
                one_symbol=self.one_symbol,
                encoder=self.encoder,
            )

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Return the training part in a new random order each epoch."""
        dataset = self._splits().train
        sampler = SeededSampler(len(dataset), self.seed)
        return DataLoader(dataset, batch_size=self.batch_size, sampler=sampler, collate_fn=collate)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Return the validation part."""
        return self._in_order(self._splits().validation)

    def test_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Return the test part."""
        return self._in_order(self._splits().test)

    def predict_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Return the test part."""
        return self.test_dataloader()

    def _in_order(self, dataset: SpikeDataset) -> DataLoader[tuple[Tensor, Tensor]]:
        return DataLoader(dataset, batch_size=500, collate_fn=collate)

    def _splits(self) -> Splits:
        self.setup()
        assert self.splits is not None
        return self.splits
