"""What fully connected networks begin with: checked sizes, and uniform weights that drive spiking neurons."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from snntorch_binary._errors import expected


def check_sizes(sizes: Sequence[int], drive: float) -> None:
    """Refuse a layer without neurons, and a drive that is not positive."""
    if min(sizes) < 1:
        raise ValueError(expected("sizes", "positive integers", sizes))
    if not drive > 0:
        raise ValueError(expected("drive", "a positive float", drive))


def uniform_linear(fan_in: int, size: int, drive: float) -> nn.Linear:
    """Return a layer with weights uniform in ±drive/sqrt(fan_in) and biases of 0."""
    linear = nn.Linear(fan_in, size)
    nn.init.uniform_(linear.weight, -drive / math.sqrt(fan_in), drive / math.sqrt(fan_in))
    nn.init.zeros_(linear.bias)
    return linear
