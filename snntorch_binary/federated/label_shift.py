r"""Learning from a client whose labels are not distributed as everybody's are.

Where clients differ in their labels only, p_k(x | y) = p(x | y), a client's labels have the probabilities

.. math::
    p_k(y \mid x) \propto p(y \mid x) \, \frac{\pi_k(y)}{\pi(y)},

with π_k its own shares of the classes and π those of all clients together. With scores f that are to be right where all
classes are equally frequent, the likelihood of its data is therefore the softmax of :math:`f(x)_c + \ln \pi_k(c)`. A
network that learns so is not taught that classes which a client lacks do not exist, and averages of clients with uneven
labels forget less from round to round.

References:
    Menon et al., *Long-tail learning via logit adjustment*, arXiv 2007.07314.
    Zhang et al., *Federated learning with label distribution skew via logits calibration*, arXiv 2209.00189.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from snntorch_binary._errors import expected, require

require("lightning", "lightning")  # one clear sentence before the imports that need it

from snntorch_binary.lightning import SpikingModule  # noqa: E402  # after the check above
from snntorch_binary.lightning.tasks import Classification  # noqa: E402  # after the check above


class ShiftedClassification(Classification):
    r"""One of C classes, learned from examples with label shares of their own.

    Its scores are those of classes that are equally frequent.

    Args:
        shares: :math:`\pi_k` [C], at least 0, of sum 1.
    """

    def __init__(self, shares: Tensor) -> None:
        super().__init__(len(shares))
        # The smallest number there is for a class without examples: the softmax of it is zero, as it should be.
        self._log_shares = shares.float().clamp_min(torch.finfo(torch.float32).tiny).log()

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of scores [B, C] or [B, 1]."""
        prior = self._log_shares.to(scores.device)
        if scores.shape[-1] == 1:
            prior = prior[1:] - prior[:1]
        return super().loss(scores + prior, labels)


def require_label_shift(module: SpikingModule) -> None:
    """Refuse a module whose loss cannot take account of label shares.

    Raises:
        ValueError: it learns a number and no class, or by losses of each layer.
    """
    if not isinstance(module.task, Classification) or module.credit != "through-time":
        raise ValueError(expected("label_shift", "False where no class is learned or not through time", True))


@contextmanager
def label_shares(module: SpikingModule, labels: Tensor) -> Iterator[None]:
    """Let a module's loss take account of the shares of the classes in some labels.

    Args:
        module: of a classification; it is put back afterwards.
        labels: of the examples that are learned from, [N].

    Raises:
        ValueError: see :func:`require_label_shift`.
    """
    require_label_shift(module)
    task = module.task
    assert isinstance(task, Classification)
    counts = torch.bincount(labels, minlength=task.num_classes)
    module.task = ShiftedClassification(counts / counts.sum())
    try:
        yield
    finally:
        module.task = task
