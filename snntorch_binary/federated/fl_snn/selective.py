r"""Selective exchange: a device sends, of every synapse, the weights of those basis functions that moved most.

A synapse of a probabilistic spiking network has K_a weights, one for each basis function. At a communication rate ρ,
in weights per synapse and local step, the exchange after τ local steps has room for :math:`n = \lfloor \tau \rho
\rfloor` of them. A device sends those n basis functions, the same for all its synapses, whose gradients were largest
in sum; biases and feedback weights go in full. A basis function is averaged over the devices that sent it; of one
that nobody sent, each device keeps its own weights. (In the published code these become 0.)

Source: Skatchkovsky, Jang and Simeone, FL-SNN, arXiv 1910.09594. Plain torch, without Flower.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.federated.averaging import State, weighted_mean


class Share(NamedTuple):
    """What a device sends, and what comes back to all.

    Attributes:
        indices: the basis functions it is about, int64 [n], ascending.
        weights: of all S synapses, [S, n].
        rest: all other parameters, by name.
    """

    indices: Tensor
    weights: Tensor
    rest: State

    @property
    def num_scalars(self) -> int:
        """How many numbers it has, without the indices."""
        return self.weights.numel() + sum(value.numel() for value in self.rest.values())

    @property
    def num_bytes(self) -> int:
        """How many bytes its tensors have, with the indices."""
        return sum(value.numel() * value.element_size() for value in (self.indices, self.weights, *self.rest.values()))


def num_selected(tau: int, rate: float, num_basis: int) -> int:
    r"""Return :math:`n = \lfloor \tau \rho \rfloor`, how many of K_a basis functions an exchange has room for.

    Args:
        tau: local steps τ between two exchanges, at least 1.
        rate: ρ > 0, weights per synapse and local step; what is more than K_a / τ is left unused.
        num_basis: K_a.

    Raises:
        ValueError: an argument is out of its range, or there is room for none.

    Example:
        >>> num_selected(tau=16, rate=0.25, num_basis=8)
        4
    """
    if not isinstance(tau, int) or tau < 1:
        raise ValueError(expected("tau", "an integer of at least 1", tau))
    if not 0 < rate < math.inf:
        raise ValueError(expected("rate", "a positive float", rate))
    room = math.floor(tau * rate + 1e-9)  # 0.29 * 100 is a little less than 29
    if room < 1:
        raise ValueError(expected("rate", f"at least 1 / tau = {1 / tau:g}, so that something can be sent", rate))
    return min(room, num_basis)


def select(weights: Tensor, rest: State, magnitudes: Tensor, num: int) -> Share:
    """Return what a device sends: the basis functions of the largest gradients; of equal ones, the first.

    Args:
        weights: [S, K_a].
        rest: all other parameters, by name.
        magnitudes: summed absolute gradients of each basis function since the last exchange, [K_a].
        num: how many to send, from 1 to K_a.

    Raises:
        ValueError: there are not as many magnitudes as basis functions, or ``num`` is out of its range.

    Example:
        >>> select(torch.tensor([[1.0, 2.0, 3.0]]), {}, magnitudes=torch.tensor([5.0, 0.0, 7.0]), num=2).weights
        tensor([[1., 3.]])
    """
    num_basis = weights.shape[1]
    if magnitudes.shape != (num_basis,):
        raise ValueError(expected("magnitudes", f"of shape [{num_basis}]", tuple(magnitudes.shape)))
    if not 1 <= num <= num_basis:
        raise ValueError(expected("num", f"an integer from 1 to {num_basis}", num))
    indices = magnitudes.argsort(descending=True, stable=True)[:num].sort().values
    return Share(indices, weights[:, indices], rest)


def average(shares: Sequence[Share]) -> Share:
    """Return the mean of what devices sent: of each basis function over those who sent it, of the rest over all.

    Raises:
        ValueError: there is no share.

    Example:
        >>> first = Share(torch.tensor([0, 1]), torch.tensor([[1.0, 2.0]]), {})
        >>> second = Share(torch.tensor([1, 3]), torch.tensor([[4.0, 5.0]]), {})
        >>> average([first, second])[:2]
        (tensor([0, 1, 3]), tensor([[1., 3., 5.]]))
    """
    rest = weighted_mean([share.rest for share in shares])
    indices = torch.cat([share.indices for share in shares]).unique()
    columns = []
    for index in indices:
        sent = [
            {"": share.weights[:, share.indices == index]} for share in shares if bool((share.indices == index).any())
        ]
        columns.append(weighted_mean(sent)[""])
    return Share(indices, torch.cat(columns, 1), rest)


def merge(weights: Tensor, share: Share) -> Tensor:
    """Return a device's weights [S, K_a] with those that were exchanged in place of its own.

    Example:
        >>> merge(torch.tensor([[1.0, 2.0, 3.0]]), Share(torch.tensor([2]), torch.tensor([[9.0]]), {}))
        tensor([[1., 2., 9.]])
    """
    merged = weights.clone()
    merged[:, share.indices] = share.weights
    return merged
