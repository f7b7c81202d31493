"""What tells the weights of a network from those that they were, or will be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary.weights import binary_layers


@dataclass
class Marks:
    """Marks of a network's parameters.

    Attributes:
        writes: how often torch knows that each was written to, and which draws there have been: what is cheap to see.
        sums: of the bits of each by their places, which do not change by a copy.
    """

    writes: list[Any]
    sums: list[int]

    @classmethod
    def of(cls, net: nn.Module) -> Marks:
        """Return the marks of a network's parameters as they are."""
        return cls(_writes(net), _sums(net))

    def are_of(self, net: nn.Module) -> bool:
        """Say whether a network, or a copy of it, has these parameters."""
        now = _writes(net)
        if now == self.writes:
            return True
        if _sums(net) != self.sums:
            return False
        self.writes = now
        return True


def _writes(net: nn.Module) -> list[Any]:
    # A fused optimizer's step is no write to torch, but renews a draw.
    draws = [layer.draw.counter for layer in binary_layers(net).values()]
    return [*((id(parameter), parameter._version) for parameter in net.parameters()), draws]


def _sums(net: nn.Module) -> list[int]:
    return [_sum(parameter.detach()) for parameter in net.parameters()]


def _sum(values: Tensor) -> int:
    bits = values.float().contiguous().view(-1).view(torch.int32).long()
    return int((bits * torch.arange(1, 2 * len(bits), 2, device=bits.device)).sum())
