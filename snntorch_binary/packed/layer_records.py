"""Layers as a file holds them: weights as bits, scales and biases without copies, sizes that the file bears out."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary.kernels.bits import from_words, to_words
from snntorch_binary.packed.geometry import Geometry
from snntorch_binary.packed.layer import PackedLayer
from snntorch_binary.packed.layout import Layout
from snntorch_binary.packed.neuron_records import FUSED
from snntorch_binary.packed.record import Kinds, PackedFileError, Record, Tensors, read_one_of, write_one_of


def _without_copies(value: Tensor) -> Tensor:
    """[K, C] with one row where the members agree, and one column where the channels do."""
    value = value[:1] if bool((value == value[:1]).all()) else value
    return (value[:, :1] if bool((value == value[:, :1]).all()) else value).contiguous()


def _layer_to_record(layer: PackedLayer, path: str, tensors: Tensors) -> dict[str, Any]:
    layout, geometry = layer.layout, layer.geometry
    bits = to_words(layer.positive.reshape(1, -1, 1)).reshape(-1).view(torch.uint8)
    tensors[f"{path}.weights"] = bits[: (layer.num_weights + 7) // 8].clone()
    tensors[f"{path}.scale"] = _without_copies(layer.scale)
    if layer.biases is not None:
        tensors[f"{path}.bias"] = _without_copies(layer.biases)
    if layer.norm_scale is not None and layer.norm_bias is not None:
        tensors[f"{path}.norm_scale"] = _without_copies(layer.norm_scale)
        tensors[f"{path}.norm_bias"] = _without_copies(layer.norm_bias)
    return {
        "members": layout.members,
        "in_channels": layer.in_channels,
        "out_channels": layer.out_channels,
        "groups": layer.groups,
        **geometry_to_record(geometry),
        "shared": layout.shared,
        "ensemble": layer.ensemble,
        "packed_output": layer.packed_output,
        "bias": layer.bias is not None,
        "fused_bias": layer.fused_bias,
        "norm": layer.norm_scale is not None,
        "real_input": layer.real_input,
        "neuron": None if layer.neuron is None else write_one_of(FUSED, layer.neuron, f"{path}.neuron", tensors),
    }


def geometry_to_record(geometry: Geometry) -> dict[str, Any]:
    """Return the plain values of a geometry."""
    return {
        "kernel": list(geometry.kernel),
        "stride": list(geometry.stride),
        "dilation": list(geometry.dilation),
        "padding_before": [before for before, _ in geometry.padding],
        "padding_after": [after for _, after in geometry.padding],
    }


def geometry_of(record: Record) -> Geometry:
    """Return the geometry of a record."""
    padding = zip(record.sizes("padding_before", 0), record.sizes("padding_after", 0), strict=True)
    kernel, stride, dilation = (record.sizes(name, 1) for name in ("kernel", "stride", "dilation"))
    return Geometry(kernel, stride, dilation, tuple(padding))


def pooling_of(record: Record) -> Geometry:
    """Return the geometry of a record of a max pooling, whose windows no weights bear out."""
    geometry = geometry_of(record)
    if not geometry.can_pool:
        raise record.error("kernel", "a window that max pooling has, with at most half of it in padding")
    return geometry


def _layer_of(record: Record) -> PackedLayer:
    weights = record.tensor("weights", torch.uint8)
    most = 8 * weights.numel()
    members, outputs = record.integer("members", 1, most), record.integer("out_channels", 1, most)
    groups = record.integer("groups", 1, outputs)
    channels, geometry = record.integer("in_channels", 1, most * groups), geometry_of(record)
    if channels % groups or outputs % groups:
        raise record.error("groups", f"a divisor of {channels} and {outputs}")
    shape = (members, outputs, channels // groups, *geometry.kernel)
    size = math.prod(shape)
    # Only now, with sizes that the file itself bears out, is anything made of them.
    if weights.dim() != 1 or weights.numel() != (size + 7) // 8:
        raise PackedFileError(f"The weights of module {record.path!r} are not {size} bits.")
    shared = record.flag("shared")
    layout = Layout(members, outputs, size // (members * outputs), groups, shared)
    record.allowance.spend(_bytes_of(layout, size), record.path)
    ensemble, packed_output, neuron = record.flag("ensemble"), record.flag("packed_output"), record.values.get("neuron")
    if (members > 1 and not ensemble) or (packed_output and neuron is None):
        raise PackedFileError(f"The module {record.path!r} contradicts itself.")
    norm = None
    if record.flag("norm"):
        norm = tuple(_per_output(record, name, members, outputs) for name in ("norm_scale", "norm_bias"))
    words = nn.functional.pad(weights, (0, -weights.numel() % 8)).view(torch.int64)
    layer = PackedLayer(
        (from_words(words, size) != 0).view(shape),
        _per_output(record, "scale", members, outputs),
        _per_output(record, "bias", members, outputs) if record.flag("bias") else None,
        None if neuron is None else read_one_of(FUSED, record.child(neuron, "neuron")),
        geometry,
        groups=groups,
        shared=shared,
        ensemble=ensemble,
        packed_output=packed_output,
        fused_bias=record.flag("fused_bias"),
        norm=norm,  # type: ignore[arg-type]
        real_input="real_input" in record.values and record.flag("real_input"),  # version 1 has no such layer
    )
    layer.name = record.path
    return layer


def _bytes_of(layout: Layout, size: int) -> int:
    """Return the most memory that a layer takes: while it is made, and what it keeps ready when it has run."""
    # Each weight as a float and as several truth values; words and their copies; scale, bias, norm and constants of
    # the neurons for every output that kernels see; the places of the blocks.
    return 8 * size + 24 * layout.words + 48 * layout.members * layout.width + 24 * layout.num_blocks


def _per_output(record: Record, name: str, members: int, outputs: int) -> Tensor:
    value = record.tensor(name, torch.float32)
    if value.dim() != 2 or value.shape[0] not in (1, members) or value.shape[1] not in (1, outputs):
        raise PackedFileError(f"The tensor '{record.path}.{name}' is not of shape [{members}, {outputs}].")
    return value.expand(members, outputs)


def _linear_to_record(layer: nn.Linear, path: str, tensors: Tensors) -> dict[str, Any]:
    tensors[f"{path}.weight"] = layer.weight.detach().clone()
    if layer.bias is not None:
        tensors[f"{path}.bias"] = layer.bias.detach().clone()
    return {"bias": layer.bias is not None}


def _linear_of(record: Record) -> nn.Linear:
    weight = record.tensor("weight", torch.float32)
    bias = record.tensor("bias", torch.float32) if record.flag("bias") else None
    if weight.dim() != 2 or not weight.numel() or (bias is not None and bias.shape != weight.shape[:1]):
        raise PackedFileError(f"The module {record.path!r} has no weight of two dimensions with a bias to it.")
    layer = nn.Linear(1, 1, bias=bias is not None)
    layer.out_features, layer.in_features = weight.shape
    layer.weight = nn.Parameter(weight.clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.clone())
    return layer


LAYERS: Kinds = {
    "PackedLayer": (PackedLayer, _layer_to_record, _layer_of),
    "Linear": (nn.Linear, _linear_to_record, _linear_of),
}
