"""Telling a latent from a real-valued weight in a state dict, where both have the name `weight`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from snntorch_binary.weights.rule import WeightRule

# A tensor that has taken a latent's place is a latent too (an average, a copy in half precision) if its mean size is at
# least half of the latent's, and a real-valued weight if it is less than a tenth: torch starts weights at .01 to .3,
# natural parameters start at 3.
_ALIKE, _UNLIKE = 0.5, 0.1


def marks_of(latent: Tensor) -> list[int]:
    """Return what a latent is known again by: a sum over its bits in float32, and its mean size in units of 1e-9."""
    plain = type(latent) in (Tensor, nn.Parameter) and not latent.is_meta
    if not plain or not latent.is_floating_point() or not latent.numel():
        return [0, 0]
    numbers = latent.detach().float().contiguous()
    mean = float(numbers.abs().mean())
    return [int(numbers.view(torch.int32).sum(dtype=torch.int64)), int(1e9 * mean) if mean < 1e9 else 0]


def is_latent(weight: Tensor, draw: Tensor | None, rule: WeightRule) -> bool | None:
    """Say whether a tensor with the name ``weight`` is a latent, or ``None`` where it cannot be told.

    Args:
        weight: the tensor.
        draw: what was saved as ``weight_draw`` beside it: seed, counter, and :func:`marks_of` the latent. There is
            none, ``None``, beside a weight in full precision.
        rule: of the layer that it is for.
    """
    if draw is None:
        return False
    if draw.dtype != torch.int64 or draw.numel() != 4 or not int(draw[2]):
        return True  # somebody has computed with a whole state dict, or says that the latent has moved
    bits, size = marks_of(weight)
    if int(draw[2]) == bits or torch.equal(rule.initial_latent(weight), weight):
        return True  # the very one, or both readings are one
    ratio = size / max(int(draw[3]), 1)
    return True if ratio >= _ALIKE else False if ratio <= _UNLIKE else None
