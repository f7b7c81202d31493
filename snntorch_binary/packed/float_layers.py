"""What `pack` takes from a layer of torch or of this package: its ±1 weights, its geometry, a norm behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snntorch_binary.nn.binary import (
    BinaryConv1d,
    BinaryConv2d,
    BinaryConv3d,
    BinaryConvTranspose1d,
    BinaryConvTranspose2d,
    BinaryConvTranspose3d,
    BinaryLayer,
    BinaryLinear,
)
from snntorch_binary.nn.scale import by_output
from snntorch_binary.nn.subclasses import computes_as
from snntorch_binary.nn.time_first import TimeFirst
from snntorch_binary.packed.geometry import Geometry

LINEAR = (nn.Linear, BinaryLinear)
TRANSPOSED = (
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    *(BinaryConvTranspose1d, BinaryConvTranspose2d, BinaryConvTranspose3d),
)
CONV = (nn.Conv1d, nn.Conv2d, nn.Conv3d, BinaryConv1d, BinaryConv2d, BinaryConv3d, *TRANSPOSED)
NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
POOL = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)


@dataclass
class Weights:
    """A layer's weights in force: signs, scale and bias of every output, and how the two are rounded."""

    positive: Tensor
    scale: Tensor
    bias: Tensor | None
    fused_bias: bool


def without_time(module: nn.Module) -> nn.Module:
    """Return the module inside a :class:`snntorch_binary.nn.TimeFirst`, or the module itself."""
    return module.module if isinstance(module, TimeFirst) else module


def weights_of(layer: nn.Module) -> Weights | None:
    """Return the ±1 weights of a layer, binary or frozen, or ``None`` if it has others."""
    found = weights_or_reason(layer)
    return found if isinstance(found, Weights) else None


def weights_or_reason(layer: nn.Module) -> Weights | str:
    """Return the ±1 weights of a layer, binary or frozen, or why it cannot be packed."""
    if computes_as(layer) not in (*LINEAR, *CONV):
        return f"a {type(layer).__name__} may use its weights in another way than a Linear or Conv"
    if isinstance(layer, CONV) and geometry_of(layer) is None:
        if layer.padding_mode != "zeros":
            return f"it pads by padding_mode={layer.padding_mode!r}, and packed ones pad with zeros"
        return "its kernel, stride, dilation or padding is too large, or its padding larger than what its kernel covers"
    with torch.no_grad():
        if not (layer.latent if isinstance(layer, BinaryLayer) else layer.weight).numel():  # type: ignore[operator]
            return "it has no weights"
        if isinstance(layer, BinaryLayer):
            weight, fused = layer.in_force().detach(), isinstance(layer._scale(), Tensor)
            if not bool(torch.isfinite(layer.latent).all()):  # the sign of NaN is +1
                return "its latent holds infinite values or NaN"
            if not bool((weight.abs() == 1).all()):
                return f"not all of its weights by {layer.rule!r} are -1 or +1"
            weight = _as_of_convolution(layer, weight)
            scale = torch.as_tensor(layer._scale(), dtype=torch.float32).expand(len(weight))
        else:
            weight, fused = _as_of_convolution(layer, layer.weight.detach()), False  # type: ignore[operator]
            size = weight.flatten(1).abs()
            scale = size[:, 0]
            largest = size.amax(1, keepdim=True)
            if bool(((size == largest) | (size == 0)).all()) and bool((size == 0).any()):
                return "some of its weights are zero, as pruning leaves them, and one bit holds -1 or +1"
            # One input has one weight, real or not.
            if size.shape[1] < 2 or not bool(((size == scale[:, None]) & (size > 0)).all()):
                return "its weights are real numbers"
        if weight.dtype != torch.float32:
            return f"its weights are {weight.dtype}, and packed ones compute in torch.float32"
        if not bool(torch.isfinite(scale).all()):
            return "its scale is infinite or NaN"
        bias: Any = layer.bias
        return Weights(weight > 0, scale.detach().clone(), None if bias is None else bias.detach(), fused)


def _as_of_convolution(layer: nn.Module, weight: Tensor) -> Tensor:
    """Return weights as [C_out, C_in / groups, kernel], in the order in which an output position sees its inputs."""
    if not isinstance(layer, TRANSPOSED):
        return weight
    return by_output(layer, weight).flip(tuple(range(2, weight.dim())))


def geometry_of(layer: Any) -> Geometry | None:
    """Return the geometry of a convolution or max pooling, or ``None`` if it is not packed."""
    spatial = 1 if "1d" in type(layer).__name__ else 2 if "2d" in type(layer).__name__ else 3

    def each(value: Any) -> tuple[int, ...]:
        return tuple(value) if isinstance(value, (tuple, list)) else (value,) * spatial

    kernel, stride, dilation = each(layer.kernel_size), each(layer.stride), each(layer.dilation)
    if isinstance(layer, POOL):
        if layer.ceil_mode or layer.return_indices:
            return None
        padding: Sequence[tuple[int, int]] = [(size, size) for size in each(layer.padding)]
    elif layer.padding_mode != "zeros":
        return None
    elif isinstance(layer, TRANSPOSED):
        return _geometry_of_transposed(kernel, stride, dilation, each(layer.padding), each(layer.output_padding))
    elif layer.padding == "valid":
        padding = [(0, 0)] * spatial
    elif layer.padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        padding = [(size // 2, size - size // 2) for size in total]
    else:
        padding = [(size, size) for size in each(layer.padding)]
    try:
        return Geometry(kernel, stride, dilation, tuple(padding))
    except ValueError:  # larger than what is packed
        return None


def _geometry_of_transposed(
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: tuple[int, ...],
    output_padding: tuple[int, ...],
) -> Geometry | None:
    around = [d * (k - 1) - p for d, k, p in zip(dilation, kernel, padding, strict=True)]
    both = tuple((size, size + more) for size, more in zip(around, output_padding, strict=True))
    try:
        return Geometry(kernel, (1,) * len(kernel), dilation, both, stride)
    except ValueError:  # larger than what is packed, or outputs are cut off
        return None


def is_norm_of(module: nn.Module, weights: Weights) -> bool:
    """Say whether a module is a time-first batch norm with kept statistics, as many as a layer has outputs."""
    inner = without_time(module)
    if not isinstance(module, TimeFirst) or type(inner) not in NORM:
        return False
    mean: Any = inner.running_mean
    return mean is not None and mean.dtype == torch.float32 and mean.shape == weights.scale.shape


def norm_of(norm: Any) -> tuple[Tensor, Tensor]:
    """Return scale and bias of a batch norm in evaluation mode: what it makes of 1 without a mean, and of 0."""
    nothing = torch.zeros_like(norm.running_mean)[None]
    with torch.no_grad():
        scale = F.batch_norm(nothing + 1, nothing[0], norm.running_var, norm.weight, nothing[0], eps=norm.eps)
        bias = F.batch_norm(nothing, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
    return scale[0], bias[0]
