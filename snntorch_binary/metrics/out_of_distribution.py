"""Does a predictor know what it was not trained on? AUROC and FPR95 of its uncertainty.

The uncertainty score (predictive entropy, or another of `uncertainty_scores`) decides: an input that scores
high is called out of distribution, which is the positive class here, as in Hendrycks and Gimpel's later work
("Deep anomaly detection with outlier exposure", 2019) and in torch-uncertainty.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from snntorch_binary._errors import expected, require
from snntorch_binary.metrics.bootstrap import Difference, basic_intervals
from snntorch_binary.metrics.checks import check_finite


@dataclass(frozen=True)
class OODScores:
    """How well uncertainty tells inputs in distribution from those out of it.

    Attributes:
        auroc: probability that an input out of distribution scores higher than one in distribution, a tie
            counting half; 0.5 for chance, 1 at best.
        fpr95: share of the inputs in distribution that are called out of it, when the threshold is so low that
            95 % of those out of it are caught; 0 at best.
    """

    auroc: float
    fpr95: float


def ood_scores(inside: Tensor, outside: Tensor) -> OODScores:
    """Return AUROC and FPR at 95 % TPR of an uncertainty score.

    Args:
        inside: [N], the score of inputs in distribution (the test set); larger for less sure.
        outside: [M], the score of inputs out of distribution.

    Raises:
        MissingPackageError: torchmetrics is not installed.
        TypeError: an argument is no floating-point tensor.
        ValueError: a shape or a value is out of range.

    Example:
        >>> ood_scores(torch.tensor([0.1, 0.2, 0.9]), torch.tensor([0.8, 0.9]))
        OODScores(auroc=0.75, fpr95=0.3333333333333333)
    """
    inside = check_finite("inside", inside, "[N]")
    outside = check_finite("outside", outside, "[M]")
    classification = require("torchmetrics.functional.classification", "lightning")
    # Both scores see ranks only. Given anything outside of [0, 1], torchmetrics would take its sigmoid, which
    # makes ties of large values.
    ranks = torch.cat([inside, outside]).unique(return_inverse=True)[1].double()
    ranks = ranks / ranks.amax().clamp(min=1)
    is_outside = (torch.arange(len(ranks)) >= len(inside)).long()
    false_positive_rate, true_positive_rate, _ = classification.binary_roc(ranks, is_outside)
    fpr95 = false_positive_rate[true_positive_rate >= 0.95][0]
    return OODScores(
        auroc=classification.binary_auroc(ranks, is_outside).item(),
        # A count over N, of which float32 keeps seven digits.
        fpr95=round(fpr95.item() * len(inside)) / len(inside),
    )


def paired_auroc_difference(
    a: tuple[Tensor, Tensor],
    b: tuple[Tensor, Tensor],
    *,
    num_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Return the difference A - B in AUROC, averaged over seeds, with its bootstrap interval.

    One resample draws inputs in distribution, inputs out of it, and seeds, each with replacement and the same
    for both predictors; see :mod:`snntorch_binary.metrics.bootstrap`.

    Args:
        a: the scores of predictor A in and out of distribution, [num_seeds, N] and [num_seeds, M] (or [N] and
            [M]: one seed).
        b: the same for predictor B, on the same inputs with the same seeds.
        num_resamples: number of bootstrap resamples.
        confidence: coverage of the interval, in (0, 1).
        seed: seed of the resampling; the same seed gives the same interval.

    Raises:
        TypeError: an argument is no floating-point tensor.
        ValueError: a shape or a value is out of range.

    Example:
        >>> low, high = torch.linspace(0, 1, 50), torch.linspace(1, 2, 50)
        >>> paired_auroc_difference((low, high), (low, low), num_resamples=200).tie
        False
    """
    of_a, of_b = _check_pair("a", a), _check_pair("b", b)
    for of_one, of_other in zip(of_a, of_b, strict=True):
        if of_one.shape != of_other.shape:
            raise ValueError(expected("b", f"of the shape of `a`, {list(of_one.shape)}", list(of_other.shape)))
    seeds = range(len(of_a[0]))
    curves_a, curves_b = ([_WeightedAUROC(inside[s], outside[s]) for s in seeds] for inside, outside in (of_a, of_b))
    num_inside, num_outside = of_a[0].shape[1], of_a[1].shape[1]

    def resampled(of_inside: Tensor, of_outside: Tensor, of_seeds: Tensor) -> Tensor:
        differences = [
            curve_a(of_inside, of_outside) - curve_b(of_inside, of_outside)
            for curve_a, curve_b in zip(curves_a, curves_b, strict=True)
        ]
        return (of_seeds * torch.stack(differences, dim=1)).sum(dim=1, keepdim=True)

    sizes = [num_inside, num_outside, len(seeds)]
    estimate = resampled(*(torch.full((1, size), 1 / size, dtype=torch.float64) for size in sizes))[0]
    return basic_intervals(estimate, resampled, sizes, num_resamples, confidence, seed)[0]


class _WeightedAUROC:
    """The AUROC of one predictor, for any weights of its inputs: sorted once, then sums only."""

    def __init__(self, inside: Tensor, outside: Tensor) -> None:
        ordered, self.order = inside.sort()
        self.below = torch.searchsorted(ordered, outside)
        self.not_above = torch.searchsorted(ordered, outside, right=True)

    def __call__(self, of_inside: Tensor, of_outside: Tensor) -> Tensor:
        """Return the AUROC [R] for R times weights [R, N] and [R, M], rows of each sum to 1."""
        share = torch.nn.functional.pad(of_inside[:, self.order].cumsum(dim=1), (1, 0))
        return (of_outside * (share[:, self.below] + share[:, self.not_above]) / 2).sum(dim=1)


def _check_pair(name: str, scores: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return scores [num_seeds, N] and [num_seeds, M], or say what is wrong."""
    if not isinstance(scores, tuple) or len(scores) != 2:
        raise TypeError(expected(name, "a pair of tensors, in and out of distribution", type(scores).__name__))
    inside, outside = (
        check_finite(name, part[None] if isinstance(part, Tensor) and part.ndim == 1 else part, "[S, N]")
        for part in scores
    )
    if len(inside) != len(outside):
        seeds = f"{len(inside)} and {len(outside)}"
        raise ValueError(expected(name, "of as many seeds in as out of distribution", seeds))
    return inside, outside
