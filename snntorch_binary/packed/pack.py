"""`pack`: from a network with binary weights to one that holds a bit per weight and multiplies nothing."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary.convert.copies import copy_model
from snntorch_binary.fuse import check_sample, fuse, takes_steps
from snntorch_binary.graph.network import GraphNetwork
from snntorch_binary.graph.samples import are_spikes
from snntorch_binary.inference.arguments import check_single
from snntorch_binary.inference.ensemble import Ensemble
from snntorch_binary.inference.find_form import form_of
from snntorch_binary.inference.run import is_stepwise
from snntorch_binary.nn.binary import BinaryLayer
from snntorch_binary.packed.ensemble import PackedEnsemble
from snntorch_binary.packed.float_layers import CONV, LINEAR, geometry_of, weights_of, weights_or_reason, without_time
from snntorch_binary.packed.graph import PackedGraph
from snntorch_binary.packed.layer import PackedLayer
from snntorch_binary.packed.neurons import same_constants
from snntorch_binary.packed.pack_graph import pack_graph
from snntorch_binary.packed.recorded import graph_of, graphs_of
from snntorch_binary.packed.stages import Stage, is_sequence, stages_of

_logger = logging.getLogger(__name__)


def pack(net: nn.Module, sample: Any = None, *, real_input: Collection[str] = ()) -> nn.Module:
    """Return a copy of a network for inference that holds its binary weights at one bit each.

    Every binary layer becomes a :class:`PackedLayer`: its input is spikes, its sums are counted on bits and equal the
    float layer's exactly. In a sequence, a time-first batch norm and a time-first ``Leaky``, ``Synaptic`` or ``SRM``
    behind it become part of it, and spikes go on as bits, through max pooling and flattening too. A layer behind
    traces, averages or currents holds its weights at one bit, too, and unpacks them for a product of real numbers.
    Every other module stays as it is and gets float spikes or currents; ``print(packed)`` shows what became of each. A
    binary layer that cannot be packed stays as well, and a warning is logged that says why: its rule has other weights
    than ±1 (``WeightRule.levels``), it is of a class of its own, it is no float32. A module
    that reads ``layer.weight``, ``layer.bias`` or a size finds them on the packed layer.

    With a sample, a network of any form is packed as its graph over time: neurons right behind a layer become part of
    it and spikes go on as bits there, too, through max pooling and ``flatten`` (not ``view``), where packed layers
    alone get them; SpikingJelly's layers and neurons are packed as ours, where they compute the same. Which layers are
    shown real numbers is found out. Members of an ensemble share one recording where they differ in tensors only.

    A sequence of layers and snnTorch's neurons, or of ours with ``init_hidden=True``, takes one time step at a time. It
    is made time-first before (:func:`snntorch_binary.fuse`): packed, it takes [T, B, ...] and starts at rest. A module
    with a loop of its own keeps it, and its neurons.

    Args:
        net: a network with binary layers, of which the mode is packed; a frozen one (:func:`snntorch_binary.freeze`),
            for a draw; a :class:`snntorch_binary.learning.LocalNetwork`, whose last readout becomes a packed layer; or
            an :class:`snntorch_binary.Ensemble`, whose members are computed together where they are sequences of such
            layers and neurons.
        sample: an input as ``fuse`` takes it, or a tuple of arguments, to pack a network of any form, or an ensemble of
            such. What is packed is called with as many (of lists and others within, with what is in them); those
            that are no tensors must equal the sample's.
        real_input: names of layers that get real numbers where nothing in the network says so: a first layer that is
            shown pixels. They hold one bit per weight and multiply.

    Returns:
        The packed network in evaluation mode; :class:`PackedEnsemble` for an ensemble. The original stays as it was.

    Raises:
        ValueError: no layer can be packed, ``real_input`` names what is no binary layer, or a neuron that takes one
            time step at a time has no time-first form.

    Note:
        A binary layer multiplies ±1 and scales the sum, and so does a packed one: equal bit for bit. In a frozen
        network or an ``Ensemble`` the scale is part of the weight, and float sums of it are rounded, unless the scale
        is a power of two; the packed network gives the sums without that rounding. A real layer in a network that is
        made time-first may round its sums in another order than step by step.

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
    if isinstance(real_input, str):
        raise TypeError(expected("real_input", "a collection of names", repr(real_input)))
    if isinstance(net, Ensemble):
        return _pack_ensemble(net, real_input) if sample is None else _pack_as_graphs(net, sample, real_input)
    if sample is not None or isinstance(net, GraphNetwork):
        return _packed(graph_of(net, sample), sample, real_input)
    float_net = _over_time(net)
    names = {module: name for name, module in float_net.named_modules()}
    packed = _Packer(_named_layers(float_net, real_input), names).tree(float_net)
    reasons = _reasons(names)
    if not any(isinstance(module, PackedLayer) for module in packed.modules()):
        what = "a network with a binary Linear or Conv layer that can be packed"
        got = f"a {type(net).__name__}" + "".join(f"; {name!r} cannot be: {why}" for name, why in reasons.items())
        raise ValueError(expected("net", what, got))
    for module, name in names.items():
        if isinstance(module, BinaryLayer):
            _say_what_becomes_of(module, name, reasons.get(name))
    return packed.eval()


def _packed(graph: GraphNetwork, sample: Any, real_input: Collection[str]) -> PackedGraph:
    """Return the packed form of a graph, and log what becomes of its layers."""
    packed = _packed_graph(graph, graph.spikes if sample is None else are_spikes(sample), real_input)
    for name, what in packed.report.items():
        _logger.info("Layer %r: %s.", name, what)
    return packed


def _packed_graph(graph: GraphNetwork, spikes: list[bool], real_input: Collection[str]) -> PackedGraph:
    layers = [name for name, module in graph.named_modules() if weights_of(module) is not None]
    for name in real_input:
        if name not in layers:
            raise ValueError(expected("real_input", f"names of binary layers, of {', '.join(layers)}", repr(name)))
    return pack_graph(copy_model(graph), spikes, set(real_input))


def _reasons(names: dict[nn.Module, str]) -> dict[str, str]:
    """Return the names of layers that cannot be packed, and why."""
    kinds = (BinaryLayer, *LINEAR, *CONV)
    found = {name: weights_or_reason(module) for module, name in names.items() if isinstance(module, kinds)}
    return {name: reason for name, reason in found.items() if isinstance(reason, str)}


def _say_what_becomes_of(layer: BinaryLayer, name: str, reason: str | None) -> None:
    zeros = int((layer.latent == 0).sum())
    if reason is not None:
        _logger.warning("Layer %r stays as it is: %s.", name, reason)
    elif zeros:
        what = "weights have a latent of exactly 0, as pruning leaves them: they are packed as +1"
        _logger.warning("Layer %r: %d %s.", name, zeros, what)


def _over_time(net: nn.Module) -> nn.Module:
    """Return a copy of a network to pack, time-first where it is layers in their order."""
    as_sequence = getattr(net, "as_sequence", None)
    copied = as_sequence() if callable(as_sequence) else copy_model(net)
    return (fuse(copied) if takes_steps(copied) else copied).cpu().eval()


def _named_layers(net: nn.Module, names: Collection[str]) -> set[nn.Module]:
    layers = {
        name: module for name, module in net.named_modules(remove_duplicate=False) if weights_of(module) is not None
    }
    for name in names:
        if name not in layers:
            raise ValueError(expected("real_input", f"names of binary layers, of {', '.join(layers)}", repr(name)))
    return {layers[name] for name in names}


def _pack_ensemble(ensemble: Ensemble, real_input: Collection[str]) -> PackedEnsemble:
    members = [_over_time(member) for member in ensemble.members]
    together = None if real_input else _packed_together(members)
    each = (pack(member, real_input=real_input) for member in members)
    packed = PackedEnsemble(
        nn.ModuleList(each) if together is None else together,
        len(members),
        readout=ensemble.readout,
        readout_scale=ensemble.readout_scale,
        step=ensemble.step and any(is_stepwise(member) or not is_sequence(member) for member in members),
        time_dim=ensemble.time_dim,
        task=ensemble.task,
        seed=ensemble.seed,
    )
    return packed.eval()


def _pack_as_graphs(ensemble: Ensemble, sample: Any, real_input: Collection[str]) -> PackedEnsemble:
    """Pack members of any form, each as its graph over time."""
    check_sample(sample)
    form = form_of(ensemble.members[0], sample, ensemble.step, ensemble.time_dim)
    if form.step:
        check_single(sample, "sample")
    first, *others = graphs_of(ensemble.members, sample, form)
    graphs = [_packed(first, sample, real_input)]
    graphs += [_packed_graph(graph, are_spikes(sample), real_input) for graph in others]
    packed = PackedEnsemble(
        nn.ModuleList(graphs),
        len(graphs),
        readout=ensemble.readout,
        readout_scale=ensemble.readout_scale,
        time_dim=form.time_dim,
        scored=form.scored,
        task=ensemble.task,
        seed=ensemble.seed,
    )
    return packed.eval()


def _packed_layer(stages: Sequence[Stage], name: str, *, shared: bool = True, ensemble: bool = False) -> PackedLayer:
    """Return the layer of a stage, of one network or of all members."""
    stage = stages[0]
    layer = without_time(stage.module)
    weights = [member.weights for member in stages if member.weights is not None]
    norms = [member.norm for member in stages if member.norm is not None]
    biases = [member.bias for member in weights if member.bias is not None]
    packed = PackedLayer(
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
        real_input=stage.real_input,
        norm=(torch.stack([scale for scale, _ in norms]), torch.stack([bias for _, bias in norms])) if norms else None,
    )
    packed.name = name
    return packed


class _Packer:
    """Replaces the binary layers of a copied network; a module that stands in several places stays one."""

    def __init__(self, real_input: set[nn.Module], names: dict[nn.Module, str]) -> None:
        self._real_input = real_input
        self._names = names
        self._done: dict[nn.Module, nn.Module] = {}

    def tree(self, module: nn.Module) -> nn.Module:
        """Return the packed form of a module."""
        if module not in self._done:
            self._done[module] = self._replaced(module)
        return self._done[module]

    def _replaced(self, module: nn.Module) -> nn.Module:
        if is_sequence(module):
            return _sequence({stage.name: self._stage(stage) for stage in stages_of(module, self._real_input)})
        weights = weights_of(module)
        if weights is not None:
            stage = Stage("", module, weights, real_input=module in self._real_input)
            return _packed_layer([stage], self._names[module])
        for name, child in module._modules.items():
            if child is not None:
                module._modules[name] = self.tree(child)
        return module

    def _stage(self, stage: Stage) -> nn.Module:
        if stage.weights is not None:
            return _packed_layer([stage], self._names[without_time(stage.module)])
        return stage.on_bits or self.tree(stage.module)


def _sequence(modules: dict[str, nn.Module]) -> nn.Sequential:
    return nn.Sequential(OrderedDict(modules))


# ---- an ensemble ---------------------------------------------------------------------------------


def _same_neurons(stages: Sequence[Stage]) -> bool:
    """Say whether the neurons of one member do for all: those of networks trained apart may have learned their own."""
    weights = stages[0].weights
    assert weights is not None
    return same_constants([stage.neuron for stage in stages], len(weights.scale), stages[0].spatial)


def _packed_together(members: list[nn.Module]) -> nn.Sequential | None:
    """Return one sequence that computes all members, or ``None`` where one of its parts must see them one by one."""
    if not all(is_sequence(member) for member in members):
        return None
    of_members = [stages_of(member) for member in members]
    kinds = {tuple((stage.name, stage.weights is None) for stage in stages) for stages in of_members}
    if len(kinds) > 1:
        return None
    packed: dict[str, nn.Module] = {}
    shared = True
    for stages in zip(*of_members, strict=True):
        first = stages[0]
        if first.weights is not None and (first.real_input or not _same_neurons(stages)):
            return None
        if first.weights is not None:
            packed[first.name] = _packed_layer(stages, first.name, shared=shared, ensemble=True)
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
