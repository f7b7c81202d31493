"""Hooks that count what the layers and neurons of a network do, over all calls of one run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from snntorch_binary.metrics.energy.operations import (
    are_spikes,
    bits_of_weight,
    contributions,
    dense,
    dense_macs,
    is_layer,
    num_weights,
)
from snntorch_binary.metrics.energy.table import LayerEnergy
from snntorch_binary.nn.neurons.description import description_of, is_neuron
from snntorch_binary.packed import PackedLayer


@dataclass
class Tally:
    """Sums over the calls of a layer and of the neurons behind it, and over the batch."""

    name: str
    module: nn.Module
    bits: int = 32
    weights: int = 0
    dense_macs: int = 0
    contributions: int = 0
    inputs: int = 0
    active: int = 0
    outputs: int = 0
    takes_spikes: bool = True
    update_macs: int = 0
    update_additions: int = 0
    kept: int = 0
    spikes: int = 0
    neuron_steps: int = 0
    gives_spikes: bool = True

    def called(self, layer: nn.Module, x: Tensor, y: Tensor) -> None:
        """Take up one call of the layer."""
        self.dense_macs += dense_macs(layer, x, y)
        self.contributions += contributions(layer, x)
        self.outputs += y.numel()
        self.took(x)
        # A layer of few bits scales its sums and adds a bias, a real one adds a bias.
        scales = self.bits < 32
        self.updated(y.numel(), (int(scales), int(not scales and layer.bias is not None), 0))

    def took(self, x: Tensor) -> None:
        """Take up an input."""
        self.inputs += x.numel()
        self.active += int(x.count_nonzero())
        self.takes_spikes = self.takes_spikes and are_spikes(x)

    def updated(self, times: int, operations: tuple[int, int, int]) -> None:
        """Take up updates of neurons or outputs, each of some multiply-accumulates, additions and kept numbers."""
        macs, additions, kept = operations
        self.update_macs += macs * times
        self.update_additions += additions * times
        self.kept += kept * times

    def fired(self, y: Tensor) -> None:
        """Take up what neurons gave."""
        self.neuron_steps += y.numel()
        self.gives_spikes = self.gives_spikes and are_spikes(y)
        self.spikes += int(y.count_nonzero())

    def row(self, batch: int) -> LayerEnergy:
        """Return the means over a batch."""
        macs = 0 if self.takes_spikes else self.dense_macs
        synaptic = self.contributions if self.takes_spikes else 0
        known = self.gives_spikes and self.neuron_steps > 0
        written = self.neuron_steps if known else 32 * max(self.outputs, self.neuron_steps)
        read = self.inputs * (1 if self.takes_spikes else 32) + (macs + synaptic) * self.bits
        return LayerEnergy(
            name=self.name,
            module=type(self.module).__name__,
            binary=self.bits == 1,
            bits=self.bits,
            dense_macs=self.dense_macs / batch,
            macs=macs / batch,
            synaptic_operations=synaptic / batch,
            update_macs=self.update_macs / batch,
            update_additions=self.update_additions / batch,
            input_density=self.active / self.inputs if self.inputs else 0.0,
            spikes=self.spikes / batch if known else None,
            firing_rate=self.spikes / self.neuron_steps if known else None,
            weight_bytes=(self.bits * self.weights + 7) // 8,
            weight_bytes_float32=4 * self.weights,
            bytes_moved=(read + written + 2 * 32 * self.kept) / 8 / batch,
        )


class Meter:
    """Hooks that count what the layers and neurons of a network do."""

    def __init__(self, net: nn.Module) -> None:
        self.tallies: dict[str, Tally] = {}
        self.unknown: list[str] = []
        self._last: Tally | None = None
        self._names = {module: name for name, module in net.named_modules()}
        # Those inside a packed layer are counted with it: compiled, the layer does not call them.
        self._inside = {inner for layer in self._names if isinstance(layer, PackedLayer) for inner in layer.children()}
        self._recurrent = {inner for neuron in self._names if is_neuron(neuron) for inner in neuron.modules()}

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Count as long as the context lasts."""
        with ExitStack() as hooks:
            for module in self._names:
                if is_layer(module):
                    hooks.enter_context(module.register_forward_hook(self._layer, with_kwargs=True))
                elif is_neuron(module) and module not in self._inside:
                    hooks.enter_context(module.register_forward_hook(self._neuron, with_kwargs=True))
            yield

    def _tally(self, module: nn.Module) -> Tally:
        name = self._names[module]
        if name not in self.tallies:
            self.tallies[name] = Tally(name, module)
            if is_layer(module):
                self.tallies[name].bits, self.tallies[name].weights = bits_of_weight(module), num_weights(module)
        return self.tallies[name]

    def _layer(self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        tally, y = self._tally(layer), dense(output)
        tally.called(layer, dense((*args, *kwargs.values())), y)
        if layer not in self._recurrent:
            self._last = tally
        if isinstance(layer, PackedLayer) and layer.neuron is not None:
            self._updated(tally, layer.neuron, y)

    def _neuron(self, neuron: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        description = description_of(neuron)
        is_filter = description is not None and description.is_filter
        tally = self._tally(neuron) if is_filter or self._last is None else self._last
        x = dense((*args, *kwargs.values()))
        if tally.module is neuron:
            tally.took(x)
        self._updated(tally, neuron, dense(output))
        tally.gives_spikes = tally.gives_spikes and not is_filter  # though a short one may hold nothing but 0 and 1

    def _updated(self, tally: Tally, neuron: nn.Module, y: Tensor) -> None:
        description = description_of(neuron)
        operations = None if description is None else description.operations_of(neuron)
        name = self._names[neuron]
        if operations is None:
            what = f"the update of {name} ({type(neuron).__name__})"
            self.unknown += [] if what in self.unknown else [what]
        tally.updated(y.numel(), operations or (0, 0, 0))
        tally.fired(y)
