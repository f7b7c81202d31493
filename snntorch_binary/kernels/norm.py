"""Batch norms in training over time: each step has statistics of its own, and what is the same at every step once.

Of maps that lie channels-last they are as exact as of others; torch sums those one after the other in single
precision, a thousand times less exactly.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm as _BatchNormOfTorch

from snntorch_binary.kernels.again import gradients
from snntorch_binary.kernels.channels_last import lie_channels_last
from snntorch_binary.kernels.engine import array, compiled, is_batched
from snntorch_binary.kernels.memory import empty_like
from snntorch_binary.kernels.threads import in_threads, parts
from snntorch_binary.nn.hooks import is_watched


def normalized(norm: nn.Module, x: Tensor) -> Tensor:
    """Apply a batch norm that takes its statistics from a batch to each step of x [T, B, ...] by itself."""
    if not _has_kernels(norm, x):
        return torch.stack([norm(x_t.contiguous()) for x_t in x.unbind(0)])
    assert isinstance(norm, nn.BatchNorm2d)
    y, mean, variance = _BatchNorm.apply(x, norm.weight, norm.bias, norm.eps)
    _keep(norm, mean, variance, x[0].numel() // x.shape[2])
    return y


def normalized_and_repeated(norm: nn.Module, x: Tensor, steps: int) -> Tensor:
    """Apply such a norm to x [B, ...] that is the same at every step; return it at every step [T, B, ...]."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    plain = type(norm) in kinds and not is_watched(norm) and x.dtype in (torch.float32, torch.float64)
    if not plain or x.dim() < 2 or x.numel() <= x.shape[1]:
        return normalized(norm, x.expand(steps, *x.shape))
    assert isinstance(norm, _BatchNormOfTorch)
    norm._check_input_dim(x)
    y, mean, inverse = torch.native_batch_norm(x.contiguous(), norm.weight, norm.bias, None, None, True, 0.0, norm.eps)
    variance = inverse.detach().double().pow(-2).sub(norm.eps).clamp(min=0).to(x.dtype)
    if bool((variance < norm.eps).any()):  # of which little is left in the inverse
        variance = x.detach().var([dim for dim in range(x.dim()) if dim != 1], correction=0)
    _keep(norm, mean.detach().expand(steps, -1), variance.expand(steps, -1), x.numel() // x.shape[1])
    return y.expand(steps, *y.shape)


def _has_kernels(norm: nn.Module, x: Tensor) -> bool:
    if type(norm) is not nn.BatchNorm2d or is_watched(norm) or torch.is_autocast_enabled(x.device.type):
        return False
    if not lie_channels_last(x) or x.shape[2] != norm.num_features or x[0].numel() <= x.shape[2]:
        return False
    tensors = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    return compiled("norm", x.movedim(2, -1), *(each for each in tensors if each is not None)) is not None


@torch.no_grad()
def _keep(norm: _BatchNormOfTorch, means: Tensor, variances: Tensor, count: int) -> None:
    """Let running statistics go on step by step, as torch does."""
    if norm.running_mean is None or norm.running_var is None or not (norm.training and norm.track_running_stats):
        return
    for mean, variance in zip(means, variances * (count / max(count - 1, 1)), strict=True):
        share = norm.momentum
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
            share = 1 / float(norm.num_batches_tracked) if share is None else share
        norm.running_mean.lerp_(mean, share or 0.0)
        norm.running_var.lerp_(variance, share or 0.0)


def _by_torch(eps: float, x: Tensor, weight: Tensor | None, bias: Tensor | None) -> tuple[Tensor]:
    steps = (F.batch_norm(x_t.contiguous(), None, None, weight, bias, True, 0.0, eps) for x_t in x.unbind(0))
    return (torch.stack(list(steps)),)


def _rows(x: Tensor) -> Any:
    """Return maps [T, B, C, H, W] that lie channels-last as kernels take them, [T, M, C]."""
    return array(x.movedim(2, -1).flatten(1, -2))


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        kernels = compiled("norm")
        assert kernels is not None
        mean, variance = x.new_empty(2, x.shape[0], x.shape[2])
        in_threads(partial(kernels.statistics, _rows(x), array(mean), array(variance)), parts(len(x), x.numel()))
        y, unused = empty_like(x), (x.new_empty(0), x.new_empty(0))
        for x_t, y_t, *of_x in zip(x, y, mean, variance, strict=True):
            torch.native_batch_norm(x_t, weight, bias, of_x[0], of_x[1], False, 0.0, eps, out=(y_t, *unused))
        ctx.save_for_backward(x, weight, bias, mean, variance)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, variance = ctx.saved_tensors
        needed = ctx.needs_input_grad[:3]
        in_torch = torch.is_grad_enabled() or is_batched(grad)
        kernels = None if in_torch else compiled("norm", x.movedim(2, -1))
        if kernels is None:
            return (*gradients(partial(_by_torch, ctx.eps), (x, weight, bias), needed, (grad,)), None)
        dx, to_weight, to_bias = empty_like(x), torch.empty_like(mean), torch.empty_like(mean)
        size = torch.ones_like(mean[0]) if weight is None else weight
        of_x = (_rows(x), array(mean), array((variance + ctx.eps).rsqrt_()), array(size))
        found = (_rows(dx), array(to_weight), array(to_bias))
        grad = grad if lie_channels_last(grad) else grad.movedim(2, -1).contiguous().movedim(-1, 2)
        in_threads(partial(kernels.gradients, _rows(grad), *of_x, *found), parts(len(x), x.numel()))
        return dx, to_weight.sum(0) if needed[1] else None, to_bias.sum(0) if needed[2] else None, None
