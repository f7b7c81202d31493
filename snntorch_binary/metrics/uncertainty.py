"""What an ensemble's members say of a single input: how unsure they are, and how far they disagree.

Both functions take the members' probabilities [K, N, C], as `Prediction.samples` holds them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.inference import Prediction
from snntorch_binary.metrics.checks import check_probabilities


class Uncertainty(NamedTuple):
    """Three scores of every input, each [N] in float64; the larger, the less sure.

    Attributes:
        predictive_entropy: entropy of the mean probabilities, in nats, in [0, ln C].
        least_confidence: 1 less the largest mean probability, in [0, 1 - 1/C].
        mutual_information: predictive entropy less the members' mean entropy, in nats: what the members do not
            agree on. 0 for a single network.
    """

    predictive_entropy: Tensor
    least_confidence: Tensor
    mutual_information: Tensor


class Disagreement(NamedTuple):
    """How often members answer differently, as fractions in [0, 1].

    Attributes:
        pairwise: of the inputs, that two members answer differently, averaged over all pairs.
        from_ensemble: of the inputs, that a member's answer is not the ensemble's, averaged over members.
    """

    pairwise: float
    from_ensemble: float


def uncertainty_scores(samples: Tensor) -> Uncertainty:
    """Return the uncertainty of every input.

    Args:
        samples: [K, N, C], probabilities of each of K members; [None] makes [N, C] of a single network fit.

    Raises:
        TypeError: the samples are no floating-point tensor.
        ValueError: a shape or a value is out of range.

    Example:
        >>> agreed, torn = torch.tensor([0.5, 0.5]), torch.eye(2)  # two members, equally unsure or at odds
        >>> scores = uncertainty_scores(torch.stack([agreed.expand(2, 2), torn], dim=1))
        >>> scores.predictive_entropy.tolist() == [torch.tensor(2.0).double().log().item()] * 2
        True
        >>> [round(value, 4) for value in scores.mutual_information.tolist()]
        [0.0, 0.6931]
    """
    prediction = Prediction(check_probabilities("samples", samples, "[K, N, C]"))
    return Uncertainty(prediction.entropy, 1 - prediction.probs.amax(dim=-1), prediction.mutual_information)


def disagreement(samples: Tensor) -> Disagreement:
    """Return how often the members of an ensemble answer differently.

    Args:
        samples: [K, N, C], probabilities of each of K >= 2 members.

    Raises:
        TypeError: the samples are no floating-point tensor.
        ValueError: a shape or a value is out of range, or there is one member only.

    Example:
        >>> disagreement(torch.tensor([[[0.9, 0.1]], [[0.8, 0.2]], [[0.4, 0.6]]]))  # two say 0, one says 1
        Disagreement(pairwise=0.6666666666666667, from_ensemble=0.3333333333333333)
    """
    samples = check_probabilities("samples", samples, "[K, N, C]")
    num_members, _, num_classes = samples.shape
    if num_members < 2:
        raise ValueError(expected("samples", "of at least two members", num_members))
    answers = samples.argmax(dim=-1)
    votes = torch.nn.functional.one_hot(answers, num_classes).sum(dim=0).double()
    agreeing = (votes * (votes - 1)).sum(dim=-1) / (num_members * (num_members - 1))
    from_ensemble = answers != samples.mean(dim=0).argmax(dim=-1)
    return Disagreement(1 - agreeing.mean().item(), from_ensemble.double().mean().item())
