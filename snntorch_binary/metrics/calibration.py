"""How well calibrated predicted probabilities are: the expected calibration error and two of its variants.

Every function takes `probabilities` [N, C] with C >= 2 and `labels` [N], computes on the CPU and returns a
plain float. Each error is a sum over bins of the gap between how often the predictor is right there and how
often it says it is; what differs is which probabilities are binned, and where the bins end.
"""

from __future__ import annotations

import torch
from torch import Tensor

from snntorch_binary._errors import expected, require
from snntorch_binary.metrics.checks import check_count, check_predictions

NUM_BINS = 15
"""Confidence bins of the calibration errors."""


def expected_calibration_error(
    probabilities: Tensor, labels: Tensor, *, num_bins: int = NUM_BINS, low: float = 0.0
) -> float:
    r"""Return the expected calibration error, a fraction in [0, 1].

    The definition of this package is torchmetrics' ``MulticlassCalibrationError(n_bins=15, norm="l1")``:
    with the confidence (the largest probability) in 15 bins [a, b) of equal width, and a confidence of
    exactly 1 in a bin of its own,

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{N} \, |\mathrm{accuracy}_b - \mathrm{confidence}_b|

    (Guo et al., "On calibration of modern neural networks", 2017, whose bins are (a, b]).

    Args:
        probabilities: [N, C], rows sum to 1.
        labels: [N], integers in 0..C-1.
        num_bins: number of bins of equal width.
        low: where the first bin begins. The confidence of C classes is never below 1/C: two classes fill 10
            bins with ``num_bins=10, low=0.5`` and half of them with ``num_bins=10``.

    Raises:
        MissingPackageError: torchmetrics is not installed.
        TypeError: an argument is no tensor, or of the wrong dtype.
        ValueError: a shape or a value is out of range.

    Example:
        >>> round(expected_calibration_error(torch.tensor([[0.9, 0.1], [0.7, 0.3]]), torch.tensor([0, 1])), 4)
        0.4
    """
    probabilities, labels = check_predictions(probabilities, labels)
    num_classes = probabilities.shape[1]
    check_count("num_bins", num_bins)
    if not 0 <= low <= 1 / num_classes:
        raise ValueError(expected("low", f"in [0, 1/{num_classes}], as no confidence is lower", low))
    if low > 0:
        confidence, bins = confidence_bins(probabilities, num_bins, low)
        return _binned_error(confidence, probabilities.argmax(dim=1) == labels, bins)
    classification = require("torchmetrics.functional.classification", "lightning")
    # One value a rounding error above 1 would make torchmetrics take the whole input for logits.
    error = classification.multiclass_calibration_error(
        probabilities.clamp(max=1.0),
        labels,
        num_classes=num_classes,
        n_bins=num_bins,
        norm="l1",
        validate_args=False,
    )
    return error.item()


def adaptive_calibration_error(probabilities: Tensor, labels: Tensor, *, num_bins: int = NUM_BINS) -> float:
    """Return the calibration error of the confidence in bins of equally many examples, a fraction in [0, 1].

    The expected calibration error puts nearly all examples of a good predictor into its last bin; this one
    spreads them (Nguyen and O'Connor, "Posterior calibration and exploratory analysis for natural language
    processing models", 2015). Examples of equal confidence share a bin, so that their order does not matter:
    votes of a few members give fewer bins, and not equally many examples in each.

    Args:
        probabilities: [N, C], rows sum to 1.
        labels: [N], integers in 0..C-1.
        num_bins: number of bins.

    Raises:
        TypeError: an argument is no tensor, or of the wrong dtype.
        ValueError: a shape or a value is out of range.

    Example:
        >>> probabilities = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
        >>> round(adaptive_calibration_error(probabilities, torch.tensor([0, 0, 0, 1]), num_bins=2), 4)
        0.15
    """
    probabilities, labels = check_predictions(probabilities, labels)
    check_count("num_bins", num_bins)
    confidence = probabilities.amax(dim=1)
    firsts = torch.arange(num_bins) * len(confidence) // num_bins
    edges = confidence.sort().values[firsts]
    bins = torch.bucketize(confidence, edges, right=True) - 1
    return _binned_error(confidence, probabilities.argmax(dim=1) == labels, bins)


def classwise_calibration_error(probabilities: Tensor, labels: Tensor, *, num_bins: int = NUM_BINS) -> float:
    r"""Return the calibration error of every class's probability, averaged over classes, in [0, 1].

    The expected calibration error looks at the largest probability only. This one asks of every class whether
    it is there as often as said, in the same bins:

    .. math:: \frac{1}{C} \sum_c \sum_b \frac{n_{bc}}{N} \, |\mathrm{frequency}_{bc} - \mathrm{probability}_{bc}|

    (Kull et al., "Beyond temperature scaling", 2019).

    Args:
        probabilities: [N, C], rows sum to 1.
        labels: [N], integers in 0..C-1.
        num_bins: number of bins of equal width.

    Raises:
        TypeError: an argument is no tensor, or of the wrong dtype.
        ValueError: a shape or a value is out of range.

    Example:
        >>> round(classwise_calibration_error(torch.tensor([[0.9, 0.1], [0.7, 0.3]]), torch.tensor([0, 1])), 4)
        0.4
    """
    probabilities, labels = check_predictions(probabilities, labels)
    check_count("num_bins", num_bins)
    classes = torch.arange(probabilities.shape[1])
    values, bins = _equal_width_bins(probabilities, num_bins)
    # Every class has bins of its own.
    bins = bins + (num_bins + 1) * classes
    return _binned_error(values.flatten(), (labels[:, None] == classes).flatten(), bins.flatten())


def confidence_bins(probabilities: Tensor, num_bins: int = NUM_BINS, low: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return the confidence of every example and the number of its bin, as the ECE takes them.

    Args:
        probabilities: [N, C], already checked.
        num_bins: number of bins.
        low: where the first bin begins.

    Returns:
        Confidence [N] in float64, and bin [N] in 0..num_bins: the last holds confidences of exactly 1.
    """
    return _equal_width_bins(probabilities.amax(dim=1), num_bins, low)


def _equal_width_bins(values: Tensor, num_bins: int, low: float = 0.0) -> tuple[Tensor, Tensor]:
    # torchmetrics bins in float32: on an edge k/15 the dtype decides, and votes k/K lie on edges.
    values = values.clamp(max=1.0).float()
    edges = torch.linspace(low, 1, num_bins + 1)
    # Only a rounding error is below the first edge.
    return values.double(), (torch.bucketize(values, edges, right=True) - 1).clamp(min=0)


def _binned_error(predicted: Tensor, observed: Tensor, bins: Tensor) -> float:
    """Return the sum over bins of n_b / N |mean observed - mean predicted|, N the number of values."""
    gaps = torch.bincount(bins, weights=observed.double() - predicted)
    return gaps.abs().sum().item() / len(bins)
