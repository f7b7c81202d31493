"""Temperature scaling: one number, fitted on validation data, that makes a network less (or more) sure.

The fair opponent of a Bayesian network: a full-precision one calibrated after training (Guo et al., "On
calibration of modern neural networks", 2017).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from snntorch_binary.metrics.checks import check_finite, check_labels, check_positive


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    r"""Return the temperature T > 0 that minimises the NLL of softmax(logits / T).

    The mean NLL is convex in the inverse temperature :math:`\beta = 1 / T`, with derivative

    .. math:: \frac{d\,\mathrm{NLL}}{d\beta}
              = \frac{1}{N} \sum_n \Big( \sum_c \mathrm{softmax}(\beta z_n)_c z_{nc} - z_{n y_n} \Big),

    so its root is found by bisection in float64: deterministic, no learning rate, no starting point.

    There is no minimum when every label has the largest logit (the NLL falls as T goes to 0), nor when the
    logits are no better than a uniform guess at any temperature (it falls as T grows). The data then do
    not say what T is, and 1.0 comes back: the logits are left as they are.

    Args:
        logits: [N, C] of validation data, never of the test data.
        labels: [N], integers in 0..C-1.

    Raises:
        TypeError: an argument is no tensor, or of the wrong dtype.
        ValueError: a shape or a value is out of range.

    Example:
        >>> logits = torch.tensor([[8.0, 0.0], [8.0, 0.0], [8.0, 0.0], [0.0, 8.0]])
        >>> labels = torch.tensor([0, 0, 1, 1])  # right in 3 of 4: the best confidence is 3/4
        >>> temperature = fit_temperature(logits, labels)
        >>> round(apply_temperature(logits, temperature)[0, 0].item(), 6)
        0.75
    """
    logits = check_finite("logits", logits, "[N, C]")
    labels = check_labels(labels, *logits.shape)
    # Softmax does not see a shift of a row; with the largest logit at 0 nothing below can overflow.
    shifted = logits - logits.amax(dim=1, keepdim=True)
    of_label = shifted.gather(1, labels[:, None]).squeeze(1)
    spread = -shifted.min().item()

    def slope(log_beta: float) -> float:
        softmax = torch.softmax(math.exp(log_beta) / spread * shifted, dim=1)
        return ((softmax * shifted).sum(dim=1) - of_label).mean().item()

    every_label_largest = bool((of_label == 0).all())
    uniform_is_best = (shifted.mean(dim=1) - of_label).mean().item() >= 0
    if every_label_largest or uniform_is_best:
        return 1.0
    # Logits in units of their spread: beyond these ends the softmax is uniform, or one-hot, in float64.
    low, high = math.log(1e-12), math.log(1e12)
    while high - low > 1e-12:
        middle = (low + high) / 2
        if slope(middle) < 0:
            low = middle
        else:
            high = middle
    return spread / math.exp((low + high) / 2)


def apply_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Return softmax(logits / temperature), computed in float64.

    Args:
        logits: [..., C].
        temperature: positive and finite; above 1 the prediction gets less sure, below 1 more.

    Returns:
        Probabilities [..., C] in float64.

    Raises:
        ValueError: the temperature is not positive and finite.

    Example:
        >>> apply_temperature(torch.tensor([0.0, 0.0]), 2.0)
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    check_positive("temperature", temperature)
    return torch.softmax(logits.double() / temperature, dim=-1)
