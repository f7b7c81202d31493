"""Is one predictor better than another, or is it a tie? Paired bootstrap intervals over examples and seeds.

Both predictors answer the same test examples, and both are trained with the same seeds. One resample
draws examples and, independently, seeds with replacement (Owen, "The pigeonhole bootstrap", 2007), and
takes both predictors' scores on what it drew. With a single seed the interval speaks of the examples only;
with a few it knows the spread over seeds roughly, and makes it rather too small (by (S - 1) / S in variance).

The interval is the basic one, [2d - q_high, 2d - q_low] for the difference d and the resampled quantiles q.
A mean gets nearly the same from plain quantiles; the ECE does not, because resampling raises it, most
where calibration is good, and the basic interval takes this bias off instead of counting it twice.
Still, the ECE's interval is approximate: in a simulation (1,000 and 10,000 examples) 95 % intervals held the
true difference in 94 to 95 % of trials for two calibrated predictors, but in 73 to 93 % for other pairs.
Where much hangs on it, look at NLL and Brier score, which are plain means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.metrics.calibration import NUM_BINS, confidence_bins
from snntorch_binary.metrics.checks import check_predictions
from snntorch_binary.metrics.scores import example_scores

# Resamples drawn at a time: bounds the memory to 64 x N numbers.
_CHUNK = 64


@dataclass(frozen=True)
class Difference:
    """A score of predictor A minus that of predictor B, with the ends of its bootstrap interval."""

    difference: float
    low: float
    high: float

    @property
    def tie(self) -> bool:
        """Whether the interval contains 0."""
        return self.low <= 0 <= self.high


def paired_bootstrap(
    values_a: Tensor,
    values_b: Tensor,
    *,
    num_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Return the mean difference A - B of a per-example score, with its bootstrap interval.

    Args:
        values_a: [num_seeds, N] (or [N]: one seed), the score of predictor A for each seed and test example,
            for example a field of `example_scores`.
        values_b: the same for predictor B: entry [s, n] is of the same seed and the same example.
        num_resamples: number of bootstrap resamples.
        confidence: coverage of the interval, in (0, 1).
        seed: seed of the resampling; the same seed gives the same interval.

    Raises:
        TypeError: the values are no tensors.
        ValueError: shapes differ, a value is NaN or infinite, or an option is out of range.

    Example:
        >>> correct_a = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
        >>> correct_b = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
        >>> result = paired_bootstrap(correct_a, correct_b)
        >>> result.difference, result.tie
        (0.25, True)
    """
    for name, values in (("values_a", values_a), ("values_b", values_b)):
        if not isinstance(values, Tensor):
            raise TypeError(expected(name, "a tensor", type(values).__name__))
        if values.ndim not in (1, 2) or values.numel() == 0:
            raise ValueError(expected(name, "of shape [num_seeds, N] or [N], not empty", list(values.shape)))
        if not values.isfinite().all():
            raise ValueError(expected(name, "finite", "NaN or infinite values"))
    if values_a.shape != values_b.shape:
        raise ValueError(expected("values_b", f"of shape {list(values_a.shape)}", list(values_b.shape)))
    difference = torch.atleast_2d(values_a.detach().cpu().double() - values_b.detach().cpu().double())
    columns = difference.T.unsqueeze(2)
    return _bootstrap(columns, lambda means: means, num_resamples, confidence, seed)[0]


def paired_differences(
    probabilities_a: Tensor,
    probabilities_b: Tensor,
    labels: Tensor,
    *,
    num_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Difference]:
    """Return the differences A - B in accuracy, ECE, NLL and Brier score, with bootstrap intervals.

    All four from the same resamples. The ECE is no mean over examples: it is computed anew in each resample
    (and for each seed on its own, as in a table of results).

    Args:
        probabilities_a: [num_seeds, N, C] (or [N, C]: one seed), rows sum to 1.
        probabilities_b: the same for predictor B, on the same examples with the same seeds.
        labels: [N], integers in 0..C-1.
        num_resamples: number of bootstrap resamples.
        confidence: coverage of the intervals, in (0, 1).
        seed: seed of the resampling; the same seed gives the same intervals.

    Returns:
        ``{"accuracy": ..., "ece": ..., "nll": ..., "brier": ...}``; accuracy and ECE as fractions.

    Raises:
        TypeError: an argument is no tensor, or of the wrong dtype.
        ValueError: a shape or a value is out of range.

    Example:
        >>> sure, unsure = torch.tensor([[0.9, 0.1]] * 50), torch.tensor([[0.6, 0.4]] * 50)
        >>> differences = paired_differences(sure, unsure, torch.zeros(50, dtype=torch.long))
        >>> differences["accuracy"].tie, differences["ece"].tie
        (True, False)
        >>> round(differences["ece"].difference, 4)
        -0.3
    """
    if isinstance(probabilities_a, Tensor) and isinstance(probabilities_b, Tensor):
        if probabilities_a.shape != probabilities_b.shape:
            shape = list(probabilities_a.shape)
            raise ValueError(expected("probabilities_b", f"of shape {shape}", list(probabilities_b.shape)))
        if probabilities_a.ndim == 3 and len(probabilities_a) == 0:
            raise ValueError(expected("probabilities_a", "of at least one seed", list(probabilities_a.shape)))
    means_a, gaps_a = _columns(probabilities_a, labels)
    means_b, gaps_b = _columns(probabilities_b, labels)
    columns = torch.cat([means_a - means_b, gaps_a, gaps_b], dim=2)

    def statistic(means: Tensor) -> Tensor:
        plain, of_a, of_b = means.split([3, NUM_BINS + 1, NUM_BINS + 1], dim=-1)
        ece = of_a.abs().sum(dim=-1, keepdim=True) - of_b.abs().sum(dim=-1, keepdim=True)
        return torch.cat([plain, ece], dim=-1)

    correct, nll, brier, ece = _bootstrap(columns, statistic, num_resamples, confidence, seed)
    return {"accuracy": correct, "ece": ece, "nll": nll, "brier": brier}


def _columns(probabilities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return per-example scores [N, S, 3] and accuracy minus confidence put in its bin, [N, S, bins].

    The ECE is the sum over bins of |mean of such a column|, so all scores come from column means.
    """
    several = isinstance(probabilities, Tensor) and probabilities.ndim == 3
    scores, gaps = [], []
    for of_seed in probabilities if several else [probabilities]:
        example = example_scores(of_seed, labels)
        confidence, bins = confidence_bins(check_predictions(of_seed, labels)[0])
        gap = torch.zeros(len(bins), NUM_BINS + 1, dtype=torch.float64)
        gap.scatter_(1, bins[:, None], (example.correct - confidence)[:, None])
        scores.append(torch.stack(example, dim=1))
        gaps.append(gap)
    return torch.stack(scores, dim=1), torch.stack(gaps, dim=1)


def _bootstrap(
    columns: Tensor,
    statistic: Callable[[Tensor], Tensor],
    num_resamples: int,
    confidence: float,
    seed: int,
) -> list[Difference]:
    """Bootstrap statistics of the column means.

    Args:
        columns: [N, S, K] of float64.
        statistic: maps means [..., S, K] over examples to M statistics of each seed, [..., S, M].
        num_resamples: number R of resamples.
        confidence: coverage of the intervals.
        seed: seed of the resampling.

    Returns:
        The M statistics, averaged over seeds, with their intervals.
    """
    num_examples, num_seeds, _ = columns.shape
    flat = columns.flatten(1)

    def resampled(of_examples: Tensor, of_seeds: Tensor) -> Tensor:
        means = (of_examples @ flat).unflatten(1, columns.shape[1:])
        return (of_seeds.unsqueeze(2) * statistic(means)).sum(dim=1)

    estimate = statistic(columns.mean(dim=0)).mean(dim=0)
    return basic_intervals(estimate, resampled, [num_examples, num_seeds], num_resamples, confidence, seed)


def basic_intervals(
    estimate: Tensor,
    resampled: Callable[..., Tensor],
    sizes: Sequence[int],
    num_resamples: int,
    confidence: float,
    seed: int,
) -> list[Difference]:
    """Return the basic bootstrap intervals of some statistics.

    Args:
        estimate: [M], the statistics of the data as they are.
        resampled: maps the share of each item in R resamples, one [R, size] (rows sum to 1) for each of `sizes`,
            to the statistics of the resamples [R, M].
        sizes: numbers of items (examples, seeds, ...) that are resampled independently.
        num_resamples: number of bootstrap resamples.
        confidence: coverage of the intervals.
        seed: seed of the resampling.
    """
    if num_resamples < 1:
        raise ValueError(expected("num_resamples", "a positive integer", num_resamples))
    if not 0 < confidence < 1:
        raise ValueError(expected("confidence", "in (0, 1)", confidence))
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    for start in range(0, num_resamples, _CHUNK):
        count = min(_CHUNK, num_resamples - start)
        drawn.append(resampled(*(_draw_weights(count, size, generator) for size in sizes)))
    tail = (1 - confidence) / 2
    ends = torch.tensor([tail, 1 - tail], dtype=torch.float64)
    q_low, q_high = torch.quantile(torch.cat(drawn), ends, dim=0)
    results = torch.stack([estimate, 2 * estimate - q_high, 2 * estimate - q_low], dim=1).tolist()
    # Two equal predictors differ by rounding errors of the sums: 0 (and not -0), not 1e-17
    # with an interval beside 0.
    return [Difference(*(round(value, 12) + 0.0 for value in result)) for result in results]


def _draw_weights(num_resamples: int, size: int, generator: torch.Generator) -> Tensor:
    """Return the share of each of `size` items in each resample, [num_resamples, size]; rows sum to 1."""
    drawn = torch.randint(size, (num_resamples, size), generator=generator)
    counts = torch.zeros(num_resamples, size, dtype=torch.float64)
    return counts.scatter_add_(1, drawn, torch.ones_like(counts)) / size
