"""How the ±1 weights of a layer lie in memory, at one bit each: two layouts, and the choice between them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from snntorch_binary.kernels.bits import from_words, num_words, to_words

COLUMNS, ROWS = 0, 1

_WIDE = 384
_MOST_COUNTED = 2**14


def layout_for(inputs: int, outputs: int) -> int:
    """Return the layout, and with it the kernel, for a product of ``inputs`` by ``outputs`` weights.

    Measured on one Zen 4 core with 64 rows, time of ``ROWS`` over time of ``COLUMNS`` at spike densities
    2 / 5 / 10 / 30 / 100 %: 0.05 / 0.06 / 0.18 / 0.6 / 1.6 for 4096 x 4096, 0.17 / 0.19 / 0.35 / 0.63 / 1.3 for
    2312 x 512, 0.86 / 0.78 / 0.92 / 1.5 / 3.7 for 784 x 256, 2 to 17 for 128 outputs and fewer. So the width decides:
    where it is large, ``ROWS`` wins at every density that a spiking network has, where it is small ``COLUMNS`` does;
    the layout that loses need not be kept. Rows of int8 weights lose to ``COLUMNS`` even at 5 % and 256 outputs.
    """
    return ROWS if outputs >= _WIDE and inputs < _MOST_COUNTED else COLUMNS


@dataclass(frozen=True)
class Layout:
    """Where the weights of K members, each [outputs, inputs] in groups, lie in a tensor of words.

    Attributes:
        members: K.
        outputs: output channels of a member.
        inputs: inputs that one output sums over.
        groups: of a grouped convolution.
        shared: whether all members see the same input; their weights are then one wide product.
    """

    members: int
    outputs: int
    inputs: int
    groups: int = 1
    shared: bool = True

    @property
    def width(self) -> int:
        """Outputs of a member, filled up to whole words."""
        return 64 * num_words(self.outputs)

    @property
    def merged(self) -> bool:
        """Whether the members are one product, each filled up to whole words of outputs."""
        return self.members > 1 and self.shared and self.groups == 1

    @property
    def kind(self) -> int:
        """The layout of each block, see :mod:`snntorch_binary.kernels.compiled.packed_products`."""
        if self.groups > 1:
            return COLUMNS
        return layout_for(self.inputs, self.outputs * (self.members if self.merged else 1))

    @property
    def num_blocks(self) -> int:
        """Number of products per output position."""
        return 1 if self.merged else self.members * self.groups

    @property
    def block_outputs(self) -> int:
        """Outputs of one product."""
        if self.merged:
            return self.members * self.width
        return self.width if self.kind == ROWS else self.outputs // self.groups

    @property
    def block_words(self) -> int:
        """Words of one block; the last row of ``ROWS`` is zero."""
        if self.kind == ROWS:
            return (self.inputs + 1) * (self.block_outputs // 64)
        return num_words(self.inputs) * self.block_outputs

    def blocks(self, taps: int) -> Tensor:
        """Return int64 [blocks, 3]: first bit of its input, first word of its weights, first of its outputs."""
        channels, outputs = self.inputs // taps, self.outputs // self.groups
        member_bits = 0 if self.shared else 64 * num_words(channels * self.groups)
        block = torch.arange(self.num_blocks)
        member, group = block // self.groups, block % self.groups
        first_output = member * self.width + group * outputs
        return torch.stack([member * member_bits + group * channels, block * self.block_words, first_output], 1)

    @property
    def words(self) -> int:
        """Words of all blocks."""
        return self.num_blocks * self.block_words

    def pack(self, positive: Tensor) -> Tensor:
        """Return the words of weights given as bool [K, outputs, inputs], True for +1."""
        parts = positive.reshape(self.members * self.groups, -1, self.inputs)
        if self.kind == ROWS:
            rows = to_words(parts)
            rows = rows.transpose(0, 1).flatten(1)[None] if self.merged else rows
            return pad(rows, (0, 0, 0, 1)).flatten()
        columns = to_words(parts.transpose(1, 2))
        if self.merged:
            columns = pad(columns, (0, 0, 0, self.width - self.outputs)).flatten(0, 1)[None]
        return columns.transpose(1, 2).flatten()

    def unpack(self, words: Tensor) -> Tensor:
        """Return the weights as bool [K, outputs, inputs], True for +1."""
        if self.kind == ROWS:
            rows = words.view(self.num_blocks, self.inputs + 1, -1)[:, :-1]
            rows = rows[0].unflatten(1, (self.members, -1)).transpose(0, 1) if self.merged else rows
            positive = from_words(rows, self.outputs).transpose(1, 2)
        else:
            columns = words.view(self.num_blocks, -1, self.block_outputs).transpose(1, 2)
            if self.merged:
                columns = columns[0].unflatten(0, (self.members, self.width))[:, : self.outputs]
            positive = from_words(columns, self.inputs)
        return positive.reshape(self.members, self.outputs, self.inputs) != 0
