"""What one module does for one input, counted: the operations of layers with weights and of neurons."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from snntorch_binary.nn.batch_norm import BatchNormThroughTime
from snntorch_binary.nn.binary import BinaryLayer
from snntorch_binary.nn.neurons.description import is_neuron
from snntorch_binary.nn.scale import by_output
from snntorch_binary.packed import PackedLayer, SpikeBits
from snntorch_binary.packed.float_layers import CONV, LINEAR, TRANSPOSED

_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def is_layer(module: nn.Module) -> bool:
    """Say whether a module is a layer whose operations are counted."""
    return isinstance(module, (*LINEAR, *CONV, PackedLayer))


def bits_of_weight(layer: Any) -> int:
    """Return the bits of one weight of a layer: what its rule says, 1 if packed or frozen at ± one number, else 32."""
    if isinstance(layer, BinaryLayer):
        return layer.rule.bits
    if isinstance(layer, PackedLayer):
        return 1
    size = by_output(layer, layer.weight.detach()).flatten(1).abs()
    return 1 if size.shape[1] > 1 and bool(((size == size[:, :1]) & (size > 0)).all()) else 32


def num_weights(layer: Any) -> int:
    """Return the number of weights of a layer, without biases."""
    if isinstance(layer, PackedLayer):
        return layer.num_weights
    return int((layer.latent if isinstance(layer, BinaryLayer) else layer.weight).numel())


def dense_macs(layer: Any, x: Tensor, y: Tensor) -> int:
    """Return the products of a weight and an input, zero or not, that a layer sums; padding counts as input."""
    if isinstance(layer, TRANSPOSED):
        return x.numel() * int(layer.weight[0].numel())
    if isinstance(layer, PackedLayer) and layer.geometry.spread:
        members = layer.layout.members if layer.layout.shared else 1
        return x.numel() * layer.out_channels // layer.groups * layer.geometry.num_taps * members
    if isinstance(layer, PackedLayer):
        return y.numel() * layer.layout.inputs
    return y.numel() * (num_weights(layer) // max(1, _outputs(layer)))


def _outputs(layer: Any) -> int:
    return layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels


def dense(value: Tensor | SpikeBits | tuple[Any, ...]) -> Tensor:
    """Return what a module takes or gives as one tensor."""
    first = value[0] if isinstance(value, tuple) else value
    return first.unpack() if isinstance(first, SpikeBits) else first


def are_spikes(x: Tensor) -> bool:
    """Say whether a tensor holds nothing but zeros and ones."""
    return bool(((x == 0) | (x == 1)).all())


def contributions(layer: Any, x: Tensor) -> int:
    """Return how many products of a weight and a non-zero input the outputs of a layer sum, exactly.

    That is the fan-out of every input that is not zero: of a linear layer all outputs, of a convolution those outputs
    whose kernel covers it. Padding with zeros contributes nothing; other padding does what it copies.
    """
    active = x != 0
    if isinstance(layer, PackedLayer):
        spatial, outputs = layer.geometry.spatial, layer.out_channels // layer.groups
        members = layer.layout.members if layer.layout.shared else 1
    else:
        spatial = 0 if isinstance(layer, nn.Linear) else len(layer.kernel_size)
        outputs = layer.out_features if spatial == 0 else layer.out_channels // layer.groups
        members = 1
    if spatial == 0:
        return int(active.sum()) * outputs * members
    # All channels of a position have the same fan-out, so one map counts them all; float64 keeps the counts exact.
    count = active.sum(-1 - spatial).double()
    count = count.reshape(-1, 1, *count.shape[count.dim() - spatial :])
    return round(float(_seen(layer, count, spatial).sum())) * outputs * members


def _seen(layer: Any, count: Tensor, spatial: int) -> Tensor:
    """Return the sum of a map of counts [N, 1, positions] over what every output position sees."""
    convolve = _CONVOLUTIONS[spatial]
    if isinstance(layer, PackedLayer):
        geometry = layer.geometry
        if geometry.spread:
            spread = count.new_zeros(*count.shape[:2], *geometry.spread_size(count.shape[2:]))
            places = tuple(slice(None, None, apart) for apart in geometry.spread)
            every = (slice(None), slice(None), *places)
            spread[every] = count
            count = spread
        padded = F.pad(count, [size for pair in reversed(geometry.padding) for size in pair])
        ones = count.new_ones(1, 1, *geometry.kernel)
        return convolve(padded, ones, None, geometry.stride, 0, geometry.dilation)
    ones = count.new_ones(1, 1, *layer.kernel_size)
    if isinstance(layer, TRANSPOSED):
        transpose: Any = _TRANSPOSED[spatial]
        return transpose(count, ones, None, layer.stride, layer.padding, layer.output_padding, 1, layer.dilation)
    if layer.padding_mode != "zeros":
        padded = F.pad(count, layer._reversed_padding_repeated_twice, layer.padding_mode)
        return convolve(padded, ones, None, layer.stride, 0, layer.dilation)
    return convolve(count, ones, None, layer.stride, layer.padding, layer.dilation)


def unseen(net: nn.Module) -> list[str]:
    """Return the names of modules that hold weight matrices and are none of the counted layers."""
    return [
        f"{name or 'the network'} ({type(module).__name__})"
        for name, module in net.named_modules()
        if not isinstance(module, (nn.LayerNorm, BatchNormThroughTime))
        and not is_layer(module)
        and not is_neuron(module)
        if any(parameter is not None and parameter.dim() > 1 for parameter in module._parameters.values())
    ]
