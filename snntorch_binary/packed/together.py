"""Which layers of a graph have neurons right behind them, so that one pass over bits computes both."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import fx, nn

from snntorch_binary.graph import running
from snntorch_binary.graph.marks import RANK
from snntorch_binary.graph.neurons import scan_over_time, twin_in_inference
from snntorch_binary.nn.neurons.base import Neuron
from snntorch_binary.nn.subclasses import computes_as
from snntorch_binary.nn.time_first import TimeFirst
from snntorch_binary.packed.float_layers import NORM, POOL, Weights, geometry_of
from snntorch_binary.packed.neurons import NeuronConstants, constants
from snntorch_binary.packed.shaping import PackedFlatten, PackedMaxPool

_SILENT = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
_Shaping = tuple[fx.Node, nn.Module, fx.Node, set[fx.Node]]
"""What gives shaped spikes, what shapes them on bits, what gives the spikes, and the calls between."""


def is_silent(module: nn.Module) -> bool:
    """Say whether a module gives what it gets, in evaluation mode."""
    return computes_as(module) in _SILENT


@dataclass(frozen=True)
class Together:
    """A layer with the neurons behind it, and perhaps a batch norm between them.

    Attributes:
        layer: the call of the layer.
        neuron: ours, time-first.
        norm: the batch norm.
        gives_bits: whether whatever gets the spikes takes them as bits.
    """

    layer: fx.Node
    neuron: Neuron
    norm: Any = None
    gives_bits: bool = False


class Pairs:
    """What goes together in a graph.

    Args:
        graph: the graph.
        root: what holds its modules.
        counts_spikes: returns the weights of a layer that is packed and gets spikes, ``None`` of any other.

    Attributes:
        scans: layers with neurons, by the scan or the call of the neurons.
        shaping: modules on bits, by the call that gives what is pooled or flattened.
        silent: calls that are done with the scan, or with the module on bits.
    """

    def __init__(self, graph: fx.Graph, root: nn.Module, counts_spikes: Callable[[str], Weights | None]) -> None:
        self.root, self._weights = root, counts_spikes
        self.scans: dict[fx.Node, Together] = {}
        self.shaping: dict[fx.Node, tuple[nn.Module, fx.Node]] = {}
        self.silent: set[fx.Node] = set()
        self._uses = [str(node.target) for node in graph.nodes if node.op in ("call_module", "get_attr")]
        for node in graph.nodes:
            found = self._scanned(node) or self._called(node)
            if found is not None:
                self.scans[node] = found

    def _scanned(self, scan: fx.Node) -> Together | None:
        """Return what goes together with neurons that are scanned."""
        if scan.target is not scan_over_time or len(scan.args) != 3:
            return None
        at_rest = all(state is None for state in scan.args[2])  # type: ignore[union-attr]  # a tuple
        spikes = list(scan.users)
        if not at_rest or not all(user.target is operator.getitem and user.args[1] == 0 for user in spikes):
            return None
        neuron = self.root.get_submodule(str(scan.args[0].target))  # type: ignore[union-attr]  # a node
        return self._found(scan.args[1], twin_in_inference(neuron) or neuron, spikes)

    def _called(self, call: fx.Node) -> Together | None:
        """Return what goes together with neurons that take a sequence."""
        neuron: Any = self.root.get_submodule(str(call.target)) if call.op == "call_module" else None
        if not isinstance(neuron, Neuron) or neuron.one_step or neuron.output or len(call.args) != 1 or call.kwargs:
            return None
        return self._found(call.args[0], neuron, [call])

    def _found(self, current: Any, neuron: Any, spikes: list[fx.Node]) -> Together | None:
        passed: set[fx.Node] = set()
        before, norm = self._behind_silent(current, passed), None
        if _is(before, running.norm_over_time) and len(before.args) == 2:
            norm = self.root.get_submodule(str(before.args[0].target))
            passed.add(before)
            before = self._behind_silent(before.args[1], passed) if len(before.users) == 1 else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) != 1:
            return None
        if len(before.args) != 1 or before.kwargs:
            return None
        target = str(before.target)
        weights = self._weights(target) if self._uses.count(target) == 1 else None
        if weights is None or (norm is not None and not _keeps_statistics(norm, len(weights.scale))):
            return None
        spatial = weights.positive.dim() - 2
        if not isinstance(neuron, Neuron) or before.meta.get(RANK) != 3 + spatial:
            return None
        neuron = neuron.over_time(output=False)
        if not isinstance(constants(neuron, len(weights.scale), spatial), NeuronConstants):
            return None
        shaped = [self._shapings(each, spatial) for each in spikes]
        gives_bits = bool(spikes) and all(each is not None for each in shaped)
        self.silent |= {before, *passed}
        for end, module, start, inner in chain.from_iterable(shaped) if gives_bits else []:  # type: ignore[arg-type]
            self.shaping[end] = (module, start)
            self.silent |= inner
        return Together(before, neuron, norm, gives_bits)

    def _behind_silent(self, node: Any, passed: set[fx.Node]) -> Any:
        """Return what is before modules that do nothing in evaluation mode and whose input nothing else sees."""
        while isinstance(node, fx.Node) and self._is_silent(node) and len(node.users) == 1:
            passed.add(node)
            node = node.args[0]
        return node

    def _is_silent(self, node: fx.Node) -> bool:
        return node.op == "call_module" and len(node.args) == 1 and is_silent(self.root.get_submodule(str(node.target)))

    def _shapings(self, spikes: fx.Node, spatial: int) -> list[_Shaping] | None:
        """Return what shapes spikes on their way to layers that take them as bits; ``None`` where others get them."""
        shaped = self._shaped(spikes, spatial)
        if shaped is not None:
            end, module, inner = shaped
            behind = self._shapings(end, 0 if isinstance(module, PackedFlatten) else spatial)
            return None if behind is None else [(end, module, spikes, inner), *behind]
        found: list[_Shaping] = []
        for user in spikes.users:
            behind = self._shapings(user, spatial) if self._is_silent(user) else []
            if behind is None or not (self._is_silent(user) or self._takes_bits(user, spikes, spatial)):
                return None
            found += behind
        return found if spikes.users else None

    def _takes_bits(self, user: fx.Node, spikes: fx.Node, spatial: int) -> bool:
        if user.op != "call_module" or user.args[:1] != (spikes,):
            return False
        weights = self._weights(str(user.target))
        return weights is not None and weights.positive.dim() - 2 == spatial

    def _shaped(self, spikes: fx.Node, spatial: int) -> tuple[fx.Node, nn.Module, set[fx.Node]] | None:
        """Return what gives spikes pooled or flattened, the module that does so to bits, and the calls before it."""
        only = next(iter(spikes.users)) if len(spikes.users) == 1 else None
        if only is not None and only.op == "call_module" and only.args == (spikes,):
            layer: Any = self.root.get_submodule(str(only.target))
            inner, leading = (layer.module, 1) if isinstance(layer, TimeFirst) else (layer, 2)
            pools_time = leading == 2 and type(inner) is not nn.Flatten
            module = None if pools_time else self._on_bits(inner, spatial, leading)
            return None if module is None else (only, module, set())
        if only is not None and only.target is running.all_steps_at_once and only.args[1:] == ((spikes,), ()):
            end = next(iter(only.users)) if len(only.users) == 1 else None
            step = self.root.get_submodule(str(only.args[0].target))  # type: ignore[union-attr]  # a node
            return (end, PackedFlatten(), {only}) if end is not None and _is_flattening(step) else None
        batch = next((user for user in spikes.users if user.target is running.as_batch), None)
        made = next(iter(batch.users), None) if batch is not None and len(batch.users) == 1 else None
        end = next(iter(made.users), None) if made is not None and len(made.users) == 1 else None
        if batch is None or made is None or end is None:
            return None
        if end.target is not running.as_steps or set(spikes.users) != {batch, end}:
            return None
        module = self._of_batch(made, spatial)
        return None if module is None else (end, module, {batch, made})

    def _of_batch(self, made: fx.Node, spatial: int) -> nn.Module | None:
        if made.op == "call_module":
            module = self.root.get_submodule(str(made.target))
            return module if is_silent(module) else self._on_bits(module, spatial, 1)
        return PackedFlatten() if _flattens(made) else None

    def _on_bits(self, layer: Any, spatial: int, leading: int) -> nn.Module | None:
        """Return the twin on bits of a pooling or flattening that sees so many dimensions before the channels."""
        kind = computes_as(layer)
        if kind in POOL and kind.__name__.endswith(f"{spatial}d"):
            geometry = geometry_of(layer)
            return PackedMaxPool(geometry) if geometry is not None and geometry.can_pool else None
        return PackedFlatten() if kind is nn.Flatten and (layer.start_dim, layer.end_dim) == (leading, -1) else None


def _flattens(made: fx.Node) -> bool:
    """Say whether an operation makes one row of features of each example of a batch."""
    name = str(made.target if made.op == "call_method" else getattr(made.target, "__name__", ""))
    given = dict(zip(("start_dim", "end_dim"), made.args[1:], strict=False)) | dict(made.kwargs)
    return name == "flatten" and given in ({"start_dim": 1}, {"start_dim": 1, "end_dim": -1})


def _is_flattening(step: Any) -> bool:
    """Say whether that is all that a step does."""
    done = [node for node in step.graph.nodes if node.op not in ("placeholder", "output")]
    (output,) = (node for node in step.graph.nodes if node.op == "output")
    return len(done) == 1 and _flattens(done[0]) and output.args[0] == ((done[0],), ())


def _is(node: Any, function: Any) -> bool:
    return isinstance(node, fx.Node) and node.target is function


def _keeps_statistics(norm: Any, channels: int) -> bool:
    mean = norm.running_mean
    return computes_as(norm) in NORM and mean is not None and mean.dtype == torch.float32 and mean.shape == (channels,)
