"""From values in [0, 1] to spike trains.

An encoder is a small frozen object called as ``encoder(values, num_steps, generator)``. It maps values of
shape [B, ...] to float32 spikes in {0, 1} of shape [T, B, ...], T = ``num_steps`` time steps. Two for networks that
take signed input do otherwise: ``SignedRateEncoder`` gives {-1, 0, 1}, ``DirectEncoder`` the values themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from snntorch_binary._errors import expected


class Encoder(Protocol):
    """What `SpikeDataset` asks of an encoder: any picklable callable of this form will do."""

    def __call__(self, values: Tensor, num_steps: int, generator: torch.Generator | None = None) -> Tensor:
        """Encode values [B, ...] in [0, 1] as float32 spikes [T, B, ...] in {0, 1}."""
        ...


def check_num_steps(num_steps: object) -> None:
    """Raise the house sentence unless `num_steps` is a positive int."""
    if not isinstance(num_steps, int) or isinstance(num_steps, bool) or num_steps < 1:
        raise ValueError(expected("num_steps", "a positive int (time steps)", num_steps))


def check_values(values: Tensor) -> None:
    """Raise the house sentence unless `values` is floating point and lies in [0, 1]."""
    if not isinstance(values, Tensor):
        raise TypeError(expected("values", "a torch.Tensor", type(values).__name__))
    if not values.is_floating_point():
        raise TypeError(expected("values", "a floating point tensor with values in [0, 1]", values.dtype))
    if values.numel() == 0:
        return
    low, high = values.aminmax()
    # aminmax hands NaN on, and a comparison with NaN is false: one test finds NaN, infinite and out of range.
    if not (low >= 0 and high <= 1):
        raise ValueError(expected("values", "finite and in [0, 1]", f"values from {float(low):g} to {float(high):g}"))


def _bernoulli(rates: Tensor, num_steps: int, generator: torch.Generator | None) -> Tensor:
    """Draw spikes with P(s_t = 1) = rate, independently in every step: [B, ...] -> [T, B, ...]."""
    uniform = torch.rand(num_steps, *rates.shape, generator=generator, device=rates.device)
    return uniform.lt_(rates)  # in place: half the time of `(uniform < rates).float()`


@dataclass(frozen=True)
class RateEncoder:
    """Rate coding: P(s_t = 1) = v, independently in every time step.

    Example:
        >>> values = torch.tensor([[0.0, 1.0]])
        >>> RateEncoder()(values, num_steps=3)
        tensor([[[0., 1.]],
                [[0., 1.]],
                [[0., 1.]]])
    """

    def __call__(self, values: Tensor, num_steps: int, generator: torch.Generator | None = None) -> Tensor:
        """Encode `values` as Bernoulli spikes.

        Args:
            values: floating point, shape [B, ...], in [0, 1].
            num_steps: number T of time steps, at least 1.
            generator: source of the noise, on the device of `values`; None uses torch's global one.

        Returns:
            float32 spikes in {0, 1}, shape [T, B, ...].

        Raises:
            TypeError: `values` is not a floating point tensor.
            ValueError: `values` holds NaN, an infinity or a value outside [0, 1], or `num_steps` < 1.
        """
        check_num_steps(num_steps)
        check_values(values)
        return _bernoulli(values, num_steps, generator)


@dataclass(frozen=True)
class SignedRateEncoder:
    """Signed rate coding: with x = 2 v - 1, s_t = sign(x) with P = abs(x) / 2, else 0, independently in every step.

    This is the Poisson input of FedSNN (Venkatesha, Kim, Tassiulas and Panda, IEEE Transactions on Signal Processing
    69, 2021), whose images are normalised to [-1, 1]: s_t = sign(x) 1[2 U <= abs(x)] with U uniform in (0, 1).

    Example:
        >>> SignedRateEncoder()(torch.tensor([[0.5]]), num_steps=2).flatten().tolist()
        [0.0, 0.0]
        >>> spikes = SignedRateEncoder()(torch.tensor([[0.0, 1.0]]), num_steps=1000)
        >>> [round(x, 1) for x in spikes.mean(0).flatten().tolist()]
        [-0.5, 0.5]
    """

    def __call__(self, values: Tensor, num_steps: int, generator: torch.Generator | None = None) -> Tensor:
        """Encode `values` as signed Bernoulli spikes.

        Args:
            values: floating point, shape [B, ...], in [0, 1].
            num_steps: number T of time steps, at least 1.
            generator: source of the noise, on the device of `values`; None uses torch's global one.

        Returns:
            float32 spikes in {-1, 0, 1}, shape [T, B, ...].

        Raises:
            TypeError: `values` is not a floating point tensor.
            ValueError: `values` holds NaN, an infinity or a value outside [0, 1], or `num_steps` < 1.
        """
        check_num_steps(num_steps)
        check_values(values)
        x = 2 * values - 1
        return _bernoulli(x.abs() / 2, num_steps, generator).mul_(x.sign())


@dataclass(frozen=True)
class DirectEncoder:
    """Direct coding: the value itself, scaled to [-1, 1], as input current of every time step.

    With one time step this is the input of an ordinary network.

    Example:
        >>> DirectEncoder()(torch.tensor([[0.0, 0.75]]), num_steps=2)[:, 0].tolist()
        [[-1.0, 0.5], [-1.0, 0.5]]
    """

    def __call__(self, values: Tensor, num_steps: int, generator: torch.Generator | None = None) -> Tensor:
        """Encode `values` [B, ...] in [0, 1] as currents [T, B, ...]; no noise, so `generator` is not used.

        Raises:
            TypeError: `values` is not a floating point tensor.
            ValueError: `values` holds NaN, an infinity or a value outside [0, 1], or `num_steps` < 1.
        """
        check_num_steps(num_steps)
        check_values(values)
        return (2 * values - 1).float().repeat(num_steps, *[1] * values.ndim)


@dataclass(frozen=True)
class LatencyEncoder:
    """Latency coding: one spike a value, the earlier the larger the value, at t = round((T - 1)(1 - v)).

    Values that do not exceed `threshold` stay silent, so the black background of an image sends nothing.

    Args:
        threshold: largest silent value, in [0, 1).

    Example:
        >>> LatencyEncoder()(torch.tensor([[1.0, 0.5, 0.0]]), num_steps=3)[:, 0]
        tensor([[1., 0., 0.],
                [0., 1., 0.],
                [0., 0., 0.]])
    """

    threshold: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1:
            raise ValueError(expected("threshold", "a float in [0, 1)", self.threshold))

    def __call__(self, values: Tensor, num_steps: int, generator: torch.Generator | None = None) -> Tensor:
        """Encode `values` [B, ...] in [0, 1] as spikes [T, B, ...]; no noise, so `generator` is not used.

        Raises:
            TypeError: `values` is not a floating point tensor.
            ValueError: `values` holds NaN, an infinity or a value outside [0, 1], or `num_steps` < 1.
        """
        check_num_steps(num_steps)
        check_values(values)
        time = ((num_steps - 1) * (1 - values)).round()
        time = time.masked_fill(values <= self.threshold, num_steps)  # a step that never comes
        steps = torch.arange(num_steps, device=values.device).view(-1, *[1] * values.ndim)
        return (steps == time).float()


@dataclass(frozen=True)
class PopulationEncoder:
    """Population coding by raised cosines: a value drives `num_units` units with overlapping tuning curves.

    Unit k = 0 ... n - 1 prefers the value k / (n - 1) and fires with probability

        rate_k(v) = 1/2 + 1/2 cos(clip(π ((n - 1) v - k) / width, -π, π))

    independently in every step. This is the coding of Bayes-BiSNN (Jang, Skatchkovsky, Simeone, "BiSNN",
    arXiv 2012.08300), whose Δ is 100 width / (n - 1) on values scaled to 0 ... 100: its two moons use
    n = 10 and width = 1, its one-dimensional regression n = 20 and width = 4.

    Args:
        num_units: number n of units a coordinate, at least 2.
        width: half the support of a tuning curve in units of the distance between two preferred values, > 0.
            With 1, at most two units of a coordinate are active and their rates sum to 1.

    Example:
        >>> encoder = PopulationEncoder(num_units=3)
        >>> encoder.rates(torch.tensor([[0.0, 0.5]]))
        tensor([[1., 0., 0., 0., 1., 0.]])
        >>> encoder(torch.rand(8, 2), num_steps=5).shape
        torch.Size([5, 8, 6])
    """

    num_units: int = 10
    width: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.num_units, int) or self.num_units < 2:
            raise ValueError(expected("num_units", "an int of at least 2", self.num_units))
        if not (self.width > 0 and math.isfinite(self.width)):
            raise ValueError(expected("width", "a positive float", self.width))

    def rates(self, values: Tensor) -> Tensor:
        """Return the firing probabilities [B, ..., coordinates · n] of `values` [B, ..., coordinates].

        The units of a coordinate lie side by side.

        Raises:
            TypeError: `values` is not a floating point tensor.
            ValueError: `values` holds NaN, an infinity or a value outside [0, 1], or has no coordinate axis.
        """
        check_values(values)
        if values.ndim < 2:
            raise ValueError(expected("values", "of shape [B, ..., coordinates]", tuple(values.shape)))
        unit = torch.arange(self.num_units, device=values.device, dtype=values.dtype)
        phase = math.pi * ((self.num_units - 1) * values.unsqueeze(-1) - unit) / self.width
        return (0.5 + 0.5 * phase.clamp(-math.pi, math.pi).cos()).flatten(-2)

    def __call__(self, values: Tensor, num_steps: int, generator: torch.Generator | None = None) -> Tensor:
        """Encode `values` [B, ..., coordinates] as float32 spikes [T, B, ..., coordinates · n].

        Args:
            values: floating point, in [0, 1].
            num_steps: number T of time steps, at least 1.
            generator: source of the noise, on the device of `values`; None uses torch's global one.

        Raises:
            TypeError: `values` is not a floating point tensor.
            ValueError: as `rates`, or `num_steps` < 1.
        """
        check_num_steps(num_steps)
        return _bernoulli(self.rates(values), num_steps, generator)
