"""Nodes as modules of this package."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from snntorch_binary._errors import in_one_line
from snntorch_binary._json import parse_json
from snntorch_binary.export.errors import NIRFileError
from snntorch_binary.nn.binary import BinaryConv1d, BinaryConv2d, BinaryLayer, BinaryLinear
from snntorch_binary.nn.time_first import TimeFirst
from snntorch_binary.packed.geometry import LARGEST
from snntorch_binary.weights import Sign, WeightRule


@dataclass(frozen=True)
class Form:
    """What a network is built for: its time step, and whether it takes one time step at a time."""

    dt: float
    step: bool

    def of_examples(self, layer: nn.Module) -> nn.Module:
        """Return a layer that takes a batch of examples in this form."""
        return layer if self.step else TimeFirst(layer)


def linear(name: str, node: Any) -> nn.Module:
    """Return the layer of an Affine or Linear node."""
    bias = getattr(node, "bias", None)
    weight = _numbers(name, node, "weight")
    if weight.dim() != 2:
        raise NIRFileError.of(name, f"has weights of shape {list(weight.shape)}, which no Linear has")
    sizes = {"in_features": weight.shape[1], "out_features": weight.shape[0], "bias": bias is not None}
    return _filled(name, node, nn.Linear, BinaryLinear, sizes, weight)


def conv(name: str, node: Any, form: Form) -> nn.Module:
    """Return the layer of a convolution, or the average pooling that :func:`to_nir` wrote as one."""
    weight, sides = _numbers(name, node, "weight"), 1 if type(node).__name__ == "Conv1d" else 2
    if weight.dim() != sides + 2:
        raise NIRFileError.of(name, f"has weights of shape {list(weight.shape)}, which no Conv{sides}d has")
    padding = _word(node.padding)
    geometry: dict[str, Any] = {
        "stride": _sizes(name, node.stride, sides),
        "padding": padding if isinstance(padding, str) else _sizes(name, padding, sides, 0),
    }
    divisor = node.metadata.get("divisor")
    if divisor is not None and node.metadata.get("module") in ("AvgPool1d", "AvgPool2d"):
        return form.of_examples(_average(name, weight, int(divisor), geometry, sides))
    groups = int(node.groups)
    kept = int(node.metadata.get("groups", 1))
    if kept > 1 and groups == 1:
        groups, weight = kept, _blocks(name, weight, kept)
    options = {
        "in_channels": weight.shape[1] * groups,
        "out_channels": weight.shape[0],
        "kernel_size": tuple(weight.shape[2:]),
        **geometry,
        "dilation": _sizes(name, node.dilation, sides),
        "groups": groups,
        "bias": bool(node.metadata.get("has_bias", True)),
    }
    plain, binary = ((nn.Conv1d, BinaryConv1d), (nn.Conv2d, BinaryConv2d))[sides - 1]
    layer = _filled(name, node, plain, binary, options, weight)
    return layer if isinstance(layer, BinaryLayer) else form.of_examples(layer)


def _average(name: str, weight: Tensor, divisor: int, geometry: dict[str, Any], sides: int) -> nn.Module:
    kernel: Any = tuple(weight.shape[2:])
    area = math.prod(kernel)
    if divisor < 1 or bool((weight.flatten(1).sum(1) * divisor - area).abs().gt(1e-3).any()):
        raise NIRFileError.of(name, "says that it is an average pooling, and its weights say otherwise")
    if sides == 1:
        return nn.AvgPool1d(kernel, **geometry)
    return nn.AvgPool2d(kernel, **geometry, divisor_override=None if divisor == area else divisor)


def _blocks(name: str, weight: Tensor, groups: int) -> Tensor:
    """Return the weight [C_out, C_in / groups, ...] of a convolution that was written without its groups."""
    if groups < 1 or weight.shape[0] % groups or weight.shape[1] % groups:
        raise NIRFileError.of(name, f"has weights of shape {list(weight.shape)}, which are not {groups} groups")
    parts = [block.chunk(groups, 1)[group] for group, block in enumerate(weight.chunk(groups))]
    return torch.cat(parts)


def _filled(
    name: str, node: Any, plain: type[nn.Module], binary: type[nn.Module], options: dict[str, Any], weight: Tensor
) -> nn.Module:
    """Return a layer with the weights of a node, binary where these are two-valued."""
    layer: Any
    if "latent" in node.metadata:
        layer = _with_latent(name, node, binary, options, weight)
    else:
        scale = _scale(weight)
        if scale is None:
            layer = plain(**options)
            layer.weight.data = weight
        else:
            layer = binary(**options, weight=Sign(), scale="channel" if isinstance(scale, Tensor) else scale)
            layer.weight = weight
            if isinstance(scale, Tensor):
                layer.gain.data = scale * layer.fan_in**0.5
    if layer.bias is not None:
        bias = _numbers(name, node, "bias")
        if bias.shape != layer.bias.shape:
            raise NIRFileError.of(name, f"has a bias of shape {list(bias.shape)} for {len(weight)} outputs")
        layer.bias.data = bias
    return layer


def _with_latent(name: str, node: Any, binary: type[nn.Module], options: dict[str, Any], weight: Tensor) -> nn.Module:
    try:
        rule = WeightRule.from_json(parse_json(node.metadata["rule"]))
        scale = parse_json(node.metadata["scale"])
        layer: Any = binary(**options, weight=rule, scale=scale)
    except (LookupError, ValueError, TypeError, ArithmeticError) as error:
        raise NIRFileError.of(name, f"has damaged metadata: {in_one_line(error)}") from None
    for key, parameter in (("latent", layer.latent), ("gain", layer.gain)):
        if parameter is None:
            continue
        value = _tensor(node.metadata.get(key))
        if value is None or value.shape != parameter.shape or not bool(torch.isfinite(value).all()):
            raise NIRFileError.of(name, f"has metadata whose {key!r} is damaged")
        parameter.data = value
    layer.eval()
    layer.draw.forget()
    if not torch.allclose(layer.weight.detach().as_subclass(Tensor), weight, rtol=1e-5, atol=0):
        raise NIRFileError.of(name, "has other weights than its metadata says: remove the metadata or the change")
    return layer


def _scale(weight: Tensor) -> float | Tensor | None:
    """Return the scale of two-valued weights, one for all or one for each output, or ``None`` if they are not."""
    size = weight.flatten(1).abs()
    if size.shape[1] < 2 or not bool(((size == size[:, :1]) & (size > 0)).all()):
        return None  # one input has one weight, real or not
    return float(size[0, 0]) if bool((size == size[0, 0]).all()) else size[:, 0].clone()


def pool(nir: Any, name: str, node: Any, form: Form) -> nn.Module:
    """Return the pooling of a SumPool2d or AvgPool2d node."""
    lows = {"kernel_size": 1, "stride": 1, "padding": 0}
    options = {key: _sizes(name, getattr(node, key), 2, low) for key, low in lows.items()}
    if node.metadata.get("module") == "MaxPool2d":
        return form.of_examples(nn.MaxPool2d(**options))  # type: ignore[arg-type]  # sizes only
    divisor = 1 if isinstance(node, nir.SumPool2d) else None
    return form.of_examples(nn.AvgPool2d(**options, divisor_override=divisor))  # type: ignore[arg-type]  # as above


def flatten(name: str, node: Any, form: Form) -> nn.Module:
    """Return the Flatten of a node, its dimensions counted from the end: there is a batch in front."""
    size = len(node.input_type["input"])
    start, end = (int(dim) if dim < 0 else int(dim) - size for dim in (node.start_dim, node.end_dim))
    if not -size <= start <= end < 0:
        raise NIRFileError.of(name, f"flattens dimensions {node.start_dim} to {node.end_dim} of {size}")
    return form.of_examples(nn.Flatten(start, end))


def _tensor(value: Any) -> Tensor | None:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        return None
    tensor = torch.from_numpy(value.copy())
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _numbers(name: str, node: Any, attribute: str) -> Tensor:
    tensor = _tensor(np.asarray(getattr(node, attribute)))
    numbers = None if tensor is None else tensor.float()  # a large double is infinite here
    if numbers is None or not numbers.numel() or not bool(torch.isfinite(numbers).all()):
        raise NIRFileError.of(name, f"has a {attribute} that is empty, infinite or no number")
    return numbers


def _word(value: Any) -> Any:
    return value.decode("utf8") if isinstance(value, bytes) else value


def _sizes(name: str, value: Any, sides: int, low: int = 1) -> tuple[int, ...]:
    """Return a size for each side, from one number or several."""
    sizes = np.asarray(value).reshape(-1)
    if sizes.dtype.kind not in "iu" or len(sizes) not in (1, sides) or ((sizes < low) | (sizes > LARGEST)).any():
        raise NIRFileError.of(name, f"has {value!r} where there should be {sides} sizes in [{low}, {LARGEST}]")
    found = tuple(int(size) for size in sizes)
    return found * sides if len(found) == 1 else found
