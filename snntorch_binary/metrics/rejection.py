"""Is a predictor right where it is sure? Accuracy on what is left when the least sure answers are rejected."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.inference.predictions import entropy
from snntorch_binary.metrics.checks import check_finite, check_predictions


@dataclass(frozen=True)
class RejectionCurve:
    """Accuracy of the retained answers against the share of rejected ones.

    Attributes:
        rejected: [N] in float64, the shares 0, 1/N, ..., (N - 1)/N.
        accuracy: [N] in float64, the fraction of right answers among the others.
    """

    rejected: Tensor
    accuracy: Tensor

    @property
    def area(self) -> float:
        """Mean accuracy over all shares, in [0, 1]; it is 1 less the area under the risk-coverage curve (AURC)."""
        return self.accuracy.mean().item()


def retained_accuracy(probabilities: Tensor, labels: Tensor, uncertainty: Tensor | None = None) -> RejectionCurve:
    r"""Return the accuracy on the most certain N - r of N answers, for every number r of rejected ones.

    .. math:: \mathrm{accuracy}(r) = \frac{1}{N - r} \sum_{n = 1}^{N - r} 1[\hat y_{\sigma(n)} = y_{\sigma(n)}],

    where :math:`\sigma` sorts the answers by uncertainty, the surest first (Geifman and El-Yaniv, "Selective
    classification for deep neural networks", 2017). Among answers of equal uncertainty the rejected ones are
    drawn at random: theirs is the expected accuracy, whatever their order.

    Args:
        probabilities: [N, C], rows sum to 1.
        labels: [N], integers in 0..C-1.
        uncertainty: [N], the score to reject by, larger for less sure; by default the predictive entropy.

    Raises:
        TypeError: an argument is no tensor, or of the wrong dtype.
        ValueError: a shape or a value is out of range.

    Example:
        >>> probabilities = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]])
        >>> curve = retained_accuracy(probabilities, torch.tensor([0, 1, 1, 0]))
        >>> curve.accuracy.tolist(), curve.area
        ([0.75, 1.0, 1.0, 1.0], 0.9375)
    """
    probabilities, labels = check_predictions(probabilities, labels)
    scores = entropy(probabilities) if uncertainty is None else check_finite("uncertainty", uncertainty, "[N]")
    if scores.shape != labels.shape:
        raise ValueError(expected("uncertainty", f"of shape {list(labels.shape)}", list(scores.shape)))
    correct = (probabilities.argmax(dim=1) == labels).double()
    _, group, size = scores.unique(return_inverse=True, return_counts=True)
    of_group = torch.bincount(group, weights=correct) / size
    right = of_group.repeat_interleave(size).cumsum(dim=0)
    num_examples = len(labels)
    retained = torch.arange(1, num_examples + 1, dtype=torch.float64)
    return RejectionCurve(rejected=1 - (retained / num_examples).flip(0), accuracy=(right / retained).flip(0))
