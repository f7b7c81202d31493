"""Frames of an event camera as the symbols of winner-take-all circuits, and classes as symbols to emit."""

from __future__ import annotations

import torch
from torch import Tensor

from snntorch_binary._errors import expected


def signed_symbols(frames: Tensor) -> Tensor:
    """Return frames [T, B, 2, ...] as symbols [T, B, pixels, 2]: the polarity is the symbol.

    Load frames with ``one_symbol=True``, so that no pixel has two symbols in a time step.

    Raises:
        ValueError: the frames do not have two polarities.

    Example:
        >>> signed_symbols(torch.zeros(10, 8, 2, 34, 34)).shape
        torch.Size([10, 8, 1156, 2])
    """
    if frames.dim() < 4 or frames.shape[2] != 2:
        raise ValueError(expected("frames", "of shape [T, B, 2, ...]", tuple(frames.shape)))
    return frames.flatten(3).transpose(2, 3)


def unsigned_symbols(frames: Tensor, polarities: bool) -> Tensor:
    """Return spikes as the only symbol there is, [T, B, pixels, 1].

    Args:
        frames: [T, B, 2, ...] with polarities, else [T, B, ...].
        polarities: drop the polarity: a pixel spikes where it had an event of either.

    Raises:
        ValueError: there should be two polarities and are not.

    Example:
        >>> unsigned_symbols(torch.zeros(10, 8, 64), polarities=False).shape
        torch.Size([10, 8, 64, 1])
    """
    return signed_symbols(frames).amax(3, keepdim=True) if polarities else frames.flatten(2).unsqueeze(3)


def class_symbols(labels: Tensor, num_steps: int, num_classes: int, num_symbols: int) -> Tensor:
    """Return what output circuits are to emit, float32 [T, B, classes, C]: that of the class its first symbol, always.

    Args:
        labels: int64 [B].
        num_steps: number T of time steps.
        num_classes: number of output circuits.
        num_symbols: number C of symbols.

    Example:
        >>> class_symbols(torch.tensor([1]), num_steps=1, num_classes=3, num_symbols=2).tolist()
        [[[[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]]]
    """
    targets = torch.zeros(len(labels), num_classes, num_symbols, device=labels.device)
    targets[torch.arange(len(labels), device=labels.device), labels, 0] = 1
    return targets.expand(num_steps, -1, -1, -1)
