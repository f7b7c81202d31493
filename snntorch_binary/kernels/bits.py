"""Spikes as bits: 64 channels to a word, the words of a position side by side."""

from __future__ import annotations

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.kernels.engine import compiled


def num_words(channels: int) -> int:
    """Return how many words of 64 bits hold the spikes of a position."""
    return (channels + 63) // 64


def to_words(spikes: Tensor) -> Tensor:
    """Pack spikes, the first channel into the lowest bit; what a word has left over is zero.

    Args:
        spikes: [N, C, positions], every element 0 or 1, of any dtype.

    Returns:
        int64 [N, positions, ceil(C / 64)].

    Raises:
        ValueError: an element is neither 0 nor 1.
    """
    channels = spikes.shape[1]
    words = torch.empty(
        (spikes.shape[0], spikes.shape[2], num_words(channels)), dtype=torch.int64, device=spikes.device
    )
    if spikes.dtype == torch.bool:
        spikes = spikes.view(torch.uint8)
    elif spikes.dtype not in (torch.float32, torch.uint8):
        wrong = (spikes != 0) & (spikes != 1)
        spikes = torch.where(wrong, 2, spikes).to(torch.uint8)
    kernels = compiled("bits") if spikes.device.type == "cpu" else None
    if kernels is not None:
        binary = kernels.to_words(spikes.detach().contiguous().numpy(), words.numpy())
    else:
        binary = _to_words_by_torch(spikes, words)
    if not binary:
        raise ValueError(expected("spikes", "of zeros and ones", "other values"))
    return words


def from_words(words: Tensor, channels: int) -> Tensor:
    """Unpack spikes: int64 [..., ceil(channels / 64)] to float32 [..., channels]."""
    kernels = compiled("bits") if words.device.type == "cpu" else None
    if kernels is None:
        place = torch.arange(8, dtype=torch.uint8, device=words.device)
        as_bytes = words.contiguous().view(-1).view(torch.uint8)
        bits = (as_bytes.view(*words.shape[:-1], 8 * words.shape[-1], 1) >> place) & 1
        return bits.flatten(-2)[..., :channels].to(torch.float32)
    spikes = torch.empty((*words.shape[:-1], channels))
    if spikes.numel():
        rows = words.reshape(-1, words.shape[-1]).contiguous()
        kernels.from_words(rows.numpy(), spikes.view(-1, channels).numpy())
    return spikes


def from_words_by_channel(words: Tensor, channels: int) -> Tensor:
    """Unpack spikes: int64 [N, positions, ceil(channels / 64)] to float32 [N, channels, positions]."""
    kernels = compiled("bits") if words.device.type == "cpu" else None
    if kernels is None:
        return from_words(words, channels).movedim(-1, -2).contiguous()
    spikes = torch.empty(words.shape[0], channels, words.shape[1])
    if spikes.numel():
        kernels.from_words_by_channel(words.contiguous().numpy(), spikes.numpy())
    return spikes


def _to_words_by_torch(spikes: Tensor, words: Tensor) -> bool:
    binary = bool(((spikes == 0) | (spikes == 1)).all())
    bits = spikes.transpose(1, 2).to(torch.uint8)
    bits = torch.nn.functional.pad(bits, (0, 64 * words.shape[-1] - bits.shape[-1]))
    weight = 1 << torch.arange(8, dtype=torch.uint8, device=spikes.device)
    as_bytes = (bits.unflatten(-1, (-1, 8)) * weight).sum(-1, dtype=torch.uint8)
    words.copy_(as_bytes.reshape(-1).view(torch.int64).view(words.shape))
    return binary
