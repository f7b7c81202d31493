"""A layer in its place: its name, and the shape of one example at one time step before and behind it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected, in_one_line
from snntorch_binary.convert.copies import copy_model
from snntorch_binary.export.errors import NIRExportError
from snntorch_binary.fuse import EachStep, flattened, is_chain
from snntorch_binary.graph.neurons import twin_in_inference
from snntorch_binary.nn.neurons.description import description_of, is_neuron
from snntorch_binary.nn.neurons.known import takes_one_step
from snntorch_binary.nn.time_first import TimeFirst

SILENT = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)  # in evaluation mode


@dataclass(frozen=True)
class Place:
    """A layer of a network and the shapes around it, without time and batch.

    Attributes:
        name: path of the module in the network.
        layer: the module; what `TimeFirst` or `EachStep` wraps.
        before: shape of one example before the layer.
        after: shape of one example behind it.
        lead: dimensions that the layer itself sees in front of those: time and batch, or batch alone.
    """

    name: str
    layer: Any
    before: tuple[int, ...]
    after: tuple[int, ...]
    lead: int

    @property
    def kind(self) -> str:
        """The class of the layer."""
        return type(self.layer).__name__

    @property
    def keeps_spikes(self) -> bool:
        """Whether spikes in are spikes out."""
        return isinstance(self.layer, (nn.Flatten, nn.MaxPool2d))

    def cannot(self, what: str, way_out: str) -> NIRExportError:
        """Return the error that NIR cannot express something of this layer."""
        return NIRExportError.of(what, self.name, self.kind, way_out)


def places(net: nn.Module | Iterable[nn.Module], sample: Tensor) -> list[Place]:
    """Return the layers of a chain in their order, with the shapes that a sample has between them.

    Raises:
        TypeError: the network is no chain of layers, or the sample no floating-point tensor.
        ValueError: a neuron occurs twice, forms are mixed, or the sample does not fit.
    """
    if isinstance(net, nn.Module) and not is_chain(net):
        what = "an nn.Sequential, an nn.ModuleList, or layers in their order"
        raise TypeError(expected("net", what, f"a {type(net).__name__}, whose forward says more than its layers"))
    if not isinstance(sample, Tensor) or not sample.is_floating_point():
        raise TypeError(expected("sample", "a floating-point tensor", getattr(sample, "dtype", type(sample).__name__)))
    layers = list(flattened(net))
    for name, layer in layers:
        if is_neuron(layer) and sum(other is layer for _, other in layers) > 1:
            raise ValueError(expected("net", "neurons that occur once", f"{type(layer).__name__} {name!r} again"))
    layers = [(name, as_ours(layer)) for name, layer in layers]
    lead = 2 if _is_time_first(layers) else 1
    if sample.dim() <= lead or 0 in sample.shape:
        shape = "[T, B, ...] (time-first)" if lead == 2 else "[B, ...] (one time step)"
        raise ValueError(expected("sample", f"of shape {shape}, without empty dimensions", tuple(sample.shape)))
    x, found = torch.zeros_like(sample), []
    for name, layer in layers:
        inner = without_wrapper(layer)
        if isinstance(inner, SILENT):
            continue
        before = tuple(x.shape[lead:])
        if not is_neuron(inner):
            x = _output(name, layer, x)
        inner_lead = 1 if inner is not layer or getattr(layer, "step_mode", None) == "m" else lead
        found.append(Place(name, inner, before, tuple(x.shape[lead:]), inner_lead))
    if not found:
        raise ValueError(expected("net", "a network with layers", type(net).__name__))
    return found


def as_ours(layer: nn.Module) -> nn.Module:
    """Return the neurons of this package that answer as those of a library do which have no node of their own."""
    description = description_of(layer)
    if description is None or description.nir is not None:
        return layer
    return twin_in_inference(layer) or layer


def _is_time_first(layers: list[tuple[str, nn.Module]]) -> bool:
    """Say whether a chain takes all time steps at once."""
    at_once = [takes_sequences(layer) for _, layer in layers]
    one_step = [is_neuron(layer) and not at for at, (_, layer) in zip(at_once, layers, strict=True)]
    if any(at_once) and any(one_step):
        name, layer = layers[one_step.index(True)]
        what = f"{type(layer).__name__} {name!r}, which takes one time step, among time-first modules"
        raise ValueError(expected("net", "of one form", what))
    return any(at_once)


def takes_sequences(layer: nn.Module) -> bool:
    """Say whether a layer takes all time steps at once, and must."""
    return isinstance(layer, (TimeFirst, EachStep)) or (is_neuron(layer) and takes_one_step(layer) is False)


def without_wrapper(layer: nn.Module) -> nn.Module:
    """Return the layer that is put to use over time, or the layer itself."""
    return layer.module if isinstance(layer, (TimeFirst, EachStep)) else layer


def _output(name: str, layer: nn.Module, x: Tensor) -> Tensor:
    try:
        with torch.no_grad():
            y = copy_model(layer).eval()(x)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        what = f"one that {type(layer).__name__} {name!r} can take"
        raise ValueError(f"{expected('sample', what, tuple(x.shape))} ({in_one_line(error)})") from None
    if not isinstance(y, Tensor):
        raise NIRExportError.of("the several outputs", name, type(layer).__name__, "leave it out of the network")
    return y
