"""Average pooling by windows that tile an image: its gradient is written once, where torch clears and adds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from snntorch_binary.kernels.engine import is_batched
from snntorch_binary.kernels.memory import empty
from snntorch_binary.kernels.product import is_plain

Pair = tuple[int, int]


def averages(x: Tensor, window: Pair) -> Tensor | None:
    """Return the means over windows of x [N, C, H, W]; ``None`` where torch's own is to be taken."""
    height, width = x.shape[2:] if x.dim() == 4 else (0, 0)
    if min(height, width, *window) < 1 or height % window[0] or width % window[1] or not torch.is_grad_enabled():
        return None
    if x.dtype != torch.float32 or not x.is_cpu or not is_plain(x, x):
        return None
    return _Averages.apply(x, window)


class _Averages(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, window: Pair) -> Tensor:
        ctx.window, ctx.shape = window, x.shape
        ctx.channels_last = not x.is_contiguous() and x.movedim(1, -1).is_contiguous()
        return torch.nn.functional.avg_pool2d(x, window)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        images, channels, height, width = ctx.shape
        rows, columns = ctx.window
        each = (grad / (rows * columns))[:, :, :, None, :, None]
        if is_batched(grad):
            return each.expand(-1, -1, -1, rows, -1, columns).reshape(ctx.shape), None
        if ctx.channels_last:
            to_x = empty(images, height, width, channels).movedim(-1, 1)
        else:
            to_x = empty(images, channels, height, width)
        windows = to_x.unflatten(3, (-1, columns)).unflatten(2, (-1, rows))
        windows.copy_(each.expand_as(windows))
        return to_x, None
