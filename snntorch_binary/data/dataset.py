"""A torch data set that hands out time-first spike batches whose noise is a pure function.

Interrupted training continues bit-exactly and every method sees the same spikes of a test example,
because no noise depends on what was drawn before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from snntorch_binary._errors import expected
from snntorch_binary.data.encoders import Encoder, check_num_steps, check_values
from snntorch_binary.data.packed_spikes import PackedSpikes

Batch = TypeVar("Batch")


def collate(batch: Batch) -> Batch:
    """Return the batch as it is: the `collate_fn` of a DataLoader, for a `SpikeDataset` collates itself."""
    return batch


class SpikeDataset(Dataset[tuple[Tensor, Tensor]]):
    """Labelled examples as spikes, encoded when asked for or recorded.

    The noise of an encoder is drawn from a generator seeded by

    * (seed, epoch, first index of the batch) while training: new spikes every epoch (`set_epoch`), and the
      same ones when an interrupted epoch is run again;
    * (seed, index of the example) when `fixed`: the same spikes in every batch, order and epoch.

    Args:
        inputs: static values [N, ...], float32 in [0, 1] or uint8 standing for value / 255; or, without an
            encoder, recorded spikes [N, T, ...], uint8 in {0, 1} or `PackedSpikes`.
        labels: int64 class labels [N], or float32 targets [N] of a regression.
        num_steps: number T of time steps.
        encoder: makes spikes of static values; None says that `inputs` are recorded spikes.
        seed: seed of the encoding noise.
        fixed: True for validation and test.

    Raises:
        TypeError: a dtype is not one of those above.
        ValueError: shapes do not fit each other, or values are out of range.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> from snntorch_binary.data import RateEncoder
        >>> images, labels = torch.rand(6, 784), torch.arange(6)
        >>> train = SpikeDataset(images, labels, num_steps=10, encoder=RateEncoder())
        >>> for epoch in range(2):
        ...     train.set_epoch(epoch)
        ...     for spikes, label in DataLoader(train, batch_size=3, shuffle=True, collate_fn=collate):
        ...         assert spikes.shape == (10, 3, 784) and label.shape == (3,)
    """

    def __init__(
        self,
        inputs: Tensor | PackedSpikes,
        labels: Tensor,
        *,
        num_steps: int,
        encoder: Encoder | None = None,
        seed: int = 0,
        fixed: bool = False,
    ) -> None:
        check_num_steps(num_steps)
        if labels.dtype not in (torch.int64, torch.float32) or labels.ndim != 1:
            what = "int64 classes or float32 targets of shape [N]"
            raise TypeError(expected("labels", what, f"{labels.dtype} {tuple(labels.shape)}"))
        if not labels.isfinite().all():
            raise ValueError(expected("labels", "finite", "NaN or infinite targets"))
        if len(inputs.shape) < 2 or len(inputs) != len(labels):
            what = f"of shape [N, ...] with N = {len(labels)} as `labels`"
            raise ValueError(expected("inputs", what, tuple(inputs.shape)))
        if encoder is None:
            _check_recorded(inputs, num_steps)
        elif isinstance(inputs, PackedSpikes):
            raise TypeError(expected("encoder", "None when spikes are recorded (`PackedSpikes`)", encoder))
        elif inputs.dtype == torch.float32:
            check_values(inputs)
        elif inputs.dtype != torch.uint8:
            raise TypeError(expected("inputs", "uint8 or float32", inputs.dtype))
        self.inputs, self.labels = inputs, labels
        self.num_steps, self.encoder, self.seed, self.fixed = num_steps, encoder, seed, fixed
        # Shared memory, so that the persistent workers of a DataLoader see a later `set_epoch`, too.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    @property
    def epoch(self) -> int:
        """The epoch whose noise is drawn now."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the noise of the training epoch `epoch` >= 0; without effect on a fixed set."""
        if not isinstance(epoch, int) or epoch < 0:
            raise ValueError(expected("epoch", "a non-negative int", epoch))
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return the spikes [T, ...] and the label [] of one example."""
        spikes, labels = self.__getitems__([index])
        return spikes[:, 0], labels[0]

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return a collated batch: float32 spikes [T, B, ...] and labels [B], int64 or float32 as given.

        Raises:
            IndexError: an index is outside [-N, N).
            ValueError: `indices` is empty.
        """
        index = torch.as_tensor(indices, dtype=torch.int64)
        if index.numel() == 0:
            raise ValueError(expected("indices", "a non-empty sequence of ints", list(indices)))
        if not bool(((index >= -len(self)) & (index < len(self))).all()):
            raise IndexError(expected("indices", f"in [-{len(self)}, {len(self)})", list(indices)))
        index %= len(self)
        inputs = self.inputs[index]
        if isinstance(inputs, PackedSpikes):
            inputs = inputs.unpack()
        if self.encoder is None:
            return inputs.transpose(0, 1).to(torch.float32, memory_format=torch.contiguous_format), self.labels[index]
        values = inputs / 255 if inputs.dtype == torch.uint8 else inputs
        if self.fixed:
            examples = [
                self.encoder(value, self.num_steps, keyed_generator("fixed", self.seed, i))
                for value, i in zip(values.split(1), index.tolist(), strict=True)
            ]
            return torch.cat(examples, dim=1), self.labels[index]
        generator = keyed_generator("training", self.seed, self.epoch, int(index[0]))
        return self.encoder(values, self.num_steps, generator), self.labels[index]


def _check_recorded(inputs: Tensor | PackedSpikes, num_steps: int) -> None:
    if isinstance(inputs, Tensor) and inputs.dtype != torch.uint8:
        raise TypeError(expected("inputs", "uint8 when spikes are recorded (no encoder)", inputs.dtype))
    if inputs.shape[1] != num_steps:
        what = f"recorded spikes [N, T, ...] with T = num_steps = {num_steps}"
        raise ValueError(expected("inputs", what, tuple(inputs.shape)))
    if isinstance(inputs, Tensor) and inputs.numel() and int(inputs.max()) > 1:
        raise ValueError(expected("inputs", "spikes in {0, 1}", f"a value of {int(inputs.max())}"))


def keyed_generator(*key: object) -> torch.Generator:
    """Return a generator whose state is a function of `key` alone."""
    # Hashed, because torch's CPU generator starts neighbouring seeds alike and keeps 32 bits of a seed.
    digest = hashlib.blake2b(repr(key).encode(), digest_size=4).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))
