"""What reports write: plain tables, and means over seeds. No package beside torch is needed."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows of cells as a table with aligned columns."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [header, *rows]
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def predictor_label(rule: str, prediction: str, trainings: int = 1, scaled: bool = False) -> str:
    """Return what tables and pictures call a prediction of a rule.

    Args:
        rule: the rule.
        prediction: ``"single"`` needs no name.
        trainings: how many networks, trained apart, answer together.
        scaled: whether it is temperature-scaled.

    >>> predictor_label("bayes", "ensemble"), predictor_label("st", "single", trainings=3, scaled=True)
    ('bayes ensemble', 'st x 3, scaled')
    """
    name = rule if prediction == "single" else f"{rule} {prediction}"
    return name + (f" x {trainings}" if trainings > 1 else "") + (", scaled" if scaled else "")


def mean_and_spread(values: Sequence[float], decimals: int, sign: str = " ±") -> str:
    """Return the mean of one value a seed and, of several, their sample standard deviation behind ``sign``.

    >>> mean_and_spread([1.0, 2.0], 1), mean_and_spread([1.0], 2)
    ('1.5 ±0.7', '1.00')
    """
    mean = f"{statistics.fmean(values):.{decimals}f}"
    return mean if len(values) == 1 else f"{mean}{sign}{statistics.stdev(values):.{decimals}f}"


def over_seeds(num_seeds: Collection[int]) -> str:
    """Say of a table's groups of so many seeds each what :func:`mean_and_spread` shows of them.

    >>> over_seeds([3, 3]), over_seeds([1])
    ('mean over 3 seeds; ± their sample standard deviation', 'one seed')
    """
    fewest, most = min(num_seeds), max(num_seeds)
    if most == 1:
        return "one seed"
    seeds = f"{most} seeds" if fewest == most else f"{fewest} to {most} seeds"
    return f"mean over {seeds}; ± their sample standard deviation"
