"""The product of a binary layer: scale · (x Wᵀ) + b, event-driven where x is spikes and these are few.

On a GPU with ``use_engine("triton")`` it is taken on tensor cores, where it is exact: half precision holds spikes and
±1, and sums in float32 are exact up to 2^24 inputs.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from snntorch_binary.kernels.engine import compiled
from snntorch_binary.kernels.events import Events

_MANY_ROWS = 256  # from here on, what is done once a weight is little beside the product
_LEAST_OUTPUTS, _LEAST_WORK = 48, 1 << 20  # below, a list of spikes gains nothing
_LARGE = 1 << 18  # inputs from here on take less memory as a list, which costs fewer outputs no time either


class Spikes(Protocol):
    """Spikes as a list."""

    def dense(self) -> Tensor:
        """Return the tensor that they are in."""


def scaled_linear(x: Tensor, weight: Tensor, scale: float | Tensor, bias: Tensor | None) -> Tensor:
    """Return scale · (x Wᵀ) + b.

    Over many rows (all time steps at once) nothing is kept for the backward pass but x, as the list of its spikes
    where they are few: from G = Σ gradᵀ x, which the weights need anyway, follows what the scale needs, Σ W ∘ G.

    Args:
        x: [..., I].
        weight: [O, I].
        scale: a number or one of each output [O].
        bias: [O], or ``None``.
    """
    if not _takes_many_rows(x, weight):
        return scaled(F.linear(x, weight), scale, bias)
    outputs = len(weight)
    gains = (outputs >= _LEAST_OUTPUTS or x.numel() >= _LARGE) and x.numel() * outputs >= _LEAST_WORK
    events = Events.of(x) if gains else None
    if events is None:
        return _ScaledLinear.apply(x, weight, scale, bias, None)

    with kept_as(x, events):
        return _ScaledLinear.apply(x, weight, scale, bias, events)


def kept_as(x: Tensor, spikes: Spikes) -> AbstractContextManager[Any]:
    """Let an autograd Function keep the list of its input's spikes in place of the input.

    By hooks the input keeps its place in the graph, which second derivatives need; first ones only need the list.
    """
    address, shape = x.data_ptr(), x.shape  # not x itself: the hook lives as long as the graph

    def pack(tensor: Tensor) -> Tensor | Spikes:
        return spikes if tensor.data_ptr() == address and tensor.shape == shape else tensor

    def unpack(kept: Tensor | Spikes) -> Tensor:
        if isinstance(kept, Tensor):
            return kept
        return kept.dense() if torch.is_grad_enabled() else torch.zeros(1).expand(shape)

    return saved_tensors_hooks(pack, unpack)


def scaled(product: Tensor, scale: float | Tensor, bias: Tensor | None) -> Tensor:
    """Return scale · product + b in the product's dtype; scale and bias are numbers or broadcast to the product."""
    scale = scale.to(product.dtype) if isinstance(scale, Tensor) else scale
    if bias is None:
        return product * scale
    bias = bias.to(product.dtype)
    if isinstance(scale, Tensor):
        return torch.addcmul(bias, product, scale)
    return product * scale + bias  # not torch.add(..., alpha=scale), whose alpha inductor drops (torch 2.13)


def matrix_product(x: Tensor, weight: Tensor) -> Tensor:
    """Return x W^T of x [..., I] and weights [O, I], without a gradient.

    Triton finds out on the device whether there are other values than -1, 0 and 1, and multiplies those in float32.
    """
    kernels = compiled("product", x, weight)
    if kernels is None:
        return F.linear(x, weight)
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    return kernels.linear(rows, weight).view(*x.shape[:-1], len(weight))


def _takes_many_rows(x: Tensor, weight: Tensor) -> bool:
    return x.numel() >= _MANY_ROWS * x.shape[-1] and weight.numel() > 0 and is_plain(x, weight)


def is_plain(x: Tensor, weight: Tensor) -> bool:
    """Say whether nobody but autograd looks on at a product."""
    if x.dtype != weight.dtype or x.dtype not in (torch.float32, torch.float64):
        return False
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return False
    if torch.is_autocast_enabled(x.device.type) or type(x) not in (Tensor, torch.nn.Parameter):
        return False
    return all(torch.autograd.forward_ad.unpack_dual(tensor).tangent is None for tensor in (x, weight))


class _ScaledLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, scale: float | Tensor, bias: Tensor | None, events: Events | None
    ) -> Tensor:
        ctx.events, ctx.scale = events, scale
        ctx.save_for_backward(x, weight, scale if isinstance(scale, Tensor) else None)
        product = None if events is None else events.times(weight)
        if product is None:
            product = matrix_product(x.detach(), weight.detach())
        if isinstance(scale, Tensor) and bias is not None:
            return torch.addcmul(bias, product, scale, out=product)
        product *= scale
        return product if bias is None else product.add_(bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        to_x = to_weight = to_scale = to_bias = None
        x, weight, scale = ctx.saved_tensors
        scale = ctx.scale if scale is None else scale[:, None]
        rows = grad.reshape(-1, len(weight))
        if ctx.needs_input_grad[0]:
            to_x = grad @ (weight * scale)
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            outer = None if ctx.events is None or torch.is_grad_enabled() else ctx.events.outer(rows)
            if outer is None:
                outer = rows.T @ x.reshape(-1, weight.shape[1])
            to_weight = (outer * scale).contiguous()
            if ctx.needs_input_grad[2]:
                to_scale = (outer * weight).sum(1)
        if ctx.needs_input_grad[3]:
            to_bias = rows.sum(0)
        return to_x, to_weight, to_scale, to_bias, None
