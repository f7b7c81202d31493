"""One-dimensional regression with gaps: where nothing was learned from, a posterior should spread.

The problem of Bayes-BiSNN (Jang, Skatchkovsky, Simeone, arXiv 2012.08300): f(x) = x - 0.1 x² + cos(π x / 2), seen
with noise for x in [-1, 0), [1.5, 2.5) and [4, 5) and asked for in all of [-1, 5).
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from snntorch_binary.data.description import Description, Request, register
from snntorch_binary.data.encoders import PopulationEncoder
from snntorch_binary.data.splits import Source

INTERVALS = ((-1.0, 0.0), (1.5, 2.5), (4.0, 5.0))
"""Where there are training points: low <= x < high."""
NAMES = ("f(x)",)
"""What its only target is called."""
_NOISE = 0.1  # standard deviation before scaling


def function(x: Tensor) -> Tensor:
    """Return f(x) = x - 0.1 x² + cos(π x / 2).

    Example:
        >>> function(torch.tensor([-1.0, 0.0]))
        tensor([-1.1000,  1.0000])
    """
    return x - 0.1 * x**2 + (math.pi / 2 * x).cos()


def inside(x: Tensor) -> Tensor:
    """Return the mask, of the shape of `x`, of the positions in the training intervals.

    Example:
        >>> inside(torch.tensor([-0.5, 0.5, 1.5, 2.5]))
        tensor([ True, False,  True, False])
    """
    # Positions that were scaled to float32 and back miss the ends of the intervals by some 1e-7.
    x = x.double().mul(1e4).round() / 1e4
    return torch.stack([(x >= low) & (x < high) for low, high in INTERVALS]).any(0)


@dataclass(frozen=True)
class Range:
    """A range that is scaled to [0, 1].

    Attributes:
        low: what becomes 0.
        high: what becomes 1.
    """

    low: float
    high: float

    @property
    def span(self) -> float:
        """The factor from a scaled error to a real one, high - low."""
        return self.high - self.low

    def scale(self, values: Tensor) -> Tensor:
        """Return (values - low) / span."""
        return (values - self.low) / self.span

    def restore(self, scaled: Tensor) -> Tensor:
        """Return low + span · scaled."""
        return self.low + self.span * scaled


def _grid(low: float, high: float, per_unit: int, shift: float = 0.0) -> Tensor:
    """Return float64 positions low + (k + shift) / per_unit below `high`."""
    return low + (torch.arange(round((high - low) * per_unit), dtype=torch.float64) + shift) / per_unit


_TEST = _grid(-1.0, 5.0, 100)
POSITIONS = Range(float(_TEST[0]), float(_TEST[-1]))
"""The range of x, by which the inputs of all parts are scaled: [-1, 4.99]."""
TARGETS = Range(float(function(_TEST).min()), float(function(_TEST).max()))
"""The range of f(x) on the test positions, by which all targets are scaled: about [-1.1, 3.407]."""


def read(asked: Request) -> Source:
    """Return the 60 training, 60 validation and 600 test points.

    Inputs are x and labels are y, both scaled to the test range: ``POSITIONS.restore(splits.test.inputs)`` and
    ``TARGETS.restore(splits.test.labels)`` give them back. Training targets, at steps of 1/20, have noise of standard
    deviation 0.1 (0.022 scaled), and so have those of the validation points half a step further. Test targets, at
    steps of 1/100, are f(x) itself.

    Example:
        >>> source = read(Request(data_dir=None, classes=(0,)))
        >>> source.labels.shape, int(source.validation.sum()), int(source.test.sum())
        (torch.Size([720]), 60, 600)
        >>> int(inside(POSITIONS.restore(source.read(source.test.nonzero()[:, 0], 100))).sum())
        300
    """
    training, validation = (torch.cat([_grid(low, high, 20, shift) for low, high in INTERVALS]) for shift in (0.0, 0.5))
    x = torch.cat([training, validation, _TEST])
    noise = [_noise(60, "regression-1d train"), _noise(60, "regression-1d validation"), torch.zeros_like(_TEST)]
    inputs, index = POSITIONS.scale(x).float().unsqueeze(1), torch.arange(len(x))
    return Source(
        labels=TARGETS.scale(function(x) + torch.cat(noise)).float(),
        test=index >= 120,
        validation=(index >= 60) & (index < 120),
        read=lambda indices, num_steps: inputs[indices],
        class_names=NAMES,
    )


def _noise(size: int, key: str) -> Tensor:
    """Return normal noise [size], float64, that depends on `key` only, in every version of Python and torch."""
    rng, normal = random.Random(key), NormalDist(sigma=_NOISE)
    return torch.tensor([normal.inv_cdf(rng.random()) for _ in range(size)], dtype=torch.float64)


register(
    Description(
        name="regression-1d",
        place=20,
        num_classes=1,
        num_steps=100,
        spikes="population code",
        features=(20,),
        needs="nothing",
        read=read,
        encoder=PopulationEncoder(num_units=20, width=4.0),
        regression=True,
    )
)
