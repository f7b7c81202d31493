"""The convolution of a binary layer: scale · (x * W) + b, event-driven where x is spikes and these are few.

It is computed channels-last, the order in which neighbouring taps lie side by side. What it takes nothing of is left
to torch: other inputs, groups, dilation, and borders that are no zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn.grad import conv2d_input, conv2d_weight

from snntorch_binary.kernels.engine import compiled, flat
from snntorch_binary.kernels.events import MAX_DENSITY, Events
from snntorch_binary.kernels.memory import empty
from snntorch_binary.kernels.product import is_plain, kept_as

_LEAST_WORK = 1 << 20  # below, a list of spikes gains nothing
_FEW_IN_A_WINDOW = 6  # measured: up to here going spike by spike is faster than going window by window
MAX_SHARE_OF_GRADIENTS = 0.3  # measured: with more that are not zero, the dense product is faster
_MANY_CHANNELS = 32  # measured: from here on torch is faster with all in channels-last order

Pair = tuple[int, int]


def event_convolution(
    x: Tensor, weight: Tensor, scale: float | Tensor, bias: Tensor | None, stride: Pair, padding: Pair
) -> Tensor | None:
    """Return scale · (x * W) + b in channels-last order, or ``None`` where x is not few spikes.

    Args:
        x: [N, C, H, W], in either order.
        weight: [O, C, KH, KW].
        scale: a number or one of each output [O].
        bias: [O], or ``None``.
        stride: along H and W.
        padding: with zeros, along H and W.
    """
    images = Images.of(x, weight, stride, padding) if is_plain(x, weight) else None
    if images is None:
        return None
    with kept_as(x, images):
        return _EventConvolution.apply(x, weight, scale, bias, images).movedim(-1, 1)


@dataclass(frozen=True)
class Images:
    """The spikes of images [N, H, W, C], and the convolution that they go through."""

    events: Events
    size: tuple[int, int, int]
    """H, W, C."""
    outputs: tuple[int, int, int]
    """OH, OW, O."""
    kernel: Pair
    stride: Pair
    padding: Pair

    @staticmethod
    def of(x: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Images | None:
        """List the spikes of x, if they are few and there is work."""
        images, channels, height, width = x.shape
        features, _, *kernel = weight.shape
        rows, columns = (
            (size + 2 * pad - taps) // step + 1
            for size, pad, taps, step in zip((height, width), padding, kernel, stride, strict=True)
        )
        if min(rows, columns, images, channels) < 1 or images * rows * columns * weight.numel() < _LEAST_WORK:
            return None
        x = x.detach().movedim(1, -1)
        if compiled("convolution", weight.detach().contiguous(), x[:1].contiguous()) is None:
            return None
        if int((x[0] != 0).sum()) > 2 * MAX_DENSITY * x[0].numel():  # not worth another order in memory
            return None
        events = Events.of(x.contiguous().flatten(1))
        if events is None:
            return None
        size, outputs = (height, width, channels), (rows, columns, features)
        return Images(events, size, outputs, (kernel[0], kernel[1]), stride, padding)

    @property
    def shape(self) -> torch.Size:
        """Of the images as torch has them, [N, C, H, W]."""
        height, width, channels = self.size
        return torch.Size((len(self), channels, height, width))

    def dense(self) -> Tensor:
        """Return the images [N, C, H, W]."""
        return self.events.dense().unflatten(1, self.size).movedim(-1, 1)

    def __len__(self) -> int:
        return len(self.events.start) - 1

    def part(self, begin: int, end: int) -> Images:
        """Return some of the images."""
        return replace(self, events=replace(self.events, start=self.events.start[begin : end + 1]))

    def sums(self, weight: Tensor, kernels: ModuleType) -> Callable[[int, int], Tensor]:
        """Return what gives the sums of weights [N, OH, OW, O] of images from one to another."""
        index, weight = self.events.index.numpy(), weight.detach()
        height, width, channels = self.size
        in_window = len(index) / len(self) * self.kernel[0] * self.kernel[1] / (height * width)
        by_spike = in_window <= _FEW_IN_A_WINDOW
        rows, columns, order, _ = self._lines()
        table = flat((weight.permute(1, 2, 3, 0)[:, :, order] if by_spike else weight.permute(2, 3, 1, 0)).contiguous())

        def of(begin: int, end: int) -> Tensor:
            out, start = empty(end - begin, *self.outputs), self.events.start[begin : end + 1].numpy()
            if by_spike:
                lines = (rows, columns, table, self.kernel, self.stride[0])
                kernels.scatter(index, start, self.size, *lines, self.outputs, flat(out))
            else:
                first = torch.empty(end - begin, height * width + 1, dtype=torch.int64).numpy()
                kernels.first_of_pixels(index, start, channels, first)
                geometry = (self.kernel, self.stride, self.padding, self.outputs)
                kernels.gather(index, first, self.size, table, *geometry, flat(out))
            return out

        return of

    def outer(self, grad: Tensor, kernels: ModuleType) -> Tensor:
        """Return the gradient of the weights [O, C, KH, KW] from that of their sums [N, OH, OW, O]."""
        table = torch.empty(self.size[2], *self.kernel, self.outputs[2])
        spikes = (self.events.index.numpy(), self.events.start.numpy(), self.size)
        if self.stride == (1, 1):
            kernels.correlate_by_channel(*spikes, flat(grad), self.kernel, self.padding, self.outputs, flat(table))
        else:
            rows, columns, _, place = self._lines()
            lines = (rows, columns, flat(grad), self.kernel, self.stride[0])
            kernels.correlate(*spikes, *lines, self.outputs, flat(table))
            table = table[:, :, place]
        return table.permute(3, 0, 1, 2)

    def to_input(self, grad: Tensor, weight: Tensor, kernels: ModuleType) -> Tensor:
        """Return the gradient of the images [N, C, H, W] from that of the sums [N, OH, OW, O]."""
        sample = grad[:: max(1, len(grad) // 8)]
        if int(torch.count_nonzero(sample)) > MAX_SHARE_OF_GRADIENTS * sample.numel():
            return _plain_to_input(self, grad.movedim(-1, 1), weight)
        found = empty(len(grad), *self.size)
        table = flat(weight.permute(0, 2, 3, 1).contiguous())
        geometry = (self.kernel, self.stride, self.padding, self.size)
        kernels.spread(flat(grad), len(grad), self.outputs, table, *geometry, flat(found))
        return found.movedim(-1, 1)

    def _lines(self) -> tuple[Any, Any, Tensor, Tensor]:
        """Return which rows and columns of outputs see those of inputs, the order of taps, and their place in it."""
        (height, width, _), (rows, columns, _) = self.size, self.outputs
        order = [tap for first in range(self.stride[1]) for tap in range(first, self.kernel[1], self.stride[1])[::-1]]
        place = torch.tensor(order).argsort()
        by_row = _seen_by(height, self.kernel[0], self.stride[0], self.padding[0], rows)
        by_column = _seen_by(width, self.kernel[1], self.stride[1], self.padding[1], columns).clone()
        by_column[:, 2] = place[by_column[:, 2]]
        return by_row.numpy(), by_column.numpy(), torch.tensor(order), place


@lru_cache(maxsize=256)
def _seen_by(size: int, taps: int, stride: int, padding: int, outputs: int) -> Tensor:
    """Return [size, 3]: of each input along one dimension the first output that sees it, how many do, the first's tap.

    The next output sees it by the tap that is ``stride`` before.
    """
    found = torch.zeros(size, 3, dtype=torch.int64)
    for place in range(size):
        seen = [
            ((place + padding - tap) // stride, tap)
            for tap in range(taps)[::-1]
            if (place + padding - tap) % stride == 0 and 0 <= (place + padding - tap) // stride < outputs
        ]
        if seen:
            found[place] = torch.tensor((seen[0][0], len(seen), seen[0][1]))
    return found


def scaled_(sums: Tensor, scale: float | Tensor, bias: Tensor | None) -> Tensor:
    """Return scale · sums + b, in place, rounded as of a dense product."""
    if isinstance(scale, Tensor) and bias is not None:
        return torch.addcmul(bias, sums, scale, out=sums)
    sums *= scale
    return sums if bias is None else sums.add_(bias)


def _plain_to_input(images: Images, grad: Tensor, weight: Tensor) -> Tensor:
    if min(weight.shape[:2]) >= _MANY_CHANNELS:
        weight = weight.contiguous(memory_format=torch.channels_last)
    return conv2d_input(images.shape, weight, grad, images.stride, images.padding)


class _EventConvolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, scale: float | Tensor, bias: Tensor | None, images: Images
    ) -> Tensor:
        ctx.images, ctx.scale = images, scale
        ctx.save_for_backward(x, weight, scale if isinstance(scale, Tensor) else None)
        kernels = compiled("convolution")
        assert kernels is not None
        return scaled_(images.sums(weight, kernels)(0, len(images)), scale, bias)  # no view: it may be written to

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        to_x = to_weight = to_scale = to_bias = None
        x, weight, scale = ctx.saved_tensors
        scale = ctx.scale if scale is None else scale[:, None, None, None]
        images: Images = ctx.images
        rows, grad = grad.contiguous(), grad.movedim(-1, 1)
        kernels = None if torch.is_grad_enabled() else compiled("convolution", rows, weight.detach().contiguous())
        if ctx.needs_input_grad[0]:
            in_force = weight * scale
            if kernels is None:
                to_x = _plain_to_input(images, grad, in_force)
            else:
                to_x = images.to_input(rows, in_force, kernels)
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            if kernels is None:
                x = x if torch.is_grad_enabled() else images.dense()
                outer = conv2d_weight(x, weight.shape, grad, images.stride, images.padding)
            else:
                outer = images.outer(rows, kernels)
            to_weight = (outer * scale).contiguous()
            if ctx.needs_input_grad[2]:
                to_scale = (outer * weight).sum((1, 2, 3))
        if ctx.needs_input_grad[3]:
            to_bias = rows.flatten(0, 2).sum(0)
        return to_x, to_weight, to_scale, to_bias, None
