"""Pooling, flattening and norms as nodes that every loader has."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from snntorch_binary.export.place import Place
from snntorch_binary.export.weighted import array, conv_node
from snntorch_binary.packed.float_layers import geometry_of

_ADAPTIVE = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
_AVERAGE = (nn.AvgPool1d, nn.AvgPool2d, *_ADAPTIVE)
SHAPING = (*_AVERAGE, nn.MaxPool2d, nn.Flatten)


def shaping_nodes(nir: Any, place: Place, of_spikes: bool, dt: float) -> list[tuple[str, Any]]:
    """Return the nodes of a pooling or a Flatten, each with the end of its name.

    Args:
        nir: the package.
        place: the layer.
        of_spikes: whether a neuron is all that gives it its input.
        dt: time step.

    Raises:
        NIRExportError: NIR has no nodes that do the same.
    """
    if isinstance(place.layer, nn.Flatten):
        return _flatten(nir, place)
    if isinstance(place.layer, nn.MaxPool2d):
        return _max_pool(nir, place, of_spikes, dt)
    return [("", _average_pool(nir, place))]


def norm_node(nir: Any, place: Place, gain: Tensor, shift: Tensor) -> Any:
    """Return a batch norm as the layer that it is: every feature times a number, and another added."""
    metadata = {"module": place.kind}
    if len(place.before) == 1:
        return nir.Affine(weight=np.diag(array(gain)), bias=array(shift), metadata=metadata)
    sides = len(place.before) - 1
    weight = np.diag(array(gain)).reshape(len(gain), len(gain), *(1,) * sides)
    return conv_node(nir, place.before, weight, array(shift), ([1] * sides, [0] * sides, [1] * sides), metadata)


def _flatten(nir: Any, place: Place) -> list[tuple[str, Any]]:
    if place.before == place.after:
        return []
    size = len(place.before) + place.lead
    # Counted from the end, the dimensions are the same with and without a batch in front of them.
    start, end = (dim if dim < 0 else dim - size for dim in (place.layer.start_dim, place.layer.end_dim))
    if start < -len(place.before):
        raise place.cannot("flattening of time or batch", f"use nn.Flatten({place.lead})")
    node = nir.Flatten(input_type={"input": np.array(place.before)}, start_dim=start, end_dim=end)
    node.metadata["module"] = "Flatten"
    return [("", node)]


def _average_pool(nir: Any, place: Place) -> Any:
    """Return an average pooling as the convolution that it is: Norse 1.1.0 does not read AvgPool2d."""
    pool, channels = place.layer, place.before[0]
    sides = len(place.before) - 1
    if isinstance(pool, _ADAPTIVE):
        kernel = [size // out for size, out in zip(place.before[1:], place.after[1:], strict=True)]
        stride, padding = kernel, [0] * sides
        if any(size % out for size, out in zip(place.before[1:], place.after[1:], strict=True)):
            raise place.cannot("windows that differ", "use an output size that divides the input's")
    else:
        kernel, stride, padding = (
            list(value) if isinstance(value, tuple) else [value] * sides
            for value in (pool.kernel_size, pool.stride, pool.padding)
        )
        if pool.ceil_mode or (not pool.count_include_pad and any(padding)):
            raise place.cannot("ceil_mode=True or count_include_pad=False", "build it without them")
    area = getattr(pool, "divisor_override", None) or int(np.prod(kernel))
    weight = np.zeros((channels, channels, *kernel), np.float32)
    weight[np.arange(channels), np.arange(channels)] = 1 / area
    metadata = {"module": f"AvgPool{sides}d", "divisor": area}
    node = conv_node(
        nir, place.before, weight, np.zeros(channels, np.float32), (stride, padding, [1] * sides), metadata
    )
    if tuple(node.output_type["output"]) != place.after:
        raise place.cannot(f"a window of sides {kernel}", "use a window with equal sides")
    return node


def _max_pool(nir: Any, place: Place, of_spikes: bool, dt: float) -> list[tuple[str, Any]]:
    """Return the maximum over spikes: their sum, and a neuron without memory that fires where there is one."""
    geometry = None if place.layer.return_indices or place.layer.ceil_mode else geometry_of(place.layer)
    if not of_spikes:
        raise place.cannot("the maximum of currents", "put it behind the neurons, or use nn.AvgPool2d")
    if geometry is None or any(map(any, geometry.padding)) or set(geometry.dilation) != {1}:
        raise place.cannot("padding, dilation, indices or ceil_mode", "build it without them")
    pool = nir.SumPool2d(
        kernel_size=np.array(geometry.kernel),
        stride=np.array(geometry.stride),
        padding=np.zeros(2, np.int64),
        metadata={"module": "MaxPool2d"},
    )
    ones = np.ones(place.after)
    fires = nir.LIF(
        tau=dt * ones,
        r=ones,
        v_leak=0 * ones,
        v_threshold=0.5 * ones,
        v_reset=0 * ones,
        metadata={"module": "MaxPool2d"},
    )
    return [("", pool), ("_fires", fires)]
