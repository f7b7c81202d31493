"""Linear and convolutional layers as nodes: the weight in force, and in the metadata where it comes from."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from snntorch_binary.export.place import Place
from snntorch_binary.nn.binary import BINARY_TWINS, BinaryConv1d, BinaryConv2d, BinaryLayer, BinaryLinear
from snntorch_binary.packed.float_layers import geometry_of
from snntorch_binary.weights import Kind

LINEAR = (nn.Linear, BinaryLinear)
CONV = (nn.Conv1d, nn.Conv2d, BinaryConv1d, BinaryConv2d)


def array(tensor: Tensor) -> Any:
    """Return a tensor as numpy, half precision as float32."""
    tensor = tensor.detach().as_subclass(Tensor).cpu()
    return (tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()).numpy().copy()


def weighted_node(
    nir: Any, place: Place, kind: Kind, extra_bias: Tensor | None = None, *, has_bias: bool = True
) -> Any:
    """Return the node of a Linear or convolution.

    Args:
        nir: the package.
        place: the layer.
        kind: which of its weights are in force.
        extra_bias: added to the bias, one number per output.
        has_bias: False leaves the bias out.
    """
    layer = place.layer
    if type(layer) not in (*LINEAR, *CONV):
        raise place.cannot("the weights", "use a Linear, Conv1d or Conv2d of torch or of this package")
    bias = layer.bias if has_bias else None
    if extra_bias is not None:
        bias = extra_bias if bias is None else bias + extra_bias
    metadata = weight_metadata(layer, kind)
    if type(layer) in LINEAR:
        if len(place.before) != 1:
            or_else = ", or give a `sample` of one time step, [B, ...]" if place.lead == 1 else ""
            raise place.cannot(f"the input of shape {list(place.before)}", f"put an nn.Flatten before it{or_else}")
        if bias is None:
            return nir.Linear(weight=array(layer.weight), metadata=metadata)
        return nir.Affine(weight=array(layer.weight), bias=array(bias), metadata=metadata)
    geometry = geometry_of(layer)
    if geometry is None:
        raise place.cannot(f"padding_mode={layer.padding_mode!r}", "use padding_mode='zeros'")
    if any(first != second for first, second in geometry.padding):
        raise place.cannot("a padding that differs between the sides", "use a kernel of odd size, or pad in numbers")
    metadata["groups"], metadata["has_bias"] = layer.groups, bias is not None
    padding = [size for size, _ in geometry.padding]
    # Importers of groups and of missing biases fail (Norse 1.1.0), so blocks get zeros around them.
    weight = without_groups(array(layer.weight), layer.groups)
    zeros = np.zeros(len(weight), weight.dtype)
    node = conv_node(
        nir,
        place.before,
        weight,
        zeros if bias is None else array(bias),
        (list(geometry.stride), padding, list(geometry.dilation)),
        metadata,
    )
    if tuple(node.output_type["output"]) != place.after:
        raise place.cannot(f"a kernel of sides {list(weight.shape[2:])}", "use a kernel with equal sides")
    return node


def conv_node(
    nir: Any,
    shape: tuple[int, ...],
    weight: Any,
    bias: Any,
    geometry: tuple[list[int], list[int], list[int]],
    metadata: dict[str, Any],
) -> Any:
    """Return a convolution as a node; ``geometry`` is stride, padding and dilation of each side."""
    one = len(shape) == 2
    stride, padding, dilation = (side[0] if one else tuple(side) for side in geometry)
    return (nir.Conv1d if one else nir.Conv2d)(
        input_shape=shape[1] if one else shape[1:],
        weight=weight,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=1,
        bias=bias,
        metadata=metadata,
    )


def without_groups(weight: Any, groups: int) -> Any:
    """Return the weight [C_out, C_in, ...] of the same convolution with one group."""
    if groups == 1:
        return weight
    out, inputs = len(weight) // groups, weight.shape[1]
    dense = np.zeros((len(weight), inputs * groups, *weight.shape[2:]), weight.dtype)
    for group in range(groups):
        rows = slice(group * out, (group + 1) * out)
        dense[rows, group * inputs : (group + 1) * inputs] = weight[rows]
    return dense


def weight_metadata(layer: Any, kind: Kind) -> dict[str, Any]:
    """Return where a layer's weights come from, as numbers, strings and arrays.

    ``rule`` and ``scale`` are JSON. ``flip_probability`` is that of the posterior, for every synapse: P(w has not the
    sign that the node's weight has). ``latent`` is there where the weights are the mode, and can be learned on.
    """
    plain = {binary: real for real, binary in BINARY_TWINS.items()}
    metadata: dict[str, Any] = {"module": plain.get(type(layer), type(layer)).__name__}
    if not isinstance(layer, BinaryLayer):
        return metadata
    metadata["rule"] = json.dumps(layer.rule.to_json())
    metadata["scale"] = json.dumps(layer.scale)
    if layer.gain is not None:
        metadata["gain"] = array(layer.gain)
    if layer.rule.has_posterior:
        positive = layer.in_force().detach() >= 0
        towards = torch.where(positive, layer.latent.detach(), -layer.latent.detach())
        metadata["flip_probability"] = array(torch.sigmoid(-2 * towards))
    if kind == "mode":
        metadata["latent"] = array(layer.latent)
    return metadata
