"""Which parts of a packed graph are one pass over bits: a convolution, what shapes its currents, and the neurons.

A graph says them one by one, as its file does; where compiled kernels are at hand they are computed together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary.kernels.engine import compiled
from snntorch_binary.nn.hooks import is_watched
from snntorch_binary.nn.neurons.base import Neuron
from snntorch_binary.packed.firing import Firing
from snntorch_binary.packed.float_layers import NORM, POOL, geometry_of, norm_of
from snntorch_binary.packed.geometry import Geometry
from snntorch_binary.packed.graph_modules import Scan
from snntorch_binary.packed.instructions import Instruction, Ref, refs
from snntorch_binary.packed.kept import Kept
from snntorch_binary.packed.layer import PackedLayer
from snntorch_binary.packed.maps import Maps, goes_by_lines
from snntorch_binary.packed.neurons import NeuronConstants, constants
from snntorch_binary.packed.spikes import SpikeBits

CHAIN = "chain"
"""The kind of the instruction that stands for a chain."""


@dataclass(frozen=True)
class Chain:
    """A convolution and the neurons behind it, and what is between them.

    Attributes:
        inside: the instructions, by their place in the graph; the last one gives what the neurons give.
        layer: the convolution.
        scan: the neurons.
        source: the spikes [T, B, ...] that the convolution gets.
        added: what is added to the currents, if something is.
        norm: a batch norm before that.
        pool: a max pooling.
        norm_is_pooled: whether the norm comes before the pooling.
        kept: what the kernels take.
    """

    inside: dict[int, Instruction]
    layer: PackedLayer
    scan: Scan
    source: Ref
    added: Ref | None = None
    norm: Any = None
    pool: nn.Module | None = None
    norm_is_pooled: bool = False
    kept: Kept[Maps | None] = field(default_factory=Kept)

    @property
    def given(self) -> tuple[Ref, ...]:
        """What it takes from earlier instructions."""
        return (self.source,) if self.added is None else (self.source, self.added)

    def spikes(self, x: Any, added: Any = None) -> SpikeBits | None:
        """Return the spikes, or ``None`` where these inputs, or who looks on, ask for one thing after the other."""
        kernels = compiled("packed_maps")
        parts = (self.layer, self.scan, self.scan.neuron, self.norm, self.pool)
        if kernels is None or any(part is not None and is_watched(part) for part in parts):
            return None
        if self.norm is not None and self.norm.training:
            return None
        spatial = self.layer.geometry.spatial
        if not isinstance(x, SpikeBits) and (not isinstance(x, Tensor) or x.dim() != 3 + spatial):
            return None
        bits = self.layer.entered(x)
        if not isinstance(bits, SpikeBits) or bits.words.device.type != "cpu":
            return None
        maps = self.kept.of_modules((self.layer, self.norm, self.pool, self.scan.neuron), self._maps)
        if maps is None or not goes_by_lines(maps.geometry, self.layer.groups, tuple(bits.positions)):
            return None
        shape = (*bits.lead, self.layer.out_channels, *maps.output_size(tuple(bits.positions)))
        if added is not None and not (isinstance(added, SpikeBits) and added.shape == shape):
            is_plain = type(added) is Tensor and added.dtype == torch.float32 and added.device.type == "cpu"
            if not is_plain or added.shape != shape:
                return None
        return SpikeBits(maps.spikes(kernels, bits, added), self.layer.out_channels, spatial)

    def _maps(self) -> Maps | None:
        """Return the layer with what follows it, or ``None`` where it cannot hold that."""
        neuron: Any = self.scan.neuron
        found = constants(neuron.over_time(output=False), self.layer.out_channels, self.layer.geometry.spatial)
        norm, pooling = None if self.norm is None else norm_of(self.norm), None
        if self.pool is not None:
            pooling = geometry_of(self.pool)
            if pooling is None or not _is_simple(pooling):  # by now
                return None
        if not isinstance(found, NeuronConstants) or not (norm is None or bool(torch.isfinite(norm[0]).all())):
            return None
        norms = None if norm is None else (norm[0][None], norm[1][None])
        return Maps.of(self.layer, pooling, norms, found, norm_is_pooled=self.norm_is_pooled)


def chains_of(instructions: list[Instruction], output: Any, modules: Mapping[str, Any]) -> dict[int, Chain | Firing]:
    """Return the chains of a graph by the place of their neurons, and neurons whose spikes these take as bits."""
    finder = _Finder(instructions, output, modules)
    scans = [index for index in range(len(instructions)) if finder.is_scan(index)]
    chains = {index: chain for index in scans if (chain := finder.chain(index)) is not None}
    wanted = {ref.index for chain in chains.values() for ref in chain.given}
    others = {
        index: Firing({index: instructions[index]}, finder.scan(index), instructions[index].args[:1])
        for index in scans
        if index not in chains and finder.users[index] & wanted
    }
    return chains | others


class _Finder:
    def __init__(self, instructions: list[Instruction], output: Any, modules: Mapping[str, Any]) -> None:
        self.instructions, self.modules = instructions, modules
        self.users: dict[int, set[int]] = {index: set() for index in range(len(instructions))}
        for index, each in enumerate(instructions):
            for ref in refs((each.args, each.kwargs)):
                self.users[ref.index].add(index)
        for ref in refs(output):
            self.users[ref.index].add(-1)

    def scan(self, index: int) -> Any:
        """Return the neurons that an instruction runs over time, or ``None``."""
        return self._module(index, Scan)

    def is_scan(self, index: int) -> bool:
        """Say whether an instruction runs neurons from rest, of which nothing but the spikes is used."""
        scan, args = self.scan(index), self.instructions[index].args
        if scan is None or not isinstance(scan.neuron, Neuron) or len(args) != 2 or any(map(_is_something, args[1])):
            return False
        users = [self.instructions[user] if user >= 0 else None for user in self.users[index]]
        return all(user is not None and user.name == "getitem" and user.args[1] == 0 for user in users)

    def chain(self, index: int) -> Chain | None:
        """Return the chain that ends with a scan."""
        scan, args = self.scan(index), self.instructions[index].args
        for current, added, passed in self._without_sum(args[0]):
            parts: dict[str, Any] = {}
            inside = {index, *passed}
            source = self._source(current, parts, inside)
            only = all(self.users[each] <= inside for each in inside - {index})
            if source is not None and only and (added is None or added.index not in inside):
                places = {each: self.instructions[each] for each in sorted(inside)}
                return Chain(places, parts.pop("layer"), scan, source, added, **parts)
        return None

    def _without_sum(self, ref: Any) -> Iterator[tuple[Any, Ref | None, set[int]]]:
        """Yield what may be the currents of a convolution, what is added to them, and the addition."""
        args = self._call(ref, "add")
        if args is None or len(args) != 2:
            yield ref, None, set()
        elif all(isinstance(each, Ref) for each in args):
            yield args[0], args[1], {ref.index}
            yield args[1], args[0], {ref.index}

    def _source(self, ref: Any, parts: dict[str, Any], inside: set[int]) -> Ref | None:
        """Follow currents back to a convolution; note what is passed, and return the spikes that it gets."""
        while isinstance(ref, Ref):
            args = self._call(ref, "norm_over_time")
            if args is not None and len(args) == 2 and "norm" not in parts:
                norm: Any = self.modules.get(self.instructions[args[0].index].name)
                if type(norm) not in NORM or norm.running_mean is None or norm.running_mean.dtype != torch.float32:
                    return None
                parts["norm"], parts["norm_is_pooled"] = norm, "pool" in parts
                inside.add(ref.index)
                ref = args[1]
                continue
            steps, called = self._call(ref, "as_steps"), ref
            if steps is not None:
                inside.add(ref.index)
                called = steps[0]
            inside.add(called.index)
            given = self.instructions[called.index].args[:1]
            batch = self._call(given[0], "as_batch") if steps is not None and given else None
            if steps is not None and (batch is None or batch[0] != steps[1]):
                return None
            layer, pool = self._module(called.index, PackedLayer), self._module(called.index, *POOL)
            if layer is not None:
                parts["layer"] = layer
                if batch is not None and self.users[given[0].index] <= inside:
                    inside.add(given[0].index)
                return self._first(layer, parts.get("pool"), given[0] if batch is None else batch[0])
            geometry = None if pool is None or "pool" in parts else geometry_of(pool)
            if batch is None or geometry is None or not _is_simple(geometry):
                return None
            inside.add(given[0].index)
            parts["pool"] = pool
            ref = batch[0]
        return None

    def _first(self, layer: PackedLayer, pool: Any, source: Any) -> Ref | None:
        """Return the spikes that a convolution gets, if it is one that a chain can begin with."""
        fits = pool is None or len(geometry_of(pool).kernel) == layer.geometry.spatial  # type: ignore[union-attr]
        return source if fits and _can_be_first(layer) and isinstance(source, Ref) else None

    def _call(self, ref: Any, function: str) -> tuple[Any, ...] | None:
        """Return the arguments of a call of a function."""
        made = self.instructions[ref.index] if isinstance(ref, Ref) else None
        is_it = made is not None and (made.kind, made.name) == ("function", function) and not made.kwargs
        return made.args if made is not None and is_it else None

    def _module(self, index: int, *kinds: type) -> Any:
        """Return the module that an instruction calls, if it is of one of some kinds and gets no keywords."""
        made = self.instructions[index]
        module = self.modules.get(made.name) if made.kind == "invoke" and not made.kwargs else None
        return module if type(module) in kinds else None


def _is_something(state: Any) -> bool:
    return state is not None


def _can_be_first(layer: PackedLayer) -> bool:
    """Say whether a layer gives the currents of one network, of maps of spikes."""
    alone = layer.neuron is None and layer.norm_scale is None and not layer.real_input and not layer.ensemble
    return alone and layer.geometry.spatial in (1, 2) and layer.groups == 1 and not layer.geometry.spread


def _is_simple(pooling: Geometry) -> bool:
    """Say whether the windows of a pooling hold neighbours, and no padding."""
    return all(size == 1 for size in pooling.dilation) and not any(size for pair in pooling.padding for size in pair)


def instruction_of(chain: Chain | Firing) -> Instruction:
    """Return the instruction that stands for a chain; its arguments are whatever is needed from before."""
    needed = {ref.index for each in chain.inside.values() for ref in refs((each.args, each.kwargs))}
    return Instruction(CHAIN, "", tuple(Ref(index) for index in sorted(needed - chain.inside.keys())))


def run_plainly(
    chain: Chain | Firing, values: dict[int, Any], done: Callable[[Instruction, dict[int, Any]], Any]
) -> Any:
    """Return what the instructions of a chain give one after the other."""
    within = dict(values)
    for index, instruction in chain.inside.items():
        within[index] = done(instruction, within)
    return within[max(chain.inside)]
