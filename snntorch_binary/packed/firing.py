"""Neurons of a packed graph whose currents are real numbers and whose spikes a packed layer takes as bits."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from snntorch_binary.kernels.engine import compiled
from snntorch_binary.nn.hooks import is_watched
from snntorch_binary.packed.graph_modules import Scan
from snntorch_binary.packed.instructions import Instruction, Ref
from snntorch_binary.packed.kept import Kept
from snntorch_binary.packed.neurons import NeuronConstants, constants, live_of
from snntorch_binary.packed.spikes import SpikeBits


@dataclass(frozen=True)
class Firing:
    """Neurons over maps, such as behind a convolution of an image.

    Attributes:
        inside: the instruction, by its place in the graph.
        scan: the neurons.
        given: the currents [T, B, C, positions].
        kept: channels and spatial dimensions, and the constants for these.
    """

    inside: dict[int, Instruction]
    scan: Scan
    given: tuple[Ref]
    kept: Kept[tuple[int, int, NeuronConstants | str]] = field(default_factory=Kept)

    def spikes(self, currents: Any) -> SpikeBits | None:
        """Return the spikes, or ``None`` where these currents, or who looks on, ask for the neurons themselves."""
        kernels = compiled("packed_currents", currents[:0].contiguous()) if isinstance(currents, Tensor) else None
        spatial = currents.dim() - 3 if kernels is not None else 0
        if kernels is None or not 1 <= spatial <= 3 or is_watched(self.scan) or is_watched(self.scan.neuron):
            return None
        steps, batch, channels, *positions = currents.shape
        neuron: Any = self.scan.neuron
        (*sizes, found) = self.kept.of_modules((neuron,), lambda: self._constants(channels, spatial))
        if sizes != [channels, spatial]:
            (*_, found) = self._constants(channels, spatial)
        if not isinstance(found, NeuronConstants):
            return None
        if currents.stride(0) == 0:  # the same at every step
            currents = currents[:1]
        rows = currents.movedim(2, -1).reshape(len(currents), batch, math.prod(positions), channels)
        values = found.per_member(1, 64 * -(-channels // 64))
        words = torch.zeros(steps, batch, math.prod(positions), values.shape[1] // 64, dtype=torch.int64)
        if words.numel():
            neurons = (found.kind, found.reset)
            kernels.spikes(rows.numpy(), live_of(channels), neurons, values.numpy(), words.numpy())
        return SpikeBits(words.view(steps, batch, *positions, 1, -1), channels, spatial)

    def _constants(self, channels: int, spatial: int) -> tuple[int, int, NeuronConstants | str]:
        neuron: Any = self.scan.neuron
        return channels, spatial, constants(neuron.over_time(output=False), channels, spatial)
