"""How right and how well calibrated predicted probabilities are: accuracy, ECE, NLL, Brier score.

Every function takes `probabilities` [N, C] with C >= 2 (a two-class network with one logit gives
[1 - p, p]; a Bayesian one the mean over its draws) and `labels` [N], computes in float64 on the CPU and
returns a plain float.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from snntorch_binary._errors import expected, require

NUM_BINS = 15
"""Equal-width confidence bins of the expected calibration error."""

SMALLEST_PROBABILITY = torch.finfo(torch.float32).tiny
"""Where the logarithm of the NLL is clamped: 1.2e-38, so at most 87.3 nats for one example."""

# A softmax in float32 or float16 sums to one within this; spike rates and scores do not.
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Scores:
    """Accuracy and ECE as fractions in [0, 1], NLL in nats, Brier score in [0, 2]."""

    accuracy: float
    ece: float
    nll: float
    brier: float


class ExampleScores(NamedTuple):
    """Scores of every test example, each [N] in float64: their means are accuracy, NLL and Brier score."""

    correct: Tensor
    nll: Tensor
    brier: Tensor


def accuracy(probabilities: Tensor, labels: Tensor) -> float:
    """Return the fraction of examples whose most probable class is the label.

    Args:
        probabilities: [N, C], rows sum to 1.
        labels: [N], integers in 0..C-1.

    Raises:
        TypeError: an argument is no tensor, or of the wrong dtype.
        ValueError: a shape or a value is out of range.

    Example:
        >>> accuracy(torch.tensor([[0.9, 0.1], [0.6, 0.4]]), torch.tensor([0, 1]))
        0.5
    """
    return example_scores(probabilities, labels).correct.mean().item()


def expected_calibration_error(probabilities: Tensor, labels: Tensor) -> float:
    r"""Return the expected calibration error, a fraction in [0, 1].

    The definition of this package is torchmetrics' ``MulticlassCalibrationError(n_bins=15, norm="l1")``:
    with the confidence (the largest probability) in 15 bins [a, b) of equal width, and a confidence of
    exactly 1 in a bin of its own,

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{N} \, |\mathrm{accuracy}_b - \mathrm{confidence}_b|

    (Guo et al., "On calibration of modern neural networks", 2017, whose bins are (a, b]).

    Args:
        probabilities: [N, C], rows sum to 1.
        labels: [N], integers in 0..C-1.

    Raises:
        MissingPackageError: torchmetrics is not installed.
        TypeError: an argument is no tensor, or of the wrong dtype.
        ValueError: a shape or a value is out of range.

    Example:
        >>> round(expected_calibration_error(torch.tensor([[0.9, 0.1], [0.7, 0.3]]), torch.tensor([0, 1])), 4)
        0.4
    """
    probabilities, labels = check_predictions(probabilities, labels)
    classification = require("torchmetrics.functional.classification", "lightning")
    # One value a rounding error above 1 would make torchmetrics take the whole input for logits.
    error = classification.multiclass_calibration_error(
        probabilities.clamp(max=1.0),
        labels,
        num_classes=probabilities.shape[1],
        n_bins=NUM_BINS,
        norm="l1",
        validate_args=False,
    )
    return error.item()


def negative_log_likelihood(probabilities: Tensor, labels: Tensor) -> float:
    """Return the mean of -log p(label), in nats.

    Probabilities are clamped from below at the smallest normal float32 (1.2e-38), the least a softmax in
    float32 can say: a probability of exactly 0 for the label costs 87.3 nats instead of infinity, and
    nothing else is changed. (A larger clamp would forgive confident errors.)

    Args:
        probabilities: [N, C], rows sum to 1.
        labels: [N], integers in 0..C-1.

    Raises:
        TypeError: an argument is no tensor, or of the wrong dtype.
        ValueError: a shape or a value is out of range.

    Example:
        >>> round(negative_log_likelihood(torch.tensor([[0.5, 0.5]]), torch.tensor([1])), 4)
        0.6931
    """
    return example_scores(probabilities, labels).nll.mean().item()


def brier_score(probabilities: Tensor, labels: Tensor) -> float:
    """Return the squared error of the probabilities, summed over classes and averaged over examples.

    In [0, 2], as Brier (1950) has it; the one-class form common for two classes is half of this.

    Args:
        probabilities: [N, C], rows sum to 1.
        labels: [N], integers in 0..C-1.

    Raises:
        TypeError: an argument is no tensor, or of the wrong dtype.
        ValueError: a shape or a value is out of range.

    Example:
        >>> brier_score(torch.tensor([[0.5, 0.5], [0.0, 1.0]]), torch.tensor([1, 1]))
        0.25
    """
    return example_scores(probabilities, labels).brier.mean().item()


def evaluate(probabilities: Tensor, labels: Tensor) -> Scores:
    """Return accuracy, ECE, NLL and Brier score of predicted probabilities.

    Args:
        probabilities: [N, C], rows sum to 1.
        labels: [N], integers in 0..C-1.

    Raises:
        MissingPackageError: torchmetrics is not installed.
        TypeError: an argument is no tensor, or of the wrong dtype.
        ValueError: a shape or a value is out of range.

    Example:
        >>> evaluate(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))
        Scores(accuracy=1.0, ece=0.0, nll=0.0, brier=0.0)
    """
    scores = example_scores(probabilities, labels)
    return Scores(
        accuracy=scores.correct.mean().item(),
        ece=expected_calibration_error(probabilities, labels),
        nll=scores.nll.mean().item(),
        brier=scores.brier.mean().item(),
    )


def example_scores(probabilities: Tensor, labels: Tensor) -> ExampleScores:
    """Return correctness (0 or 1), NLL and Brier score of every example.

    Args:
        probabilities: [N, C], rows sum to 1.
        labels: [N], integers in 0..C-1.

    Raises:
        TypeError: an argument is no tensor, or of the wrong dtype.
        ValueError: a shape or a value is out of range.

    Example:
        >>> example_scores(torch.tensor([[0.5, 0.5], [0.0, 1.0]]), torch.tensor([1, 1])).brier
        tensor([0.5000, 0.0000], dtype=torch.float64)
    """
    probabilities, labels = check_predictions(probabilities, labels)
    of_label = probabilities.gather(1, labels[:, None]).squeeze(1)
    one_hot = torch.nn.functional.one_hot(labels, probabilities.shape[1])
    return ExampleScores(
        correct=(probabilities.argmax(dim=1) == labels).double(),
        nll=-of_label.clamp(SMALLEST_PROBABILITY, 1.0).log(),
        brier=(probabilities - one_hot).square().sum(dim=1),
    )


def confidence_bins(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Return the confidence of every example and the number of its bin, as the ECE takes them.

    Args:
        probabilities: [N, C], already checked.

    Returns:
        Confidence [N] in float64, and bin [N] in 0..15: bin 15 holds confidences of exactly 1.
    """
    # torchmetrics bins in float32: on an edge k/15 the dtype decides, and votes k/K lie on edges.
    confidence = probabilities.amax(dim=1).clamp(max=1.0).float()
    edges = torch.linspace(0, 1, NUM_BINS + 1)
    return confidence.double(), torch.bucketize(confidence, edges, right=True) - 1


def check_predictions(probabilities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return probabilities [N, C] in float64 and labels [N] in int64 on the CPU, or say what is wrong."""
    probabilities, labels = check_classification("probabilities", probabilities, labels)
    if (probabilities < 0).any():
        raise ValueError(expected("probabilities", "non-negative", f"the value {probabilities.min().item():g}"))
    sums = probabilities.sum(dim=1)
    worst = sums[(sums - 1).abs().argmax()].item()
    if abs(worst - 1) > _SUM_TOLERANCE:
        raise ValueError(expected("probabilities", "rows that sum to 1", f"a row that sums to {worst:g}"))
    return probabilities, labels


def check_classification(name: str, scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return finite scores [N, C] in float64 and labels [N] in int64 on the CPU, or say what is wrong."""
    if not isinstance(scores, Tensor) or not scores.is_floating_point():
        got = str(scores.dtype) if isinstance(scores, Tensor) else type(scores).__name__
        raise TypeError(expected(name, "a floating-point tensor", got))
    if scores.ndim != 2 or scores.shape[0] < 1 or scores.shape[1] < 2:
        raise ValueError(expected(name, "of shape [N, C] with N >= 1 and C >= 2", list(scores.shape)))
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.dtype == torch.bool:
        got = str(labels.dtype) if isinstance(labels, Tensor) else type(labels).__name__
        raise TypeError(expected("labels", "an integer tensor", got))
    if labels.shape != scores.shape[:1]:
        raise ValueError(expected("labels", f"of shape [{scores.shape[0]}]", list(labels.shape)))
    scores = scores.detach().to("cpu", torch.float64)
    labels = labels.detach().to("cpu", torch.int64)
    if not scores.isfinite().all():
        raise ValueError(expected(name, "finite", "NaN or infinite values"))
    if labels.min() < 0 or labels.max() >= scores.shape[1]:
        wrong = labels.min().item() if labels.min() < 0 else labels.max().item()
        raise ValueError(expected("labels", f"in 0..{scores.shape[1] - 1}", f"the label {wrong}"))
    return scores, labels
