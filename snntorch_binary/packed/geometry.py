"""Which inputs an output position of a convolution, transposed or not, or of a pooling sees."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from snntorch_binary._errors import expected

LARGEST = 1024
"""Largest stride, padding, dilation and kernel size that is packed: a file cannot ask for more."""

_MOST_PADDING, _LARGEST_WINDOW = 2**20, 2**12


@dataclass(frozen=True)
class Geometry:
    """Kernel size, stride, dilation and zero padding (before, after) of every spatial dimension.

    A linear layer has no spatial dimension, and one position that sees itself. A transposed convolution is one of
    stride 1 over inputs that are ``spread`` positions apart, with zeros between them; any other has no ``spread``.

    Example:
        >>> Geometry((3,), (1,), (1,), ((1, 1),)).taps((4,)).tolist()  # -1 is padding
        [[-1, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, -1]]
        >>> Geometry((2,), (1,), (1,), ((1, 1),), (2,)).taps((2,)).tolist()  # and so are zeros between inputs
        [[-1, 0], [0, -1], [-1, 1], [1, -1]]
    """

    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()
    spread: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.kernel) == len(self.stride) == len(self.dilation) == len(self.padding) <= 3:
            raise ValueError(expected("geometry", "kernel, stride, dilation and padding of one size", self))
        if len(self.spread) not in (0, len(self.kernel)):
            raise ValueError(expected("geometry", "a spread for every spatial dimension, or for none", self))
        positive = (*self.kernel, *self.stride, *self.dilation, *self.spread)
        if not all(1 <= value <= LARGEST for value in positive):
            raise ValueError(expected("kernel, stride, dilation and spread", f"in [1, {LARGEST}]", self))
        if not all(0 <= value <= LARGEST for pair in self.padding for value in pair):
            raise ValueError(expected("padding", f"in [0, {LARGEST}]", self))
        if math.prod(self.spread) > _LARGEST_WINDOW:
            raise ValueError(expected("spread", f"of at most {_LARGEST_WINDOW} positions for one", self))
        if math.prod(1 + sum(pair) for pair in self.padding) > _MOST_PADDING:
            raise ValueError(expected("padding", f"of at most {_MOST_PADDING} positions around one", self))

    @property
    def spatial(self) -> int:
        """Number of spatial dimensions."""
        return len(self.kernel)

    @property
    def num_taps(self) -> int:
        """Positions that an output sees."""
        return math.prod(self.kernel)

    @property
    def can_pool(self) -> bool:
        """Whether a max pooling can have these windows: of at most 4096 positions, half of them padding."""
        halves = all(2 * max(pair) <= size for pair, size in zip(self.padding, self.kernel, strict=True))
        return halves and self.spatial > 0 and self.num_taps <= _LARGEST_WINDOW

    def output_size(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """Return the spatial size of the output for that of an input.

        Raises:
            ValueError: the kernel does not fit into the padded input.
        """
        reach = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True)]
        padded = [n + sum(pair) for n, pair in zip(self.spread_size(size), self.padding, strict=True)]
        if any(n < r for n, r in zip(padded, reach, strict=True)):
            raise ValueError(expected("input", f"of a spatial size of at least {reach}, padded", padded))
        return tuple((n - r) // s + 1 for n, r, s in zip(padded, reach, self.stride, strict=True))

    def taps(self, size: tuple[int, ...]) -> Tensor:
        """Return int32 [output positions, taps]: the input position that each tap sees, -1 for padding."""
        flat, inside = torch.zeros(1, 1, dtype=torch.int32), torch.ones(1, 1, dtype=torch.bool)
        spread = self.spread or (1,) * self.spatial
        rows = zip(
            self.output_size(size), size, self.kernel, self.stride, self.dilation, self.padding, spread, strict=True
        )
        for outputs, inputs, kernel, stride, dilation, (before, _), apart in rows:
            first = torch.arange(outputs, dtype=torch.int32) * stride - before
            index = first[:, None] + torch.arange(kernel, dtype=torch.int32) * dilation
            within = (index >= 0) & (index <= (inputs - 1) * apart) & (index % apart == 0)
            index = index // apart
            flat = (flat[:, None, :, None] * inputs + index[None, :, None, :]).flatten(0, 1).flatten(1)
            inside = (inside[:, None, :, None] & within[None, :, None, :]).flatten(0, 1).flatten(1)
        return torch.where(inside, flat, -1).contiguous()

    def spread_size(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """Return the spatial size of an input with the zeros between its positions."""
        return tuple((n - 1) * s + 1 for n, s in zip(size, self.spread, strict=True)) if self.spread else size
