"""How good a predictive distribution of a real value is: RMSE, NLL, and how often its interval holds the target.

A network's prediction is the mean over its draws, and its spread their standard deviation: what it does not know
of the function. The data's noise comes on top, N(mean, std² + noise²), and `fit_noise` finds it on validation data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.metrics.checks import check_finite

# 97.5 % quantile of the standard normal distribution.
_QUANTILE = math.sqrt(2) * torch.erfinv(torch.tensor(0.95, dtype=torch.float64)).item()

# A noise variance below this share of the largest squared error is taken for none.
_NEGLIGIBLE = 1e-12
_GRID = 101


@dataclass(frozen=True)
class RegressionScores:
    """Scores of predictive distributions, in the units of the targets.

    Attributes:
        rmse: root mean squared error of the means.
        nll: mean negative log-density of the targets, in nats; it can be negative.
        coverage: fraction of the targets in the central 95 % interval; 0.95 if calibrated.
    """

    rmse: float
    nll: float
    coverage: float


class RegressionExampleScores(NamedTuple):
    """Scores of every test example, each [N] in float64: their means are RMSE², NLL and coverage."""

    squared_error: Tensor
    nll: Tensor
    covered: Tensor


def evaluate_regression(mean: Tensor, std: Tensor, targets: Tensor, noise: float = 0.0) -> RegressionScores:
    """Return RMSE, NLL and coverage of the 95 % interval of N(mean, std² + noise²).

    Args:
        mean: [N], predictive means.
        std: [N], predictive standard deviations, at least 0.
        targets: [N].
        noise: standard deviation of the data's noise, at least 0; see `fit_noise`.

    Raises:
        TypeError: an argument is no floating-point tensor.
        ValueError: a shape or a value is out of range, or std and noise are both 0.

    Example:
        >>> scores = evaluate_regression(torch.zeros(2), torch.ones(2), torch.tensor([0.0, 2.0]))
        >>> round(scores.rmse, 4), round(scores.nll, 4), scores.coverage
        (1.4142, 1.9189, 0.5)
    """
    scores = regression_example_scores(mean, std, targets, noise)
    return RegressionScores(
        rmse=scores.squared_error.mean().sqrt().item(),
        nll=scores.nll.mean().item(),
        coverage=scores.covered.mean().item(),
    )


def regression_example_scores(
    mean: Tensor, std: Tensor, targets: Tensor, noise: float = 0.0
) -> RegressionExampleScores:
    """Return squared error, NLL and whether the 95 % interval holds the target (0 or 1), of every example.

    What `paired_bootstrap` compares two predictors by.

    Args:
        mean: [N], predictive means.
        std: [N], predictive standard deviations, at least 0.
        targets: [N].
        noise: standard deviation of the data's noise, at least 0; see `fit_noise`.

    Raises:
        TypeError: an argument is no floating-point tensor.
        ValueError: a shape or a value is out of range, or std and noise are both 0.

    Example:
        >>> regression_example_scores(torch.zeros(2), torch.ones(2), torch.tensor([0.0, 2.0])).covered
        tensor([1., 0.], dtype=torch.float64)
    """
    mean, std, targets = _check_regression(mean, std, targets)
    if not (noise >= 0 and math.isfinite(noise)):
        raise ValueError(expected("noise", "a non-negative finite number", noise))
    total = torch.hypot(std, torch.tensor(noise, dtype=torch.float64))
    if (total == 0).any():
        raise ValueError(expected("std", "positive where there is no noise (see `fit_noise`)", 0.0))
    error = targets - mean
    return RegressionExampleScores(
        squared_error=error.square(),
        nll=-torch.distributions.Normal(mean, total).log_prob(targets),
        covered=(error.abs() <= _QUANTILE * total).double(),
    )


def fit_noise(mean: Tensor, std: Tensor, targets: Tensor) -> float:
    r"""Return the noise σ >= 0 that maximises the likelihood of N(mean, std² + σ²).

    Since the derivative of the log-likelihood in :math:`v = \sigma^2` is

    .. math:: \frac12 \sum_n \frac{e_n^2 - s_n^2 - v}{(s_n^2 + v)^2}, \qquad e_n = y_n - m_n,

    the best v is 0 or between the least and the largest :math:`e_n^2 - s_n^2`. There may be more than one maximum:
    a grid finds the highest, and finer grids around it its place. Deterministic, in float64.

    Args:
        mean: [N] of validation data, never of the test data.
        std: [N], at least 0.
        targets: [N].

    Returns:
        σ, to about seven digits; 0.0 where the spread alone is as wide as the errors or wider.

    Raises:
        TypeError: an argument is no floating-point tensor.
        ValueError: a shape or a value is out of range.

    Example:
        >>> error = torch.tensor([0.3, -0.4])
        >>> round(fit_noise(torch.zeros(2), torch.zeros(2), error), 6)  # no spread: the errors' root mean square
        0.353553
    """
    mean, std, targets = _check_regression(mean, std, targets)
    squared_error, variance = (targets - mean).square(), std.square()
    largest, negligible = (squared_error - variance).max().item(), _NEGLIGIBLE * squared_error.max().item()
    if largest <= negligible:
        return 0.0

    def nll(log_noise: Tensor) -> Tensor:
        total = variance + log_noise.exp()
        return (total.log() + squared_error / total).mean()

    low, high = math.log(negligible), math.log(largest)
    while high - low > 1e-7:
        grid = torch.linspace(low, high, _GRID, dtype=torch.float64)
        values = torch.stack([nll(log_noise) for log_noise in grid])
        best = int(values.argmin())
        low, high = grid[max(best - 1, 0)].item(), grid[min(best + 1, _GRID - 1)].item()
    none = torch.tensor(-math.inf, dtype=torch.float64)
    if (variance > 0).all() and nll(none) <= values[best]:
        return 0.0
    return math.exp(grid[best].item() / 2)


def _check_regression(mean: Tensor, std: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean, std and targets, [N] in float64 on the CPU, or say what is wrong."""
    mean, std, targets = (
        check_finite(name, values, "[N]") for name, values in (("mean", mean), ("std", std), ("targets", targets))
    )
    for name, values in (("std", std), ("targets", targets)):
        if values.shape != mean.shape:
            raise ValueError(expected(name, f"of shape {list(mean.shape)}", list(values.shape)))
    if (std < 0).any():
        raise ValueError(expected("std", "non-negative", f"the value {std.min().item():g}"))
    return mean, std, targets
