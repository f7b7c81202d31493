"""The test part of a data set, degraded: the same for every rule and seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Subset

from snntorch_binary._errors import expected, misspelt
from snntorch_binary.data import DirectEncoder, PackedSpikes, SignedRateEncoder, SpikeDataset
from snntorch_binary.data.corruptions import CORRUPTIONS, Corruption
from snntorch_binary.data.dataset import keyed_generator
from snntorch_binary.data.registry import encoder_of
from snntorch_binary.experiments.data import Batches, ShippedData, in_order

MOST = 2000
"""Of a larger test part, as many examples are answered, at equal distances in its order."""
_CELLS = 2**25
"""Cells of the spikes of a batch at most: a number is drawn for each."""


def chosen(num_examples: int) -> Tensor:
    """Return the indices of the test examples that are answered."""
    return torch.linspace(0, num_examples - 1, min(MOST, num_examples), dtype=torch.float64).round().long()


def corruptions_of(source: ShippedData, test: SpikeDataset, names: Sequence[str] = ()) -> tuple[Corruption, ...]:
    """Return the corruptions of some names, or all that have a meaning for a data set.

    Raises:
        ValueError: one is unknown, is there twice, or has no meaning for the set.
    """
    kinds = []
    if not isinstance(test.encoder, DirectEncoder | SignedRateEncoder):
        kinds.append("spikes")
    if _image_shape(source, test) is not None:
        kinds.append("images")
    possible = {name: one for name, one in CORRUPTIONS.items() if one.kind in kinds}
    if len(set(names)) != len(names):
        raise ValueError(expected("shift", "different corruptions", ", ".join(names)))
    for name in names:
        if name not in CORRUPTIONS:
            raise ValueError(expected("shift", f"some of {', '.join(possible)}", misspelt(name, possible)))
        if name not in possible:
            needs = {"spikes": "spikes of 0 and 1", "images": "images that spikes are made of"}[CORRUPTIONS[name].kind]
            what = f"some of {', '.join(possible)} for {source.name}, which has no {needs}"
            raise ValueError(expected("shift", what, repr(name)))
    shape = _image_shape(source, test)
    return tuple(possible[name] if shape is None else possible[name].in_image(shape[-1]) for name in names or possible)


def _image_shape(source: ShippedData, test: SpikeDataset) -> tuple[int, ...] | None:
    """Return the shape of the images that spikes are made of, or ``None`` where values are none."""
    shape = tuple(test.inputs.shape[1:])
    if test.encoder is None or encoder_of(source.name) is None:
        return None
    side = math.isqrt(shape[0])
    square = (side, side) if len(shape) == 1 and side * side == shape[0] else None
    return shape if len(shape) == 3 else square


class DegradedTest:
    """The test part of one fold, as it is answered under each corruption.

    Args:
        source: the data set.
        test: its test part.
        fold: the fold.
    """

    def __init__(self, source: ShippedData, test: SpikeDataset, fold: int) -> None:
        self._source, self._test, self._fold = source, test, fold
        self._index = chosen(len(test))
        self._size = max(1, min(500, _CELLS // max(1, test[0][0].numel())))
        self._encoded: list[tuple[Tensor, Tensor]] = []

    def batches(self, corruption: Corruption, strength: float) -> Batches:
        """Return batches ``(x, labels)`` under a corruption."""
        if corruption.kind == "images":
            return self._in_order(self._of_images(corruption, strength))
        return self._of_spikes(corruption, strength)

    def _generator(self, corruption: Corruption, strength: float) -> torch.Generator:
        return keyed_generator("shift", corruption.name, float(strength), self._fold)

    def _in_order(self, test: SpikeDataset) -> Batches:
        return in_order(Subset(test, self._index.tolist()), self._size)

    def _of_images(self, corruption: Corruption, strength: float) -> SpikeDataset:
        """Return the set of degraded values; what is drawn in encoding an example is as on clean ones."""
        shape, inputs = _image_shape(self._source, self._test), self._test.inputs
        assert shape is not None
        assert not isinstance(inputs, PackedSpikes)
        values = inputs[self._index]
        values = values / 255 if values.dtype == torch.uint8 else values
        images = corruption.apply(
            values.unflatten(1, shape) if values.dim() == 2 else values, strength, self._generator(corruption, strength)
        )
        degraded = torch.zeros(inputs.shape)
        degraded[self._index] = images.reshape(values.shape)
        test = self._test
        return SpikeDataset(
            degraded, test.labels, num_steps=test.num_steps, encoder=test.encoder, seed=test.seed, fixed=True
        )

    def _of_spikes(self, corruption: Corruption, strength: float) -> Iterator[tuple[Tensor, Tensor]]:
        generator = self._generator(corruption, strength)
        one_symbol = keyed_generator("shift", "one symbol", self._fold)
        for x, labels in self._clean():
            if corruption.of_sensor:  # the same in every batch
                generator = self._generator(corruption, strength)
            degraded = corruption.apply(x.float(), strength, generator)
            yield (with_one_symbol(degraded, one_symbol) if self._source.one_symbol else degraded), labels

    def _clean(self) -> Iterable[tuple[Tensor, Tensor]]:
        """Return the batches without corruption; spikes that are made, which takes a while, are made once."""
        if self._test.encoder is None:
            return self._in_order(self._test)
        if not self._encoded:
            self._encoded = [(x.bool(), labels) for x, labels in self._in_order(self._test)]
        return self._encoded


def with_one_symbol(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Return frames [T, B, 2, H, W] where a pixel that had both polarities in a time step keeps one of them.

    Args:
        frames: the frames.
        generator: says which one.
    """
    both = frames.amin(2)
    darker = (torch.rand(both.shape, generator=generator) < 0.5).to(frames) * both
    return frames - torch.stack([both - darker, darker], 2)
