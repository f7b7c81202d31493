"""What Flower's own protections of clients are to do, as frozen values."""

from __future__ import annotations

import math
from dataclasses import dataclass

from snntorch_binary._errors import expected

FEWEST_SUMMED, MOST_SUMMED = 3, 1023
"""Clients a round with secure aggregation: two would know each other's, and Flower's sums of 32 bits hold no more."""


@dataclass(frozen=True)
class LocalPrivacy:
    """Flower's local differential privacy: each client clips its update and adds noise before it is sent.

    On all that the network learns; see :class:`snntorch_binary.federated.flower.local_privacy.LocalPrivacyModifier`.

    Attributes:
        clipping_norm: bound on the update's norm, positive.
        sensitivity: of the update, at least 0.
        epsilon: privacy budget, positive; small is private.
        delta: probability that the guarantee fails, in (0, 1).
    """

    clipping_norm: float
    sensitivity: float
    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        for name in ("clipping_norm", "epsilon", "delta"):
            if not getattr(self, name) > 0:
                raise ValueError(expected(name, "a positive float", getattr(self, name)))
        if not self.delta < 1:
            raise ValueError(expected("delta", "a float in (0, 1)", self.delta))
        if not self.sensitivity >= 0:
            raise ValueError(expected("sensitivity", "a float of at least 0", self.sensitivity))


@dataclass(frozen=True)
class SecureAggregation:
    """Flower's secure aggregation: a server that follows the protocol learns the mean of what clients send only.

    See :mod:`snntorch_binary.federated.flower.secure_aggregation` for what it does not withstand.

    Attributes:
        num_shares: with how many clients each one exchanges masks and shares of its keys, as a part of a round's
            clients, in (0, 1]. Less than 1 is faster with many clients, but where many are lost the server may learn
            the means of groups.
        reconstruction_threshold: part of the shares that are needed to take the masks away, in (0, 1]: more is safer
            against clients that work together with the server, less lets more clients be lost in a round.
        clipping_range: bound on the change of a number in a round, positive. Changes, weighted by the client's part of
            the largest number of examples in the round, are rounded to multiples of its 2,097,152nd part, at random so
            that the mean is right on average.
    """

    num_shares: float = 1.0
    reconstruction_threshold: float = 0.6
    clipping_range: float = 8.0

    def __post_init__(self) -> None:
        for name in ("num_shares", "reconstruction_threshold"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(expected(name, "a float in (0, 1]", getattr(self, name)))
        if not 0 < self.clipping_range < math.inf:
            raise ValueError(expected("clipping_range", "a positive float", self.clipping_range))
