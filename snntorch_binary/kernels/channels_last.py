"""Sequences of maps that lie channels-last in memory, as event-driven convolutions and torch's pooling leave them."""

from __future__ import annotations

from torch import Tensor


def lie_channels_last(x: Tensor) -> bool:
    """Say whether maps [T, B, C, ...] lie channels-last in memory, and in no other order."""
    return x.dim() > 3 and not x.is_contiguous() and x.movedim(2, -1).is_contiguous()


def channels_last(of_neurons: Tensor, spatial: int) -> Tensor:
    """Return what is of each neuron, or broadcasts to [..., C, *spatial], with the channels behind the space."""
    if of_neurons.dim() == 0:
        return of_neurons
    missing = spatial + 1 - of_neurons.dim()
    if missing > 0:
        of_neurons = of_neurons.reshape((1,) * missing + of_neurons.shape)
    return of_neurons.movedim(-1 - spatial, -1)


def dense(x: Tensor) -> Tensor:
    """Return maps [T, B, C, ...] in an order that scans take: as they are where that is one, else contiguous."""
    return x if lie_channels_last(x) else x.contiguous()
