"""What a packed layer computes by torch's own products."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from snntorch_binary.packed.geometry import Geometry

_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def product_of(x: Tensor, weight: Tensor, geometry: Geometry, groups: int) -> Tensor:
    """Return the product of inputs [N, C_in, positions] with the ±1 weights of one member, as torch computes it."""
    if not geometry.spatial:
        return F.linear(x, weight)
    if geometry.spread:
        transpose: Any = _TRANSPOSED[geometry.spatial]
        padding, more = padding_of_transposed(geometry)
        weight = of_transposed(weight, groups)
        return transpose(x, weight, None, geometry.spread, padding, more, groups, geometry.dilation)
    # Padded as torch does it: a sum of real numbers is rounded in the same order then.
    common = [min(pair) for pair in geometry.padding]
    extra = [size - min(pair) for pair in reversed(geometry.padding) for size in pair]
    x = F.pad(x, extra) if any(extra) else x
    convolve: Any = _CONVOLUTIONS[geometry.spatial]
    return convolve(x, weight, None, geometry.stride, common, geometry.dilation, groups)


def of_transposed(weight: Tensor, groups: int) -> Tensor:
    """Return the weights of one member as torch's transposed convolution has them: [C_in, C_out / groups, kernel]."""
    weight = weight.flip(tuple(range(2, weight.dim())))
    return weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)


def padding_of_transposed(geometry: Geometry) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return padding and output padding as torch's transposed convolution has them."""
    rows = list(zip(geometry.dilation, geometry.kernel, geometry.padding, strict=True))
    return tuple(d * (k - 1) - pair[0] for d, k, pair in rows), tuple(after - before for _, _, (before, after) in rows)
