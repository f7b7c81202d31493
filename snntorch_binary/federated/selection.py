"""Who takes part in a round, and the seed of all that is random in it: functions of (seed, round)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from snntorch_binary._errors import expected
from snntorch_binary.kernels.noise import mix


def round_seed(seed: int, round: int) -> int:
    """Return the seed of a round, of 63 bits.

    Example:
        >>> round_seed(0, 1) == round_seed(0, 1) != round_seed(0, 2)
        True
    """
    return mix(seed, round) >> 1


def chosen_clients(clients: Sequence[int], count: int, seed: int, round: int) -> list[int]:
    """Draw the clients of a round without replacement.

    Args:
        clients: all there are, at least ``count``.
        count: how many take part.
        seed: of the federation.
        round: number of the round.

    Raises:
        ValueError: there are fewer than ``count``, or ``count`` is not positive.

    Example:
        >>> len(set(chosen_clients(range(10), 2, seed=0, round=1)))
        2
    """
    if not 1 <= count <= len(clients):
        raise ValueError(expected("count", f"from 1 to {len(clients)}, the number of clients", count))
    generator = torch.Generator().manual_seed(mix(seed, round, 1) >> 1)
    return [clients[index] for index in torch.randperm(len(clients), generator=generator)[:count].tolist()]
