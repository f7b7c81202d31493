"""The scale of binary weights."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from snntorch_binary._errors import expected
from snntorch_binary.weights.rule import WeightRule, is_more_than_rounding

Scale = Literal["fan_in", "channel", "latent"] | float


def check_scale(scale: object, rule: WeightRule) -> Scale:
    """Return the scale, where none is given that of the rule, or say what a scale is.

    Raises:
        ValueError: it is neither a known name nor a positive number, or none for the latents of a rule.
    """
    if scale is None:
        return rule.default_scale
    if scale == "latent" and not rule.latent_is_a_weight:
        what = f"'fan_in', 'channel' or a positive float for {rule!r}, whose latents are no weights"
        raise ValueError(expected("scale", what, repr(scale)))
    number = isinstance(scale, (int, float)) and not isinstance(scale, bool)
    if scale in ("fan_in", "channel", "latent") or (number and 0 < scale < math.inf):  # type: ignore[operator]
        return scale  # type: ignore[return-value]
    raise ValueError(expected("scale", "'fan_in', 'channel', 'latent' or a positive float", repr(scale)))


def size_of_latents(layer: nn.Module, rule: WeightRule, latent: Tensor) -> Tensor:
    """Return twice the mean magnitude of a layer's real weights, of each output; where these are zero, 1/sqrt(fan_in).

    As torch's layers start, uniform within 1/sqrt(fan_in), it is 1/sqrt(fan_in).
    """
    size = 2 * rule.real_weight(latent).abs().mean()
    size = torch.where(is_more_than_rounding(size, latent), size, fan_in_of(layer, latent) ** -0.5)
    return size.expand(len(by_output(layer, latent)))


def sums_in_half(input: Tensor) -> bool:
    """Whether a product is taken in float16, where a sum of ±1 overflows that the scaled one does not."""
    device = input.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else input.dtype
    return dtype == torch.float16


def by_output(layer: nn.Module, weight: Tensor) -> Tensor:
    """Return a layer's weight as [C_out, ...], the order in which a transposed convolution has it not."""
    if not isinstance(layer, _ConvTransposeNd):
        return weight
    return weight.unflatten(0, (layer.groups, -1)).transpose(1, 2).flatten(0, 1)


def like_weight(layer: nn.Module, value: Tensor, weight: Tensor) -> Tensor:
    """Return a value of every output [C_out] in the shape in which it is multiplied by the layer's weight."""
    if isinstance(layer, _ConvTransposeNd):
        inputs = weight.shape[0] // layer.groups
        value = value.view(layer.groups, -1).repeat_interleave(inputs, 0)
        return value.reshape(*value.shape, *(1,) * (weight.dim() - 2))
    return value.reshape(-1, *(1,) * (weight.dim() - 1))


def fan_in_of(layer: nn.Module, weight: Tensor) -> int:
    """Return the number of inputs that one output sums over; of a transposed convolution with a stride, on average."""
    inputs = by_output(layer, weight).shape[1:].numel()
    if isinstance(layer, _ConvTransposeNd):
        inputs //= math.prod(layer.stride)
    return max(1, inputs)


def gain_like(layer: nn.Module, weight: Tensor) -> Tensor:
    """Return each output's gain with which scale · (±1) has the mean magnitude of real-valued weights."""
    weight = weight.detach()
    gain = by_output(layer, weight).flatten(1).abs().mean(1) * fan_in_of(layer, weight) ** 0.5
    return torch.where(gain > 0, gain, torch.ones_like(gain))
