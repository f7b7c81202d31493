"""Which client holds which examples: equal parts, or labels distributed by a Dirichlet law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from snntorch_binary._errors import expected


class Partition(Protocol):
    """What a federation asks of a way to split a data set."""

    def __call__(self, labels: Tensor, num_clients: int, seed: int) -> list[Tensor]:
        """Return the indices [N_k] of the examples of each client, int64."""
        ...


@dataclass(frozen=True)
class IID:
    """A random equal split: every client gets ⌊N / K⌋ examples, what is left over is dropped.

    Example:
        >>> import torch
        >>> [part.tolist() for part in IID()(torch.zeros(7), 3, seed=0)]
        [[2, 0], [1, 3], [5, 4]]
    """

    def __call__(self, labels: Tensor, num_clients: int, seed: int) -> list[Tensor]:
        """Split the examples.

        Args:
            labels: [N].
            num_clients: K, from 1 to N.
            seed: of the order; equal seeds give equal splits.

        Returns:
            K index tensors, int64, without an example in common.

        Raises:
            ValueError: a client would have no example.
        """
        _check(labels, num_clients, minimum=1)
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(labels)))
        size = len(labels) // num_clients
        return list(order[: size * num_clients].split(size))


@dataclass(frozen=True)
class Dirichlet:
    r"""Labels distributed unevenly over clients of about equal size: FedSNN's balanced label-Dirichlet split.

    For every class k in turn, shares p ~ Dir(α 1_K) are drawn, those of clients that already hold N / K examples or
    more are set to 0, and the class, shuffled, is cut where the cumulated shares say. All is drawn again until every
    client has ``min_examples``.

    Args:
        alpha: α > 0; small is uneven (0.1: one or two classes a client), large is even.
        min_examples: the least a client may have, at least 1.
        max_tries: how often the split is drawn before it is given up.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> import torch
        >>> labels = torch.arange(10).repeat_interleave(100)
        >>> parts = Dirichlet(alpha=0.5)(labels, 5, seed=0)
        >>> sum(map(len, parts)), min(map(len, parts)) >= 10
        (1000, True)

    References:
        Venkatesha, Kim, Tassiulas, Panda, *Federated learning with spiking neural networks*, arXiv 2106.06579.
    """

    alpha: float = 0.5
    min_examples: int = 10
    max_tries: int = 1000

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise ValueError(expected("alpha", "a positive float", self.alpha))
        for name in ("min_examples", "max_tries"):
            if getattr(self, name) < 1:
                raise ValueError(expected(name, "a positive integer", getattr(self, name)))

    def __call__(self, labels: Tensor, num_clients: int, seed: int) -> list[Tensor]:
        """Split the examples.

        Args:
            labels: integers [N].
            num_clients: K, at least 1.
            seed: of all draws; equal seeds give equal splits.

        Returns:
            K index tensors, int64, which together hold every example once.

        Raises:
            ValueError: there are too few examples for all clients, or no draw gave everyone enough.
        """
        _check(labels, num_clients, self.min_examples)
        generator = np.random.default_rng(seed)
        classes = labels.cpu().numpy()
        for _ in range(self.max_tries):
            parts = self._draw(classes, num_clients, generator)
            if min(map(len, parts)) >= self.min_examples:
                return [torch.from_numpy(generator.permutation(part)) for part in parts]
        raise ValueError(
            f"No Dirichlet split of {len(labels)} examples over {num_clients} clients with alpha = {self.alpha:g} gave "
            f"every client {self.min_examples} examples in {self.max_tries} tries; take a larger alpha, fewer clients "
            "or a smaller min_examples."
        )

    def _draw(self, classes: np.ndarray, num_clients: int, generator: np.random.Generator) -> list[np.ndarray]:
        held: list[list[np.ndarray]] = [[] for _ in range(num_clients)]
        sizes = np.zeros(num_clients, dtype=np.int64)
        for label in np.unique(classes):
            members = generator.permutation(np.flatnonzero(classes == label))
            shares = generator.dirichlet(np.full(num_clients, self.alpha))
            shares = np.where(sizes < len(classes) / num_clients, shares, 0.0)
            if not shares.sum() > 0:  # a tiny alpha can leave all of the mass with clients that are full
                shares = np.where(sizes < len(classes) / num_clients, 1.0, 0.0)
            cuts = (np.cumsum(shares / shares.sum())[:-1] * len(members)).astype(np.int64)
            for client, part in enumerate(np.split(members, cuts)):
                held[client].append(part)
                sizes[client] += len(part)
        return [np.concatenate(parts) for parts in held]


def _check(labels: Tensor, num_clients: int, minimum: int) -> None:
    if num_clients < 1:
        raise ValueError(expected("num_clients", "a positive integer", num_clients))
    if len(labels) < num_clients * minimum:
        what = f"at most {len(labels) // minimum}, so that {len(labels)} examples give each of them {minimum}"
        raise ValueError(expected("num_clients", what, num_clients))
