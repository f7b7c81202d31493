"""What a spiking network knows after each time step: accuracy and ECE over time, and early exit.

All of it starts from the scores of every time step: `running_probabilities` of what
`snntorch_binary.inference.run` returns, with the readout's tensor picked out where that is a tuple.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.inference.predictions import entropy
from snntorch_binary.metrics.checks import check_finite, check_labels, check_positive, check_probabilities
from snntorch_binary.metrics.scores import Scores, evaluate


@dataclass(frozen=True)
class EarlyExit:
    """What early exit at one threshold comes to.

    Attributes:
        threshold: of the predictive entropy, in nats.
        mean_steps: mean number of time steps until the answer, in [1, T].
        scores: of the answers given then.
    """

    threshold: float
    mean_steps: float
    scores: Scores


def running_probabilities(outputs: Tensor, scale: float = 1.0) -> Tensor:
    r"""Return the class probabilities after every time step.

    .. math:: p_t = \mathrm{softmax}\Big( \frac{\mathrm{scale}}{t} \sum_{s=1}^{t} r_s \Big)

    for scores :math:`r_s`; an ensemble averages its members' probabilities. With the scale of the readout the
    last ones are those of :func:`snntorch_binary.predict`.

    Args:
        outputs: [T, B, C] of one network (membrane potentials, readouts or spikes), or [K, T, B, C] of an ensemble
            of K. Leave out a burn-in: ``outputs[burn_in:]``.
        scale: as ``readout_scale`` of :func:`snntorch_binary.inference.logits`: 1 where membrane potentials or
            readouts are averaged, T where spikes are counted. It does not grow with t: a count is scaled up.

    Returns:
        [T, B, C] in float64.

    Raises:
        TypeError: the outputs are no floating-point tensor.
        ValueError: a shape or a value is out of range.

    Example:
        >>> spikes = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])  # first one class, then the other
        >>> running_probabilities(spikes, scale=2.0)[:, 0, 0]
        tensor([0.8808, 0.5000], dtype=torch.float64)
    """
    check_positive("scale", scale)
    several = isinstance(outputs, Tensor) and outputs.ndim == 4
    checked = check_finite("outputs", outputs, "[K, T, B, C]" if several else "[T, B, C]")
    members = checked if several else checked[None]
    elapsed = torch.arange(1, len(members[0]) + 1, dtype=torch.float64)[:, None, None]
    probabilities = torch.zeros_like(members[0])
    for member in members:
        probabilities += torch.softmax(scale * member.cumsum(dim=0) / elapsed, dim=-1)
    return probabilities / len(members)


def anytime_scores(probabilities: Tensor, labels: Tensor) -> list[Scores]:
    """Return accuracy, ECE, NLL and Brier score after every time step; entry t - 1 is after t steps.

    Args:
        probabilities: [T, N, C], see `running_probabilities`.
        labels: [N], integers in 0..C-1.

    Raises:
        MissingPackageError: torchmetrics is not installed.
        TypeError: an argument is no tensor, or of the wrong dtype.
        ValueError: a shape or a value is out of range.

    Example:
        >>> probabilities = torch.tensor([[[0.6, 0.4]], [[0.2, 0.8]]])
        >>> [scores.accuracy for scores in anytime_scores(probabilities, torch.tensor([1]))]
        [0.0, 1.0]
    """
    probabilities = check_probabilities("probabilities", probabilities, "[T, N, C]")
    return [evaluate(after_t, labels) for after_t in probabilities]


def early_exit(probabilities: Tensor, labels: Tensor, thresholds: Sequence[float]) -> list[EarlyExit]:
    """Return what is gained and lost by answering as soon as the predictive entropy is below a threshold.

    An input that never gets there is answered after all T time steps.

    Args:
        probabilities: [T, N, C], see `running_probabilities`.
        labels: [N], integers in 0..C-1.
        thresholds: of the predictive entropy, in nats, at least 0. With 0 nothing leaves early; above ln C all
            leaves after the first time step.

    Raises:
        MissingPackageError: torchmetrics is not installed.
        TypeError: an argument is no tensor, or of the wrong dtype.
        ValueError: a shape or a value is out of range.

    Example:
        >>> probabilities = torch.tensor([[[0.6, 0.4], [0.9, 0.1]], [[0.2, 0.8], [0.7, 0.3]]])
        >>> for found in early_exit(probabilities, torch.tensor([1, 0]), [0.0, 0.4, 1.0]):
        ...     found.mean_steps, found.scores.accuracy
        (2.0, 1.0)
        (1.5, 1.0)
        (1.0, 0.5)
    """
    probabilities = check_probabilities("probabilities", probabilities, "[T, N, C]")
    labels = check_labels(labels, *probabilities.shape[1:])
    wrong = [threshold for threshold in thresholds if not threshold >= 0]
    if wrong or not len(thresholds):
        raise ValueError(expected("thresholds", "at least one number, none negative", wrong[0] if wrong else "none"))
    entropies = entropy(probabilities)
    examples = torch.arange(len(labels))
    exits = []
    for threshold in thresholds:
        sure = entropies < threshold
        # Whoever is not sure by then has to answer at the last step.
        sure[-1] = True
        last = sure.int().argmax(dim=0)
        scores = evaluate(probabilities[last, examples], labels)
        exits.append(EarlyExit(float(threshold), (last + 1).double().mean().item(), scores))
    return exits
