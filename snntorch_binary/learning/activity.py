"""Keeping firing rates in a range: an optional regulariser of local learning."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from snntorch_binary._errors import expected


@dataclass(frozen=True)
class ActivityRegularizer:
    r"""A penalty on neurons that fire too rarely or too often.

    With the firing rate r_i of neuron i over the batch at one time step,

    .. math::
        \lambda\, \frac1N \sum_i \max(0, r_i - \text{high})^2 + \max(0, \text{low} - r_i)^2

    Args:
        weight: its weight λ in the loss of a layer, positive.
        low: rate below which a neuron is pushed up, in spikes per time step.
        high: rate above which it is pushed down.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> import torch
        >>> float(ActivityRegularizer(weight=1.0, low=0.0, high=0.5)(torch.ones(4, 3)))
        0.25
    """

    weight: float
    low: float = 0.02
    high: float = 0.5

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise ValueError(expected("weight", "a positive float", self.weight))
        if not 0 <= self.low <= self.high <= 1:
            raise ValueError(expected("low, high", "0 <= low <= high <= 1", (self.low, self.high)))

    def __call__(self, spikes: Tensor) -> Tensor:
        """Return the penalty of spikes [..., B, N]; leading dimensions are averaged over."""
        rate = spikes.mean(-2)
        return self.weight * ((rate - self.high).clamp(min=0).square() + (self.low - rate).clamp(min=0).square()).mean()

    def error(self, spikes: Tensor) -> Tensor:
        """Return the derivative of the penalty for spikes [B, N] of one time step, [1, N]: it is that of each row."""
        rate = spikes.mean(0, keepdim=True)
        slope = (rate - self.high).clamp(min=0) - (self.low - rate).clamp(min=0)
        return (2 * self.weight / spikes.numel()) * slope
