"""What stands between packed layers and moves bits without unpacking them, and what cuts a sequence."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.kernels.bits import num_words
from snntorch_binary.kernels.engine import compiled
from snntorch_binary.packed.geometry import Geometry
from snntorch_binary.packed.spikes import SpikeBits


def _of_bits(x: SpikeBits) -> SpikeBits:
    if not isinstance(x, SpikeBits):
        raise TypeError(expected("input", "SpikeBits", type(x).__name__))
    return x


class PackedMaxPool(nn.Module):
    """Maximum over windows of spikes, which is their or; behind a packed convolution, time-first.

    Args:
        geometry: windows, strides, dilations and padding.

    Shape:
        :class:`SpikeBits` [T, B, C, positions] to the same with fewer positions.

    Raises:
        TypeError: the input is not :class:`SpikeBits`.
        ValueError: the window does not fit.
    """

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = geometry

    def forward(self, x: SpikeBits) -> SpikeBits:
        """Return the pooled spikes."""
        x = _of_bits(x)
        if x.spatial != self.geometry.spatial:
            raise ValueError(expected("input", f"of {self.geometry.spatial} spatial dimensions", tuple(x.shape)))
        size = self.geometry.output_size(x.positions)
        taps = self.geometry.taps(x.positions)
        words = x.words.reshape(math.prod(x.lead), math.prod(x.positions), math.prod(x.words.shape[-2:]))
        kernels = compiled("packed") if words.device.type == "cpu" else None
        if kernels is not None:
            out = words.new_empty(words.shape[0], math.prod(size), words.shape[2])
            kernels.pool(words.contiguous().numpy(), taps.numpy(), out.numpy())
        else:
            # A last position of zeros stands for the padding, -1.
            padded = nn.functional.pad(words, (0, 0, 0, 1))
            out = torch.zeros((), dtype=torch.int64, device=words.device)
            for tap in taps.to(words.device).unbind(1):
                out = out | padded[:, tap]
        out = out.view(*x.lead, *size, *x.words.shape[-2:])
        return SpikeBits(out, x.channels, x.spatial, x.ensemble)

    def extra_repr(self) -> str:
        """Say the windows."""
        return f"kernel={self.geometry.kernel}, stride={self.geometry.stride}, padding={self.geometry.padding}"


class PackedFlatten(nn.Module):
    """Positions and channels of spikes as one row of features, channel by channel as torch lays them out.

    Shape:
        :class:`SpikeBits` [T, B, C, positions] to [T, B, C · positions].

    Raises:
        TypeError: the input is not :class:`SpikeBits`.
    """

    def forward(self, x: SpikeBits) -> SpikeBits:
        """Return the flattened spikes."""
        x = _of_bits(x)
        if x.spatial == 0:
            return x
        members = SpikeBits(x.words, x.channels, x.spatial, ensemble=True).unpack()  # [K, T, B, C, positions]
        flat = SpikeBits.of(members.flatten(1 + len(x.lead)))
        words = flat.words.squeeze(-2).movedim(0, -2).contiguous()
        assert words.shape[-1] == num_words(flat.channels)
        return SpikeBits(words, flat.channels, 0, x.ensemble)


class SkipSteps(nn.Module):
    """Leave out the first time steps of a sequence, its burn-in.

    Args:
        steps: number of time steps to leave out, at least 1.

    Shape:
        [T, ...] to [T - steps, ...].

    Raises:
        ValueError: nothing is left.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        """Return the time steps behind the burn-in."""
        if x.shape[0] <= self.steps:
            raise ValueError(expected("x", f"a sequence longer than the burn-in of {self.steps}", tuple(x.shape)))
        return x[self.steps :]

    def extra_repr(self) -> str:
        """Say how many steps."""
        return f"{self.steps}"
