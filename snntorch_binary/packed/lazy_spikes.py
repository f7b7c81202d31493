"""Spikes that stay bits in a packed graph until something asks for numbers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from snntorch_binary.nn.hooks import is_watched
from snntorch_binary.packed.instructions import Instruction, Ref
from snntorch_binary.packed.layer import PackedLayer
from snntorch_binary.packed.spikes import SpikeBits


class LazySpikes:
    """Spikes as bits, and as numbers for who wants these.

    Args:
        bits: the spikes.
    """

    def __init__(self, bits: SpikeBits) -> None:
        self.bits = bits

    @cached_property
    def numbers(self) -> Tensor:
        """The spikes as a float32 tensor."""
        return self.bits.unpack()

    def as_batch(self) -> LazySpikes:
        """Return all steps of a sequence [T, B, ...] as one batch."""
        bits = self.bits
        words = bits.words.flatten(0, 1)
        return LazySpikes(SpikeBits(words, bits.channels, bits.spatial))


def on_bits(instruction: Instruction, modules: Mapping[str, nn.Module | None], values: dict[int, Any]) -> Any:
    """Return what an instruction gives that can take spikes as bits, ``None`` where it wants numbers."""
    if instruction.kwargs:
        return None
    args: list[Any] = [values.get(each.index) if isinstance(each, Ref) else each for each in instruction.args]
    spikes = [isinstance(each, LazySpikes) for each in args]
    if instruction.kind == "function":
        if instruction.name == "as_batch" and spikes == [True]:
            return args[0].as_batch()
        if instruction.name == "as_steps" and spikes == [False, True]:
            return args[0].unflatten(0, args[1].bits.lead)
    layer = modules.get(instruction.name) if instruction.kind == "invoke" and spikes == [True] else None
    if not isinstance(layer, PackedLayer) or layer.real_input or layer.ensemble or is_watched(layer):
        return None
    return layer(args[0].bits) if layer.geometry.spatial == args[0].bits.spatial else None
