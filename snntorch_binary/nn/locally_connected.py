"""A convolution whose kernel is another one at each place."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snntorch_binary._errors import expected

__all__ = ["LocallyConnected2d"]


class LocallyConnected2d(nn.Module):
    r"""A locally connected layer: a square convolution of stride 1 that shares no weights between places.

    .. math::
        y_{o, p} = b_{o, p} + \sum_k W_{o, p, k}\, x_{k}(p)

    with the k-th of the inputs around the place p. Weights are real, :func:`snntorch_binary.binarize_` reports them as
    left so. They start as those of a convolution.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        image_size: height and width of the input.
        kernel_size: side of the kernel.
        padding: zeros around the input.
        device: as in torch.
        dtype: as in torch.

    Shape:
        [B, in_channels, H, W] -> [B, out_channels, H', W'] with H' = H + 2 padding - kernel_size + 1.

    Raises:
        ValueError: a size is not positive, or the input is of another one.

    Example:
        >>> import torch
        >>> LocallyConnected2d(3, 8, (6, 6), kernel_size=3, padding=1)(torch.rand(2, 3, 6, 6)).shape
        torch.Size([2, 8, 6, 6])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        image_size: tuple[int, int],
        kernel_size: int,
        padding: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        places = [size + 2 * padding - kernel_size + 1 for size in image_size]
        if min(in_channels, out_channels, kernel_size, *places) < 1 or padding < 0:
            sizes = (in_channels, out_channels, *image_size, kernel_size, padding)
            raise ValueError(expected("sizes", "positive integers, and a kernel within the padded image", sizes))
        self.in_channels, self.out_channels, self.image_size = in_channels, out_channels, tuple(image_size)
        self.kernel_size, self.padding = kernel_size, padding
        height, width = places
        self.fan_in = in_channels * kernel_size**2
        options = {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(torch.empty(out_channels, height, width, self.fan_in, **options))
        self.bias = nn.Parameter(torch.empty(out_channels, height, width, **options))
        bound = 1 / math.sqrt(self.fan_in)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102  # the class says it
        if x.dim() != 4 or x.shape[1:] != (self.in_channels, *self.image_size):
            shape = ["B", self.in_channels, *self.image_size]
            raise ValueError(expected("x", f"a tensor of shape {shape}", list(x.shape)))
        around = F.unfold(x, self.kernel_size, padding=self.padding)  # [B, fan_in, places]
        sums = torch.einsum("bkp,opk->bop", around, self.weight.flatten(1, 2))
        return sums.unflatten(2, self.weight.shape[1:3]) + self.bias

    def extra_repr(self) -> str:  # noqa: D102  # the class says it
        sizes = f"{self.in_channels}, {self.out_channels}, image_size={self.image_size}"
        return f"{sizes}, kernel_size={self.kernel_size}, padding={self.padding}"
