"""Learning one task after another: the last posterior is the next prior, and a few old examples are seen again."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils.data import ConcatDataset, Dataset, Subset

from snntorch_binary._errors import expected
from snntorch_binary.optim.priors import set_prior_


def posterior_to_prior_(net: nn.Module) -> None:
    r"""Make today's posterior over binary weights the prior of the task that comes next, in place.

    With the prior :math:`q_{k-1}` task k is learned by

    .. math::
        q_k = \arg\min_q \; E_q\Big[\sum_{(x, y) \in D_k \cup C_k} \ell(w; x, y)\Big]
              + \rho\, \mathrm{KL}(q \,\|\, q_{k-1})

    for its examples :math:`D_k` and the coreset :math:`C_k` of those before. Both distributions are of the same
    exponential family, so the natural gradient of the second term is the difference of their natural parameters,
    :math:`w_r - w_{r, k-1}`: a weight that earlier tasks are sure of, with a large :math:`|w_{r, k-1}|`, has far to
    go until it flips and is drawn back all the way. :class:`snntorch_binary.optim.BayesBiSNN` adds that term.

    Args:
        net: a network with Bernoulli layers.

    Raises:
        ValueError: the network has no Bernoulli weight.

    Example:
        >>> import snntorch_binary as sb
        >>> from snntorch_binary.learning import posterior_to_prior_
        >>> net = sb.nn.BinaryLinear(10, 2, weight=sb.Bernoulli())
        >>> posterior_to_prior_(net)
        >>> bool((net.prior_latent == net.latent).all())
        True

    References:
        Skatchkovsky, Jang, Simeone, *Bayesian continual learning via spiking neural networks*, arXiv 2208.13723.
    """
    set_prior_(net, "posterior")


class Coreset:
    """The memory of earlier tasks: examples of each, drawn once at random, which the next ones are learned with.

    Args:
        size: examples that are kept of each task; 0 keeps none.
        seed: of the choice.

    Attributes:
        parts: what is kept of each task so far.

    Raises:
        ValueError: the size is negative.

    Example:
        >>> import torch
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> from snntorch_binary.learning import Coreset
        >>> tasks = [TensorDataset(torch.rand(50, 4), torch.full((50,), label)) for label in range(3)]
        >>> coreset = Coreset(size=8)
        >>> for task in tasks:
        ...     for x, y in DataLoader(coreset.joined(task), batch_size=10, shuffle=True):
        ...         pass  # learn
        ...     coreset.add(task)
        >>> len(coreset.joined(tasks[2]))
        74
    """

    def __init__(self, size: int, seed: int = 0) -> None:
        if not isinstance(size, int) or size < 0:
            raise ValueError(expected("size", "an integer of at least 0", size))
        self.size = size
        self.seed = seed
        self.parts: list[Subset[Any]] = []

    def add(self, task: Dataset[Any]) -> None:
        """Keep examples of a task.

        Args:
            task: a data set with a length.

        Raises:
            ValueError: the task has fewer examples than are to be kept.
        """
        count = len(task)  # type: ignore[arg-type]
        if count < self.size:
            raise ValueError(expected("size", f"at most {count}, the number of examples of the task", self.size))
        generator = torch.Generator().manual_seed(self.seed * 1_009 + len(self.parts))
        chosen = torch.randperm(count, generator=generator)[: self.size].sort().values.tolist()
        base, indices = _base(task)
        self.parts.append(Subset(base, [indices[i] for i in chosen]))

    def joined(self, task: Dataset[Any]) -> Dataset[Any]:
        """Return the examples of a task and all that are kept, as one data set to be shuffled.

        Where all of them are subsets of one data set the result is, too: one that makes its own batches, as
        :class:`snntorch_binary.data.SpikeDataset` does, then still does.
        """
        base, indices = _base(task)
        if all(part.dataset is base for part in self.parts):
            return Subset(base, [*indices, *(i for part in self.parts for i in part.indices)])
        return ConcatDataset([task, *self.parts])


def _base(task: Dataset[Any]) -> tuple[Dataset[Any], Any]:
    """Return the data set that a task is a subset of, and the indices of its examples there."""
    if isinstance(task, Subset):
        return task.dataset, task.indices
    return task, range(len(task))  # type: ignore[arg-type]
