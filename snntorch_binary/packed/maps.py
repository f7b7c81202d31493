"""A packed convolution over maps as its kernels take it, with what follows the sums in the same pass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from snntorch_binary.kernels.memory import empty
from snntorch_binary.packed.geometry import Geometry
from snntorch_binary.packed.layout import COLUMNS, Layout
from snntorch_binary.packed.neurons import NeuronConstants, live_of
from snntorch_binary.packed.rounding import addition_of, norm_addition_of
from snntorch_binary.packed.spikes import SpikeBits

_LARGEST_FRAME = 2**20
NOTHING, BITS, NUMBERS = 0, 1, 2
"""What is added to currents, as the kernels call it."""

_Norm = tuple[Tensor, Tensor]


def goes_by_lines(geometry: Geometry, groups: int, size: tuple[int, ...]) -> bool:
    """Say whether a convolution of inputs of a spatial size is one that these kernels take."""
    if geometry.spatial not in (1, 2) or groups > 1 or geometry.spread:
        return False
    framed = [n + sum(pair) for n, pair in zip(size, geometry.padding, strict=True)]
    return math.prod(framed) <= _LARGEST_FRAME


@dataclass(frozen=True)
class Maps:
    """A layer's weights and constants, each output filled up to whole words, and the pooling of its sums.

    Sums are pooled, not currents: as long as scales are positive, the currents of the largest sums are the largest, in
    whatever way they are rounded. An output with a negative one has its weights and its scale negated for it, which
    changes no bit of a current.

    Attributes:
        geometry: of the convolution.
        pooling: of a max pooling behind the sums, or ``None``.
        layout: of the weights.
        weights: its words, those of a product filled up to whole vectors, even outputs of each before the odd ones.
        outputs: of a product, with those that fill it up.
        scale: float32 [K · width].
        bias: the same.
        addition: 0 without a bias, 1 where it rounds twice, 2 where it rounds once.
        norm: the same, with the scale and the bias, of a batch norm.
        neuron: what fires, or ``None``.
    """

    geometry: Geometry
    pooling: Geometry | None
    layout: Layout
    weights: Tensor
    outputs: int
    scale: Tensor
    bias: Tensor
    addition: int
    norm: tuple[int, Tensor, Tensor]
    neuron: NeuronConstants | None

    @staticmethod
    def of(
        layer: Any,
        pooling: Geometry | None,
        norm: _Norm | None,
        neuron: NeuronConstants | None,
        norm_is_pooled: bool = False,
    ) -> Maps:
        """Return a packed layer with what follows it.

        Args:
            layer: the layer, of whose own norm and neurons nothing is taken.
            pooling: without padding and dilation.
            norm: scale and bias, [K, C_out] each.
            neuron: the constants of neurons.
            norm_is_pooled: whether the norm is before the pooling, and not behind it.
        """
        layout: Layout = layer.layout
        weights, scale = layer.weight_bits, layer.scale
        if pooling is not None:
            falls = (scale * norm[0] if norm is not None and norm_is_pooled else scale) < 0
            if bool(falls.any()):
                weights = layout.pack(layout.unpack(weights) ^ falls[..., None])
                scale = torch.where(falls, -scale, scale)
        outputs = layout.block_outputs
        if layout.kind == COLUMNS:
            weights = F.pad(weights.view(-1, outputs), (0, live_of(outputs) - outputs))
            weights, outputs = weights.unflatten(1, (-1, 8, 2)).transpose(2, 3).flatten(), weights.shape[1]

        def filled(value: Tensor | None) -> Tensor:
            value = torch.zeros_like(layer.scale) if value is None else value
            return F.pad(value, (0, layout.width - layout.outputs)).flatten()

        addition = addition_of(layer.biases is not None, layer.fused_bias)
        norm_scale, norm_bias = (None, None) if norm is None else norm
        of_norm = (norm_addition_of(norm is not None), filled(norm_scale), filled(norm_bias))
        constants = (filled(scale), filled(layer.biases), addition, of_norm)
        return Maps(layer.geometry, pooling, layout, weights, outputs, *constants, neuron)

    def output_size(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """Return the spatial size of what comes out."""
        found = self.geometry.output_size(size)
        return found if self.pooling is None else self.pooling.output_size(found)

    def spikes(self, kernels: Any, bits: SpikeBits, added: SpikeBits | Tensor | None = None) -> Tensor:
        """Return the words of the spikes, int64 [T, B, positions, K, words].

        Args:
            kernels: compiled.
            bits: spikes [T, B, ...].
            added: to the currents, as spikes or as numbers [T, B, C, positions].
        """
        layout, (steps, batch) = self.layout, bits.lead
        positions = self._places(bits.positions)[0]
        out = torch.zeros((steps, batch, math.prod(positions), layout.members * layout.width // 64), dtype=torch.int64)
        if out.numel():
            behind = (_addend(added, self._constants[1]), *self._neurons, out.numpy())
            kernels.spikes(*self._given(bits, (steps, batch)), *self._constants, *behind)
        return out.view(steps, batch, *positions, layout.members, layout.width // 64)

    def currents(self, kernels: Any, bits: SpikeBits) -> Tensor:
        """Return currents [..., positions, K, C]."""
        layout, rows = self.layout, math.prod(bits.lead)
        positions = self._places(bits.positions)[0]
        out = empty(rows * math.prod(positions), layout.members, layout.outputs)
        if out.numel():
            kernels.currents(*self._given(bits, (rows, 1)), *self._constants, out.numpy())
        return out.view(*bits.lead, *positions, layout.members, layout.outputs)

    def _given(self, bits: SpikeBits, lead: tuple[int, int]) -> tuple[Any, ...]:
        """Return what a kernel takes first: the input, where it is, and the weights."""
        words = bits.words.reshape(*lead, -1, math.prod(bits.words.shape[-2:])).contiguous()
        return words.numpy(), *self._places(bits.positions)[1], *self._products

    def _places(self, size: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[Any, ...]]:
        """Return the spatial size of what comes out, and what the kernels are told of both, along two dimensions."""
        if size not in self._known:
            geometry, one = self.geometry, (1,) * self.geometry.spatial
            window, step = (one, one) if self.pooling is None else (self.pooling.kernel, self.pooling.stride)
            before, after = zip(*geometry.padding, strict=True)
            shapes = map(_as_2d, (tuple(size), geometry.kernel, geometry.stride, geometry.dilation))
            found = self.output_size(size)
            of_maps = (*shapes, _as_2d(before, 0), _as_2d(after, 0))
            self._known[size] = (found, (of_maps, tuple(map(_as_2d, (window, step, found)))))
        return self._known[size]

    @cached_property
    def _known(self) -> dict[tuple[int, ...], Any]:
        """Kept: a small convolution would wait for it."""
        return {}

    @cached_property
    def _products(self) -> tuple[Any, ...]:
        blocks = self.layout.blocks(self.geometry.num_taps)
        if self.layout.kind == COLUMNS:
            blocks[:, 1] = blocks[:, 1] // self.layout.block_outputs * self.outputs
        return blocks.numpy(), self.weights.numpy(), self.layout.kind

    @cached_property
    def _neurons(self) -> tuple[Any, ...]:
        assert self.neuron is not None
        values = self.neuron.per_member(self.layout.members, self.layout.width)
        return (self.neuron.kind, self.neuron.reset), values.numpy()

    @cached_property
    def _constants(self) -> tuple[Any, ...]:
        layout, (norm, norm_scale, norm_bias) = self.layout, self.norm
        size = (layout.inputs, self.outputs, layout.inputs // self.geometry.num_taps)
        of_norm = (norm, norm_scale.numpy(), norm_bias.numpy())
        live = layout.width * layout.members
        if layout.kind == COLUMNS and layout.members == 1:
            live = live_of(layout.outputs)
        return size, live, self.scale.numpy(), self.bias.numpy(), self.addition, of_norm


def _as_2d(values: tuple[int, ...], filled: int = 1) -> tuple[int, int]:
    return values if len(values) == 2 else (filled, *values)  # type: ignore[return-value]


def _addend(added: SpikeBits | Tensor | None, width: int) -> tuple[Any, ...]:
    """Return what is added to currents as a kernel takes it: its kind, words and numbers [T, B, positions, width]."""
    words, numbers = torch.empty(0, dtype=torch.int64), torch.empty(0)
    if isinstance(added, SpikeBits):
        words = added.words.flatten()
    elif added is not None:
        fill = width - added.shape[2]
        numbers = added.movedim(2, -1)
        numbers = (F.pad(numbers, (0, fill)) if fill else numbers).flatten()
    kind = NOTHING if added is None else BITS if isinstance(added, SpikeBits) else NUMBERS
    return kind, words.numpy(), numbers.numpy()
