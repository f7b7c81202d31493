"""Linear and convolutional layers as nodes: the weight in force, and in the metadata where it comes from."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from snntorch_binary.export.place import Place
from snntorch_binary.nn.binary import BINARY_TWINS, BinaryConv1d, BinaryConv2d, BinaryLayer, BinaryLinear
from snntorch_binary.nn.subclasses import computes_as
from snntorch_binary.packed.float_layers import geometry_of
from snntorch_binary.weights import Kind

LINEAR = (nn.Linear, BinaryLinear)
CONV = (nn.Conv1d, nn.Conv2d, BinaryConv1d, BinaryConv2d)


def array(tensor: Tensor) -> Any:
    """Return a tensor as numpy, half precision as float32."""
    tensor = tensor.detach().as_subclass(Tensor).cpu()
    return (tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()).numpy().copy()


@dataclass(frozen=True)
class Folding:
    """What a layer's node computes in place of W x + b: gain · (W x + b) + shift, of all its inputs or some.

    Attributes:
        start, stop: the features or channels that the node gets; the others are another node's.
        bias: whether b is part of it.
        gain: one number for each output.
        shift: likewise.
        norms: names of the batch norms that gain and shift are of.
    """

    start: int = 0
    stop: int | None = None
    bias: bool = True
    gain: Tensor | None = None
    shift: Tensor | None = None
    norms: tuple[str, ...] = ()

    @property
    def inputs(self) -> slice:
        """The features or channels that the node gets."""
        return slice(self.start, self.stop)

    def behind(self, gain: Tensor, shift: Tensor | None, name: str) -> Folding:
        """Return it with a batch norm behind, whose shift may be another node's."""
        own = None if self.shift is None else self.shift * gain
        both = own if shift is None else shift if own is None else own + shift
        gain = gain if self.gain is None else self.gain * gain
        return replace(self, gain=gain, shift=both, norms=(*self.norms, name))

    def shifted(self, shift: Tensor) -> Folding:
        """Return it with something added."""
        return replace(self, shift=shift if self.shift is None else self.shift + shift)


def weighted_node(nir: Any, place: Place, kind: Kind, folding: Folding = Folding()) -> Any:
    """Return the node of a Linear or convolution.

    Args:
        nir: the package.
        place: the layer.
        kind: which of its weights are in force.
        folding: what else the node does.
    """
    layer = place.layer
    computed = computes_as(layer)
    if computed not in (*LINEAR, *CONV):
        raise place.cannot("the weights", "use a Linear, Conv1d or Conv2d of torch or of this package")
    weight, bias = _weight_and_bias(layer, folding)
    metadata = weight_metadata(layer, kind, folding)
    if computed in LINEAR:
        if len(place.before) != 1:
            or_else = ", or give a `sample` of one time step, [B, ...]" if place.lead == 1 else ""
            raise place.cannot(f"the input of shape {list(place.before)}", f"put an nn.Flatten before it{or_else}")
        if bias is None:
            return nir.Linear(weight=weight, metadata=metadata)
        return nir.Affine(weight=weight, bias=bias, metadata=metadata)
    geometry = geometry_of(layer)
    if geometry is None:
        raise place.cannot(f"padding_mode={layer.padding_mode!r}", "use padding_mode='zeros'")
    if any(first != second for first, second in geometry.padding):
        raise place.cannot("a padding that differs between the sides", "use a kernel of odd size, or pad in numbers")
    metadata["groups"], metadata["has_bias"] = layer.groups, bias is not None
    padding = [size for size, _ in geometry.padding]
    # Importers of groups and of missing biases fail (Norse 1.1.0), so blocks get zeros around them.
    weight = without_groups(weight, layer.groups)
    bias = np.zeros(len(weight), weight.dtype) if bias is None else bias
    sides = list(geometry.stride), padding, list(geometry.dilation)
    node = conv_node(nir, place.before, weight, bias, sides, metadata)
    if tuple(node.output_type["output"]) != place.after:
        raise place.cannot(f"a kernel of sides {list(weight.shape[2:])}", "use a kernel with equal sides")
    return node


def _weight_and_bias(layer: Any, folding: Folding) -> tuple[Any, Any]:
    weight = array(layer.weight)[:, folding.inputs]
    bias = array(layer.bias) if folding.bias and layer.bias is not None else None
    if folding.gain is not None:
        gain = array(folding.gain)
        weight = weight * gain.reshape(-1, *(1,) * (weight.ndim - 1))
        bias = None if bias is None else bias * gain
    if folding.shift is not None:
        shift = array(folding.shift).astype(weight.dtype)
        bias = shift if bias is None else bias + shift
    return weight, bias


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


def weight_metadata(layer: Any, kind: Kind, folding: Folding = Folding()) -> dict[str, Any]:
    """Return where a layer's weights come from, as numbers, strings and arrays.

    ``rule`` and ``scale`` are JSON. ``flip_probability`` is that of the posterior, for every synapse: P(w has not the
    sign that the node's weight has). ``latent`` is there where the weights are the mode, and can be learned on.
    ``scale`` and ``gain`` are those of the node: a batch norm that is folded into it is part of its gains, and
    ``folded`` names it.
    """
    plain: dict[type[nn.Module], type[nn.Module]] = {binary: real for real, binary in BINARY_TWINS.items()}
    metadata: dict[str, Any] = {"module": plain.get(computes_as(layer), type(layer)).__name__}
    if folding.norms:
        metadata["folded"] = json.dumps(folding.norms)
    if not isinstance(layer, BinaryLayer):
        return metadata
    latent, in_force = (tensor.detach()[:, folding.inputs] for tensor in (layer.latent, layer.in_force()))
    scale, gain = _scale_and_gain(layer, folding, latent[0].numel())
    metadata["rule"] = json.dumps(layer.rule.to_json())
    metadata["scale"] = json.dumps(scale)
    if gain is not None:
        metadata["gain"] = array(gain)
    natural = layer.rule.natural_parameter(layer.latent.detach())
    if natural is not None:
        natural = natural[:, folding.inputs]
        metadata["flip_probability"] = array(torch.sigmoid(-2 * torch.where(in_force >= 0, natural, -natural)))
    if kind == "mode":
        metadata["latent"] = array(latent)
    return metadata


def _scale_and_gain(layer: BinaryLayer, folding: Folding, fan_in: int) -> tuple[Any, Tensor | None]:
    """Return the scale and the gains that a binary layer has that does what a node does."""
    if folding.gain is None and fan_in == layer.fan_in and layer.scale != "latent":
        return layer.scale, layer.gain
    scale = layer._scale()
    if folding.gain is None and not isinstance(scale, Tensor):
        return scale, None
    # A gain is in units of what a sum of so many weights is scaled by.
    return "channel", scale * (1.0 if folding.gain is None else folding.gain) * fan_in**0.5
