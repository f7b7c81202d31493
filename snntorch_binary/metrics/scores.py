"""How good predicted probabilities are: accuracy, NLL, Brier score, and all of them with the ECE at once.

Every function takes `probabilities` [N, C] with C >= 2 (a two-class network with one logit gives
[1 - p, p]; a Bayesian one the mean over its draws) and `labels` [N], computes in float64 on the CPU and
returns a plain float.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from snntorch_binary.metrics.calibration import expected_calibration_error
from snntorch_binary.metrics.checks import check_predictions

SMALLEST_PROBABILITY = torch.finfo(torch.float32).tiny
"""Where the logarithm of the NLL is clamped: 1.2e-38, so at most 87.3 nats for one example."""


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
