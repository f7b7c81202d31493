"""`pack`: from a network with binary weights to one that holds a bit per weight and multiplies nothing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.convert import copy_model
from snntorch_binary.inference.ensemble import Ensemble
from snntorch_binary.nn.synaptic_trace import SynapticTrace
from snntorch_binary.nn.time_first import TimeFirst
from snntorch_binary.packed.ensemble import PackedEnsemble
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
from snntorch_binary.packed.layer import PackedLayer
from snntorch_binary.packed.neurons import constants, why_not_fused
from snntorch_binary.packed.shaping import PackedFlatten, PackedMaxPool

_REAL = (
    *LINEAR,
    *CONV,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AvgPool3d,
    *NORM,
    nn.GroupNorm,
    nn.LayerNorm,
    SynapticTrace,
)
_SILENT = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)  # in evaluation mode


@dataclass
class _Stage:
    """A part of a sequence: a layer with the neurons fused to it, or a module as it is."""

    name: str
    module: nn.Module
    weights: Weights | None = None
    norm: tuple[Tensor, Tensor] | None = None  # scale and bias of a batch norm behind the layer
    neuron: nn.Module | None = None
    on_bits: nn.Module | None = None  # the twin of a pooling or flattening
    packed_output: bool = False

    @property
    def spatial(self) -> int:
        """Spatial dimensions of a layer."""
        assert self.weights is not None
        return self.weights.positive.dim() - 2


def pack(net: nn.Module) -> nn.Module:
    """Return a copy of a network for inference that holds its binary weights at one bit each.

    Every binary layer becomes a :class:`PackedLayer`: its input is spikes, its sums are counted on bits and equal the
    float layer's exactly. In a sequence, a time-first batch norm and a time-first ``Leaky``, ``Synaptic`` or ``SRM``
    behind it become part of it, and spikes go on as bits, through max pooling and flattening too. Every other module
    stays as it is and gets float spikes or currents; ``print(packed)`` shows what became of each.

    Args:
        net: a network with binary layers, of which the mode is packed; a frozen one (:func:`snntorch_binary.freeze`),
            for a draw; or an :class:`snntorch_binary.Ensemble`, whose members are computed together where they are
            sequences of such layers and neurons.

    Returns:
        The packed network in evaluation mode; :class:`PackedEnsemble` for an ensemble. The original stays as it was.

    Raises:
        ValueError: no layer can be packed.

    Note:
        A binary layer multiplies ±1 and scales the sum, and so does a packed one: equal bit for bit. In a frozen
        network or an ``Ensemble`` the scale is part of the weight, and float sums of it are rounded, unless the scale
        is a power of two; the packed network gives the sums without that rounding.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> net = torch.nn.Sequential(sb.nn.BinaryLinear(100, 64), sb.nn.Leaky(beta=0.9), sb.nn.BinaryLinear(64, 10))
        >>> packed = sb.pack(net)
        >>> x = (torch.rand(25, 4, 100) < 0.1).float()
        >>> bool((packed(x) == net.eval()(x)).all())
        True
        >>> packed[0]
        PackedLayer(
          100 -> 64, bias=True, gives bits
          (neuron): Leaky(...)
        )
    """
    if not isinstance(net, nn.Module):
        raise TypeError(expected("net", "a module", type(net).__name__))
    if isinstance(net, Ensemble):
        return _pack_ensemble(net)
    packed = _Packer().tree(copy_model(net).cpu().eval())
    if not any(isinstance(module, PackedLayer) for module in packed.modules()):
        raise ValueError(
            expected("net", "a network with a binary Linear or Conv layer that gets spikes", type(net).__name__)
        )
    return packed.eval()


def _pack_ensemble(ensemble: Ensemble) -> PackedEnsemble:
    together = _packed_together(list(ensemble.members))
    packed = PackedEnsemble(
        nn.ModuleList(pack(member) for member in ensemble.members) if together is None else together,
        len(ensemble.members),
        readout=ensemble.readout,
        readout_scale=ensemble.readout_scale,
        step=ensemble.step,
        seed=ensemble.seed,
    )
    return packed.eval()


def _packed_layer(stages: Sequence[_Stage], *, shared: bool = True, ensemble: bool = False) -> PackedLayer:
    """Return the layer of a stage, of one network or of all members."""
    stage = stages[0]
    layer = without_time(stage.module)
    weights = [member.weights for member in stages if member.weights is not None]
    norms = [member.norm for member in stages if member.norm is not None]
    biases = [member.bias for member in weights if member.bias is not None]
    return PackedLayer(
        torch.stack([member.positive for member in weights]),
        torch.stack([member.scale for member in weights]),
        torch.stack(biases) if biases else None,
        stage.neuron,
        geometry_of(layer) if isinstance(layer, CONV) else None,
        groups=getattr(layer, "groups", 1),
        shared=shared,
        ensemble=ensemble,
        packed_output=stage.packed_output,
        fused_bias=weights[0].fused_bias,
        norm=(torch.stack([scale for scale, _ in norms]), torch.stack([bias for _, bias in norms])) if norms else None,
    )


# ---- a sequence ----------------------------------------------------------------------------------


def _is_sequence(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def _in_sequence(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules of nested sequences one after the other, with names; those that do nothing are left out."""
    for name, child in module._modules.items():
        if child is None or type(without_time(child)) in _SILENT:
            continue
        if _is_sequence(child):
            yield from _in_sequence(child, f"{prefix}{name}_")
        else:
            yield f"{prefix}{name}", child


def _gives_real_numbers(stage: _Stage) -> bool:
    """Say whether what a stage gives is known not to be spikes."""
    if stage.weights is not None:
        return stage.neuron is None
    return isinstance(without_time(stage.module), _REAL)


def _stages(sequence: nn.Module) -> list[_Stage]:
    """Group a sequence into stages, and let spikes go on as bits where the next stage takes them."""
    stages: list[_Stage] = []
    for name, module in _in_sequence(sequence):
        before = stages[-1] if stages else None
        if before is not None and before.weights is not None and before.neuron is None:
            if before.norm is None and is_norm_of(module, before.weights):
                before.norm = norm_of(without_time(module))
                continue
            if _fits(module, before):
                before.neuron = module
                continue
        real = before is not None and _gives_real_numbers(before)
        weights = None if real else weights_of(without_time(module))
        if any(stage.name == name for stage in stages):
            name = f"{name}_at_{len(stages)}"
        stages.append(_Stage(name, module, weights, on_bits=None if weights else _on_bits(module)))
    _hand_over_bits(stages)
    return stages


def _fits(module: nn.Module, stage: _Stage) -> bool:
    """Say whether a module is neurons that can be fused to the layer of a stage."""
    assert stage.weights is not None
    fusable = why_not_fused(module) is None
    return fusable and constants(module, len(stage.weights.scale), stage.spatial) is not None


def _on_bits(module: nn.Module) -> nn.Module | None:
    """Return the twin on bits of a time-first pooling or flattening, if there is one."""
    inner = without_time(module)
    if isinstance(module, TimeFirst) and type(inner) in POOL:
        geometry = geometry_of(inner)
        return None if geometry is None else PackedMaxPool(geometry)
    if type(inner) is nn.Flatten and inner.end_dim == -1:
        return PackedFlatten() if inner.start_dim == (1 if isinstance(module, TimeFirst) else 2) else None
    return None


def _hand_over_bits(stages: list[_Stage]) -> None:
    """Decide which stages give bits: those whose bits reach another layer."""
    takes: set[int] = set()  # for which numbers of spatial dimensions the stage behind takes bits
    for stage in reversed(stages):
        if stage.weights is not None:
            stage.packed_output = stage.neuron is not None and stage.spatial in takes
            takes = {stage.spatial}
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


class _Packer:
    """Replaces the binary layers of a copied network; a module that stands in several places stays one."""

    def __init__(self) -> None:
        self._done: dict[nn.Module, nn.Module] = {}

    def tree(self, module: nn.Module) -> nn.Module:
        """Return the packed form of a module."""
        if module not in self._done:
            self._done[module] = self._replaced(module)
        return self._done[module]

    def _replaced(self, module: nn.Module) -> nn.Module:
        if _is_sequence(module):
            return _sequence({stage.name: self._stage(stage) for stage in _stages(module)})
        weights = weights_of(module)
        if weights is not None:
            return _packed_layer([_Stage("", module, weights)])
        for name, child in module._modules.items():
            if child is not None:
                module._modules[name] = self.tree(child)
        return module

    def _stage(self, stage: _Stage) -> nn.Module:
        if stage.weights is not None:
            return _packed_layer([stage])
        return stage.on_bits or (stage.module if _gives_real_numbers(stage) else self.tree(stage.module))


def _sequence(modules: dict[str, nn.Module]) -> nn.Sequential:
    return nn.Sequential(OrderedDict(modules))


# ---- an ensemble ---------------------------------------------------------------------------------


def _packed_together(members: list[nn.Module]) -> nn.Sequential | None:
    """Return one sequence that computes all members, or ``None`` where one of its parts must see them one by one."""
    if not all(_is_sequence(member) for member in members):
        return None
    of_members = [_stages(copy_model(member).cpu().eval()) for member in members]
    kinds = {tuple((stage.name, stage.weights is None) for stage in stages) for stages in of_members}
    if len(kinds) > 1:
        return None
    packed: dict[str, nn.Module] = {}
    shared = True
    for stages in zip(*of_members, strict=True):
        first = stages[0]
        if first.weights is not None:
            packed[first.name] = _packed_layer(stages, shared=shared, ensemble=True)
            shared = False
        elif first.on_bits is not None:
            packed[first.name] = first.on_bits
        elif shared and type(without_time(first.module)) is nn.Flatten:
            packed[first.name] = first.module
        else:
            return None
    # What follows a layer sees its members' outputs side by side, and must be able to.
    whole = [module for module in packed.values() if isinstance(module, PackedLayer)]
    if not whole or any(not layer.packed_output for layer in whole[:-1]) or whole[-1] is not [*packed.values()][-1]:
        return None
    return _sequence(packed)
