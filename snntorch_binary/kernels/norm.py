"""Batch norms in training of maps that lie channels-last: as exact as of others.

torch sums them one after the other in single precision there, a thousand times less exactly than elsewhere.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snntorch_binary.kernels.again import gradients
from snntorch_binary.kernels.engine import array, compiled
from snntorch_binary.nn.hooks import is_watched


def normalized(norm: nn.Module, x: Tensor) -> Tensor:
    """Apply a batch norm that takes its statistics from the batch to x [B, ...]."""
    if x.is_contiguous():
        return norm(x)
    maps = x.movedim(1, -1)
    names = ("weight", "bias", "running_mean", "running_var")
    tensors = [each for name in names if (each := getattr(norm, name, None)) is not None]
    plain = type(norm) is nn.BatchNorm2d and not is_watched(norm) and not torch.is_autocast_enabled(x.device.type)
    fits = plain and x.dim() == 4 and x.shape[1] == norm.num_features and x.numel() > x.shape[1]
    if not fits or not maps.is_contiguous() or compiled("norm", maps, *tensors) is None:
        return norm(x.contiguous())
    assert isinstance(norm, nn.BatchNorm2d)
    y, mean, variance = _BatchNorm.apply(x, norm.weight, norm.bias, norm.eps)
    _keep(norm, mean, variance, x.numel() // x.shape[1])
    return y


@torch.no_grad()
def _keep(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
    """Let running statistics go on, as torch does."""
    if norm.running_mean is None or norm.running_var is None or not (norm.training and norm.track_running_stats):
        return
    share = norm.momentum
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
        share = 1 / float(norm.num_batches_tracked) if share is None else share
    norm.running_mean.lerp_(mean, share or 0.0)
    norm.running_var.lerp_(variance * (count / max(count - 1, 1)), share or 0.0)


def _by_torch(eps: float, x: Tensor, weight: Tensor | None, bias: Tensor | None) -> tuple[Tensor]:
    return (F.batch_norm(x.contiguous(), None, None, weight, bias, True, 0.0, eps),)


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        kernels = compiled("norm")
        assert kernels is not None
        mean, variance = x.new_empty(2, x.shape[1])
        kernels.statistics(array(x.movedim(1, -1).flatten(0, -2)), array(mean), array(variance))
        y = torch.native_batch_norm(x, weight, bias, mean, variance, False, 0.0, eps)[0]
        ctx.save_for_backward(x, weight, bias, mean, variance)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, variance = ctx.saved_tensors
        needed = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():
            return (*gradients(partial(_by_torch, ctx.eps), (x, weight, bias), needed, (grad,)), None)
        inverse = (variance + ctx.eps).rsqrt_()
        found = torch.ops.aten.native_batch_norm_backward(
            grad, x, weight, None, None, mean, inverse, True, ctx.eps, list(needed)
        )
        return (*(each if asked else None for each, asked in zip(found, needed, strict=True)), None)
