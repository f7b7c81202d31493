"""Recorded spikes at one bit each: 10,000 recordings of MNIST-DVS take 0.7 GB so, and 5.4 GB at a byte each."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from snntorch_binary._errors import expected


class PackedSpikes:
    """N recordings of binary spikes, eight to a byte.

    Args:
        bits: uint8 [N, ceil(T · features / 8)]; in a byte the first spike is the highest bit, as in
            ``numpy.packbits``.
        shape: shape (T, ...) of one recording.

    Raises:
        TypeError: `bits` is not uint8.
        ValueError: `bits` does not have the shape above.

    Example:
        >>> packed = PackedSpikes(torch.tensor([[0b101_010_00], [0b111_000_00]], dtype=torch.uint8), shape=(2, 3))
        >>> packed.shape
        (2, 2, 3)
        >>> packed[torch.tensor([0])].unpack()
        tensor([[[1, 0, 1],
                 [0, 1, 0]]], dtype=torch.uint8)
    """

    def __init__(self, bits: Tensor, shape: tuple[int, ...]) -> None:
        if bits.dtype != torch.uint8:
            raise TypeError(expected("bits", "uint8", bits.dtype))
        width = -(-math.prod(shape) // 8)
        if bits.ndim != 2 or bits.shape[1] != width:
            raise ValueError(expected("bits", f"of shape [N, {width}] for recordings {shape}", tuple(bits.shape)))
        self.bits = bits
        self.shape = (len(bits), *shape)

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, index: Tensor) -> PackedSpikes:
        """Return the recordings at `index`, int64 [M] or bool [N], still packed."""
        return PackedSpikes(self.bits[index], self.shape[1:])

    def unpack(self) -> Tensor:
        """Return the spikes as uint8 [N, T, ...] in {0, 1}."""
        place = torch.arange(7, -1, -1, dtype=torch.uint8, device=self.bits.device)
        spikes = (self.bits.unsqueeze(-1) >> place).bitwise_and_(1).flatten(1)
        return spikes[:, : math.prod(self.shape[1:])].reshape(self.shape)
