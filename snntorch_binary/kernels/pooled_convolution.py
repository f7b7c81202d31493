"""A convolution of few spikes and the max pooling behind it, without the maps in between.

A few images at a time go through both, so that their maps stay in the cache; of a pooling, the place of each largest
entry is kept, in a byte.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from snntorch_binary.kernels.again import gradients
from snntorch_binary.kernels.convolution import MAX_SHARE_OF_GRADIENTS, Images, Pair, scaled_
from snntorch_binary.kernels.engine import compiled, flat
from snntorch_binary.kernels.product import is_plain, kept_as, scaled

_NUMBERS_IN_CACHE = 1 << 17


def pooled_event_convolution(
    x: Tensor,
    weight: Tensor,
    scale: float | Tensor,
    bias: Tensor | None,
    stride: Pair,
    padding: Pair,
    window: Pair,
    step: Pair,
) -> Tensor | None:
    """Return the max pooling of scale · (x * W) + b in channels-last order, or ``None`` where x is not few spikes.

    Args:
        x: [N, C, H, W], in either order.
        weight: [O, C, KH, KW].
        scale: a number or one of each output [O].
        bias: [O], or ``None``.
        stride: of the convolution, along H and W.
        padding: of it with zeros, along H and W.
        window: height and width of what is pooled, of at least four entries and at most 256.
        step: from one window to the next, along both.
    """
    if not 1 / MAX_SHARE_OF_GRADIENTS <= window[0] * window[1] <= 256 or step[0] < window[0] or step[1] < window[1]:
        return None
    images = Images.of(x, weight, stride, padding) if is_plain(x, weight) else None
    if images is None or images.outputs[0] < window[0] or images.outputs[1] < window[1]:
        return None
    with kept_as(x, images):
        return _PooledConvolution.apply(x, weight, scale, bias, images, window, step).movedim(-1, 1)


class _PooledConvolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        scale: float | Tensor,
        bias: Tensor | None,
        images: Images,
        window: Pair,
        step: Pair,
    ) -> Tensor:
        kernels, pooling = compiled("convolution"), compiled("pooling")
        assert kernels is not None
        assert pooling is not None
        rows, columns, features = images.outputs
        size = ((rows - window[0]) // step[0] + 1, (columns - window[1]) // step[1] + 1, features)
        pooled, chosen = torch.empty(len(images), *size), torch.empty(len(images), *size, dtype=torch.uint8)
        sums, each = images.sums(weight, kernels), _at_a_time(images)
        for begin in range(0, len(images), each):
            some = slice(begin, min(begin + each, len(images)))
            maps = scaled_(sums(some.start, some.stop), scale, bias)
            found = (flat(pooled[some]), flat(chosen[some]))
            pooling.pool(flat(maps), images.outputs, window, step, (len(maps), *size[:2]), *found)
        ctx.images, ctx.window, ctx.step, ctx.scale = images, window, step, scale
        ctx.save_for_backward(x, weight, scale if isinstance(scale, Tensor) else None, bias, chosen)
        return pooled  # no view: it may be written to

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, scale, bias, chosen = ctx.saved_tensors
        scale = ctx.scale if scale is None else scale
        images: Images = ctx.images
        rows, grad = grad.contiguous(), grad.movedim(-1, 1)
        kernels = None if torch.is_grad_enabled() else compiled("convolution", rows, weight.detach().contiguous())
        if kernels is None:
            x = x if torch.is_grad_enabled() else images.dense()
            inputs, nothing = (x, weight, scale, bias), (None, None, None)

            plain = partial(_plain, images, ctx.window, ctx.step)
            return (*gradients(plain, inputs, ctx.needs_input_grad, (grad,)), *nothing)
        pooling = compiled("pooling")
        assert pooling is not None
        to_x = to_weight = to_scale = to_bias = None
        of_scale = scale[:, None, None, None] if isinstance(scale, Tensor) else scale
        in_force = weight * of_scale
        to_x = torch.empty(len(images), *images.size) if ctx.needs_input_grad[0] else None
        learns = ctx.needs_input_grad[1] or ctx.needs_input_grad[2]
        outer, each = torch.zeros_like(weight), _at_a_time(images)
        for begin in range(0, len(images), each):
            end = min(begin + each, len(images))
            part, maps = images.part(begin, end), torch.empty(end - begin, *images.outputs)
            size = (len(maps), *rows.shape[1:3])
            geometry = (size, images.outputs, ctx.window, ctx.step)
            pooling.unpool(flat(rows[begin:end]), flat(chosen[begin:end]), *geometry, flat(maps))
            if learns:
                outer += part.outer(maps, kernels)
            if to_x is not None:
                to_x[begin:end] = part.to_input(maps, in_force, kernels).movedim(1, -1)
        if learns:
            to_weight = (outer * of_scale).contiguous()
            if ctx.needs_input_grad[2]:
                to_scale = (outer * weight).sum((1, 2, 3))
        if ctx.needs_input_grad[3]:
            to_bias = rows.flatten(0, 2).sum(0)
        to_x = None if to_x is None else to_x.movedim(-1, 1)
        return to_x, to_weight, to_scale, to_bias, None, None, None


def _at_a_time(images: Images) -> int:
    rows, columns, features = images.outputs
    return max(1, _NUMBERS_IN_CACHE // (rows * columns * features))


def _plain(
    images: Images,
    window: Pair,
    step: Pair,
    x: Tensor,
    weight: Tensor,
    scale: float | Tensor,
    bias: Tensor | None,
) -> tuple[Tensor]:
    by_channel = (-1, 1, 1)
    scale = scale.reshape(by_channel) if isinstance(scale, Tensor) else scale
    product = F.conv2d(x, weight, None, images.stride, images.padding)
    maps = scaled(product, scale, None if bias is None else bias.reshape(by_channel))
    return (F.max_pool2d(maps, window, step),)
