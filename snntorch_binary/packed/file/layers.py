"""Layers as a file holds them: weights as bits, scales and biases without copies, sizes that the file bears out."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary.kernels.bits import from_words, to_words
from snntorch_binary.packed.file.entry import Entry, Kinds, PackedFileError, Tensors, read_one_of, write_one_of
from snntorch_binary.packed.file.neurons import fused_neurons
from snntorch_binary.packed.file.stock import compute_weights_
from snntorch_binary.packed.geometry import Geometry
from snntorch_binary.packed.layer import PackedLayer
from snntorch_binary.packed.layout import Layout


def _without_copies(value: Tensor) -> Tensor:
    """[K, C] with one row where the members agree, and one column where the channels do."""
    value = value[:1] if bool((value == value[:1]).all()) else value
    return (value[:, :1] if bool((value == value[:, :1]).all()) else value).contiguous()


def _layer_to_entry(layer: PackedLayer, path: str, tensors: Tensors) -> dict[str, Any]:
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
        **geometry_to_entry(geometry),
        "shared": layout.shared,
        "ensemble": layer.ensemble,
        "packed_output": layer.packed_output,
        "bias": layer.bias is not None,
        "fused_bias": layer.fused_bias,
        "norm": layer.norm_scale is not None,
        "real_input": layer.real_input,
        "neuron": None
        if layer.neuron is None
        else write_one_of(fused_neurons(), layer.neuron, f"{path}.neuron", tensors),
    }


def geometry_to_entry(geometry: Geometry) -> dict[str, Any]:
    """Return the plain values of a geometry."""
    return {
        "kernel": list(geometry.kernel),
        "stride": list(geometry.stride),
        "dilation": list(geometry.dilation),
        "padding_before": [before for before, _ in geometry.padding],
        "padding_after": [after for _, after in geometry.padding],
        **({"spread": list(geometry.spread)} if geometry.spread else {}),
    }


def geometry_of(entry: Entry) -> Geometry:
    """Return the geometry of an entry."""
    padding = zip(entry.sizes("padding_before", 0), entry.sizes("padding_after", 0), strict=True)
    kernel, stride, dilation = (entry.sizes(name, 1) for name in ("kernel", "stride", "dilation"))
    spread = entry.sizes("spread", 1) if "spread" in entry.values else ()
    geometry = Geometry(kernel, stride, dilation, tuple(padding), spread)
    if spread:  # as torch's layer can be
        rows = zip(stride, kernel, dilation, geometry.padding, spread, strict=True)
        if not all(s == 1 and b <= a < b + max(u, d) and b <= d * (k - 1) for s, k, d, (b, a), u in rows):
            raise entry.error("spread", "of a transposed convolution, with stride 1 and its padding")
    return geometry


def pooling_of(entry: Entry) -> Geometry:
    """Return the geometry of an entry of a max pooling, whose windows no weights bear out."""
    geometry = geometry_of(entry)
    if not geometry.can_pool or geometry.spread:
        raise entry.error("kernel", "a window that max pooling has, with at most half of it in padding")
    return geometry


def _layer_of(entry: Entry) -> PackedLayer:
    weights = entry.tensor("weights", torch.uint8)
    most = 8 * weights.numel()
    members, outputs = entry.integer("members", 1, most), entry.integer("out_channels", 1, most)
    groups = entry.integer("groups", 1, outputs)
    channels, geometry = entry.integer("in_channels", 1, most * groups), geometry_of(entry)
    if channels % groups or outputs % groups:
        raise entry.error("groups", f"a divisor of {channels} and {outputs}")
    shape = (members, outputs, channels // groups, *geometry.kernel)
    size = math.prod(shape)
    # Only now, with sizes that the file itself bears out, is anything made of them.
    if weights.dim() != 1 or weights.numel() != (size + 7) // 8:
        raise PackedFileError(f"The weights of module {entry.path!r} are not {size} bits.")
    shared = entry.flag("shared")
    layout = Layout(members, outputs, size // (members * outputs), groups, shared)
    entry.allowance.spend(_bytes_of(layout, size), entry.path)
    ensemble, packed_output, neuron = entry.flag("ensemble"), entry.flag("packed_output"), entry.values.get("neuron")
    if (members > 1 and not ensemble) or (packed_output and neuron is None):
        raise PackedFileError(f"The module {entry.path!r} contradicts itself.")
    norm = None
    if entry.flag("norm"):
        norm = tuple(_per_output(entry, name, members, outputs) for name in ("norm_scale", "norm_bias"))
    words = nn.functional.pad(weights, (0, -weights.numel() % 8)).view(torch.int64)
    layer = PackedLayer(
        (from_words(words, size) != 0).view(shape),
        _per_output(entry, "scale", members, outputs),
        _per_output(entry, "bias", members, outputs) if entry.flag("bias") else None,
        None if neuron is None else read_one_of(fused_neurons(), entry.child(neuron, "neuron")),
        geometry,
        groups=groups,
        shared=shared,
        ensemble=ensemble,
        packed_output=packed_output,
        fused_bias=entry.flag("fused_bias"),
        norm=norm,  # type: ignore[arg-type]
        real_input="real_input" in entry.values and entry.flag("real_input"),  # version 1 has no such layer
    )
    layer.name = entry.path
    return layer


def _bytes_of(layout: Layout, size: int) -> int:
    """Return the most memory that a layer takes: while it is made, and what it keeps ready when it has run."""
    # Each weight as a float and as several truth values; words and their copies; scale, bias, norm and constants of
    # the neurons for every output that kernels see; the places of the blocks.
    return 8 * size + 24 * layout.words + 48 * layout.members * layout.width + 24 * layout.num_blocks


def _per_output(entry: Entry, name: str, members: int, outputs: int) -> Tensor:
    value = entry.tensor(name, torch.float32)
    if value.dim() != 2 or value.shape[0] not in (1, members) or value.shape[1] not in (1, outputs):
        raise PackedFileError(f"The tensor '{entry.path}.{name}' is not of shape [{members}, {outputs}].")
    return value.expand(members, outputs)


def _linear_to_entry(layer: nn.Linear, path: str, tensors: Tensors) -> dict[str, Any]:
    compute_weights_(layer, path)
    tensors[f"{path}.weight"] = layer.weight.detach().clone()
    if layer.bias is not None:
        tensors[f"{path}.bias"] = layer.bias.detach().clone()
    return {"bias": layer.bias is not None}


def _linear_of(entry: Entry) -> nn.Linear:
    weight = entry.tensor("weight", torch.float32)
    bias = entry.tensor("bias", torch.float32) if entry.flag("bias") else None
    if weight.dim() != 2 or not weight.numel() or (bias is not None and bias.shape != weight.shape[:1]):
        raise PackedFileError(f"The module {entry.path!r} has no weight of two dimensions with a bias to it.")
    layer = nn.Linear(1, 1, bias=bias is not None)
    layer.out_features, layer.in_features = weight.shape
    layer.weight = nn.Parameter(weight.clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.clone())
    return layer


LAYERS: Kinds = {
    "PackedLayer": (PackedLayer, _layer_to_entry, _layer_of),
    "Linear": (nn.Linear, _linear_to_entry, _linear_of),
}
