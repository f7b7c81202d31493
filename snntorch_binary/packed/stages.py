"""A sequence of modules in stages: a layer with what can be fused to it, or a module as it is."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from snntorch_binary.nn.neurons.description import description_of
from snntorch_binary.nn.time_first import TimeFirst
from snntorch_binary.packed.float_layers import (
    CONV,
    LINEAR,
    NORM,
    POOL,
    Weights,
    geometry_of,
    is_norm_of,
    norm_of,
    weights_of,
    without_time,
)
from snntorch_binary.packed.neurons import NeuronConstants, constants
from snntorch_binary.packed.shaping import PackedFlatten, PackedMaxPool

_REAL = (
    *(*LINEAR, *CONV, *NORM, nn.GroupNorm, nn.LayerNorm),
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.Sigmoid, nn.Tanh),
)
_KEEPING = (nn.Flatten, nn.Unflatten, *POOL, nn.ReLU)  # real numbers in, real numbers out; spikes in, spikes out
_SILENT = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)  # in evaluation mode


@dataclass
class Stage:
    """A part of a sequence: a layer with the neurons fused to it, or a module as it is."""

    name: str
    module: nn.Module
    weights: Weights | None = None
    norm: tuple[Tensor, Tensor] | None = None  # scale and bias of a batch norm behind the layer
    neuron: nn.Module | None = None
    on_bits: nn.Module | None = None  # the twin of a pooling or flattening
    packed_output: bool = False
    real_input: bool = False  # it is known to get other numbers than spikes

    @property
    def spatial(self) -> int:
        """Spatial dimensions of a layer."""
        assert self.weights is not None
        return self.weights.positive.dim() - 2


def is_sequence(module: nn.Module) -> bool:
    """Say whether a module passes from one of its modules to the next, and nothing else."""
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def _in_sequence(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules of nested sequences one after the other, with names; those that do nothing are left out."""
    for name, child in module._modules.items():
        if child is None or type(without_time(child)) in _SILENT:
            continue
        if is_sequence(child):
            yield from _in_sequence(child, f"{prefix}{name}_")
        else:
            yield f"{prefix}{name}", child


def _gives_real_numbers(stage: Stage) -> bool:
    """Say whether what a stage gives is known not to be spikes."""
    if stage.weights is not None:
        return stage.neuron is None
    inner = without_time(stage.module)
    description = description_of(inner)
    if description is not None and description.is_filter:
        return True
    return isinstance(inner, _REAL) or (stage.real_input and isinstance(inner, _KEEPING))


def stages_of(sequence: nn.Module, real_input: Collection[nn.Module] = ()) -> list[Stage]:
    """Group a sequence into stages, and let spikes go on as bits where the next stage takes them.

    Args:
        sequence: the modules.
        real_input: layers of it that get real numbers, which is not seen from the modules before them.
    """
    stages: list[Stage] = []
    for name, module in _in_sequence(sequence):
        before = stages[-1] if stages else None
        if before is not None and before.weights is not None and before.neuron is None:
            if before.norm is None and is_norm_of(module, before.weights):
                before.norm = norm_of(without_time(module))
                continue
            if _fits(module, before):
                before.neuron = module
                continue
        layer = without_time(module)
        real = layer in real_input or (before is not None and _gives_real_numbers(before))
        weights = weights_of(layer)
        if any(stage.name == name for stage in stages):
            name = f"{name}_at_{len(stages)}"
        on_bits = None if weights else _on_bits(module)
        stages.append(Stage(name, module, weights, on_bits=on_bits, real_input=real))
    _hand_over_bits(stages)
    return stages


def _fits(module: nn.Module, stage: Stage) -> bool:
    """Say whether a module is neurons that can be fused to the layer of a stage."""
    assert stage.weights is not None
    return isinstance(constants(module, len(stage.weights.scale), stage.spatial), NeuronConstants)


def _on_bits(module: nn.Module) -> nn.Module | None:
    """Return the twin on bits of a time-first pooling or flattening, if there is one."""
    inner = without_time(module)
    if isinstance(module, TimeFirst) and type(inner) in POOL:
        geometry = geometry_of(inner)
        return PackedMaxPool(geometry) if geometry is not None and geometry.can_pool else None
    if type(inner) is nn.Flatten and inner.end_dim == -1:
        return PackedFlatten() if inner.start_dim == (1 if isinstance(module, TimeFirst) else 2) else None
    return None


def _hand_over_bits(stages: list[Stage]) -> None:
    """Decide which stages give bits: those whose bits reach another layer."""
    takes: set[int] = set()  # for which numbers of spatial dimensions the stage behind takes bits
    for stage in reversed(stages):
        if stage.weights is not None:
            stage.packed_output = stage.neuron is not None and stage.spatial in takes
            takes = set() if stage.real_input else {stage.spatial}
        elif isinstance(stage.on_bits, PackedMaxPool):
            takes = takes & {stage.on_bits.geometry.spatial}
        elif isinstance(stage.on_bits, PackedFlatten):
            takes = {0, 1, 2, 3} if 0 in takes else set()
        else:
            takes = set()
    bits = False
    for stage in stages:
        if stage.weights is not None:
            bits = stage.packed_output
        elif not bits:
            stage.on_bits = None
