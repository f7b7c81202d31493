"""Spikes as they travel between packed layers: one bit each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.kernels.bits import from_words, from_words_by_channel, num_words, to_words


@dataclass(frozen=True)
class SpikeBits:
    """Spikes of one network or of K members at once, 64 channels to a word of 64 bits.

    Attributes:
        words: int64 [..., positions of a convolution, K, ceil(C / 64)]; the first channel is the lowest bit, and bits
            past the last channel are zero. K is 1 for a single network.
        channels: C, the channels or features.
        spatial: number of dimensions of the positions: 0 behind a linear layer, 1 to 3 behind a convolution.
        ensemble: whether the spikes are those of an ensemble's members, even if there is one only.

    Example:
        >>> import torch
        >>> spikes = (torch.rand(100, 8, 2, 34, 34) < 0.1).float()
        >>> bits = SpikeBits.of(spikes, spatial=2)
        >>> bits.shape, bits.words.shape, bool((bits.unpack() == spikes).all())
        (torch.Size([100, 8, 2, 34, 34]), torch.Size([100, 8, 34, 34, 1, 1]), True)
    """

    words: Tensor
    channels: int
    spatial: int = 0
    ensemble: bool = False

    def __post_init__(self) -> None:
        if self.words.dtype != torch.int64:
            raise TypeError(expected("words", "int64", self.words.dtype))
        if self.words.dim() < 2 + self.spatial or self.words.shape[-1] != num_words(self.channels):
            what = f"of shape [..., {self.spatial} positions, K, {num_words(self.channels)}]"
            raise ValueError(expected("words", what, tuple(self.words.shape)))

    @staticmethod
    def of(spikes: Tensor, spatial: int = 0) -> SpikeBits:
        """Pack spikes [..., C, positions], a tensor of any dtype that holds zeros and ones.

        Args:
            spikes: [..., C] with ``spatial=0``, [..., C, L] with 1, [..., C, H, W] with 2.
            spatial: number of dimensions behind the channels.

        Raises:
            TypeError: not a tensor.
            ValueError: it holds something else than zeros and ones, or has too few dimensions.
        """
        if not isinstance(spikes, Tensor):
            raise TypeError(expected("spikes", "a tensor", type(spikes).__name__))
        if spikes.dim() < 1 + spatial:
            raise ValueError(expected("spikes", f"of at least {1 + spatial} dimensions", tuple(spikes.shape)))
        split = spikes.dim() - spatial
        lead, positions, channels = spikes.shape[: split - 1], spikes.shape[split:], spikes.shape[split - 1]
        words = to_words(spikes.reshape(math.prod(lead), channels, math.prod(positions)))
        return SpikeBits(words.view(*lead, *positions, 1, num_words(channels)), channels, spatial)

    @property
    def lead(self) -> torch.Size:
        """Shape in front of channels and positions, (T, B) in a time-first network."""
        return self.words.shape[: self.words.dim() - 2 - self.spatial]

    @property
    def positions(self) -> torch.Size:
        """Shape of the positions, one of (), (L), (H, W) or (D, H, W)."""
        return self.words.shape[self.words.dim() - 2 - self.spatial : -2]

    @property
    def members(self) -> int:
        """Number of members K."""
        return self.words.shape[-2]

    @property
    def shape(self) -> torch.Size:
        """Shape of the unpacked spikes, [..., C, positions], of an ensemble [K, ..., C, positions]."""
        members = (self.members,) if self.ensemble else ()
        return torch.Size((*members, *self.lead, self.channels, *self.positions))

    def unpack(self) -> Tensor:
        """Return the spikes as a float32 tensor of shape :attr:`shape`."""
        if self.members == 1 and self.spatial:
            words = self.words.reshape(math.prod(self.lead), math.prod(self.positions), self.words.shape[-1])
            return from_words_by_channel(words, self.channels).view(self.shape)
        spikes = from_words(self.words, self.channels)
        members = spikes.dim() - 2
        spikes = spikes.movedim(members, 0) if self.ensemble else spikes.squeeze(members)
        return spikes.movedim(-1, -1 - self.spatial).contiguous()

    def density(self) -> float:
        """Return the share of ones, in [0, 1]."""
        spikes = from_words(self.words, self.channels)
        return float(spikes.mean()) if spikes.numel() else 0.0
