"""Results as tables in the terminal: what each rule reached, and which differences are more than a tie."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from snntorch_binary._errors import expected, require
from snntorch_binary._text import mean_and_spread, over_seeds, predictor_label
from snntorch_binary.metrics.bootstrap import Difference

if TYPE_CHECKING:
    from rich.table import Table

_KEYS = ("dataset", "rule", "credit", "prediction", "seed", "bits_per_weight", "train_seconds")


class _Score(NamedTuple):
    """How a score of results.json is shown."""

    heading: str
    factor: int
    decimals: int
    larger_is_better: bool | None
    """`None`: neither is, it should be some value."""


_SCORES = {
    "accuracy": _Score("accuracy %", 100, 2, larger_is_better=True),
    "ece": _Score("ECE %", 100, 2, larger_is_better=False),
    "rmse": _Score("RMSE", 1, 4, larger_is_better=False),
    "nll": _Score("NLL", 1, 3, larger_is_better=False),
    "brier": _Score("Brier", 1, 3, larger_is_better=False),
    "coverage": _Score("coverage %", 100, 1, larger_is_better=None),
}


def results_table(
    rows: Sequence[Mapping[str, Any]], intervals: Mapping[str, Mapping[str, Difference]] | None = None
) -> Table:
    """Return a table of the scores of each rule and prediction, averaged over seeds.

    Rows of the same rule, credit assignment and prediction are one line: the mean and, below it, the sample
    standard deviation over seeds (none for a single seed) or an interval. So are those that are ``scaled``, and
    those of several ``trainings`` together. The columns fit a terminal of 80 characters.

    Args:
        rows: as in ``results.json``: the keys ``dataset, rule, credit, prediction, seed, bits_per_weight,
            train_seconds`` and the same scores in each, some of ``accuracy, ece, rmse, nll, brier, coverage``
            (further keys are left alone); accuracy, ECE and coverage as fractions, time in seconds; all of
            one dataset. With the key ``trainings`` this cost has a column; where it is more than one, the row is of
            networks of all seeds together, and its seed is ``None``. ``scaled`` says that a row is temperature-scaled.
        intervals: for each line (``"bayes ensemble"``, ``"st x 3, scaled"``; the rule alone where the prediction is
            ``single``) the 95 % intervals of some scores, shown in place of their standard deviation.

    Raises:
        MissingPackageError: rich is not installed.
        ValueError: no rows, a missing key, more than one dataset, or a seed twice on one line.

    Example:
        >>> row = {"dataset": "digits", "rule": "st", "credit": "through-time", "prediction": "single",
        ...        "seed": 0, "accuracy": 0.97, "ece": 0.01, "nll": 0.1, "brier": 0.05,
        ...        "bits_per_weight": 1.0, "train_seconds": 12.0, "epochs": 20}
        >>> results_table([row, {**row, "seed": 1}]).row_count
        1
    """
    escape = require("rich.markup", "lightning").escape
    groups = _grouped(rows)
    shown = {name: score for name, score in _SCORES.items() if name in rows[0]}
    several_credits = len({line.credit for line in groups}) > 1
    caption = over_seeds([len(group) for line, group in groups.items() if line.trainings == 1] or [1])
    together = sorted({line.trainings for line in groups if line.trainings > 1})
    if together:
        caption += f"\nx {together[0]}: the networks of all seeds together, one answer without a spread"
    if any(line.scaled for line in groups):
        caption += "\nscaled: by a temperature fitted on validation data"
    if intervals:
        caption += "\na range is the 95 % bootstrap interval over test examples and seeds"
    table = _table(escape(rows[0]["dataset"]), caption)
    table.add_column("rule", overflow="fold", min_width=len("full-precision,"))
    table.add_column("bits/\nweight", justify="right", no_wrap=True)
    has_cost = "trainings" in rows[0]
    if has_cost:
        table.add_column("train-\nings", justify="right", no_wrap=True)
    for score in shown.values():
        table.add_column(score.heading.replace(" ", "\n"), justify="right", no_wrap=True)
    table.add_column("train", justify="right", no_wrap=True)
    for line, group in groups.items():
        label = predictor_label(line.rule, line.prediction, line.trainings, line.scaled)
        ranges = (intervals or {}).get(label, {})
        bits = f"{statistics.fmean(row['bits_per_weight'] for row in group):.3g}"
        scores = [
            _mean_and_spread([row[name] for row in group], score, ranges.get(name)) for name, score in shown.items()
        ]
        time = _duration(statistics.fmean(row["train_seconds"] for row in group))
        cost = [str(line.trainings)] if has_cost else []
        table.add_row(escape(f"{label}, {line.credit}" if several_credits else label), bits, *cost, *scores, time)
    return table


def differences_table(
    differences: Mapping[str, Mapping[str, Difference]], confidence: float = 0.95, note: str = ""
) -> Table:
    """Return a table of paired differences with their intervals, a tie called a tie.

    One row for each comparison, one column for each score; the columns fit a terminal of 80 characters.

    Args:
        differences: for each comparison (``"bayes ensemble - full precision"``: the first minus the second)
            what `paired_differences` returned. "better" says that the first is better.
        confidence: coverage of the intervals, as it was given there.
        note: a further line below the table.

    Raises:
        MissingPackageError: rich is not installed.
        ValueError: nothing to show, an unknown score, or comparisons with different scores.

    Example:
        >>> differences_table({"bayes - st": {"nll": Difference(-0.04, -0.05, -0.03)}}).row_count
        1
    """
    escape = require("rich.markup", "lightning").escape
    if not differences:
        raise ValueError(expected("differences", "at least one comparison", "none"))
    names = list(next(iter(differences.values())))
    for of_score in differences.values():
        unknown = [name for name in of_score if name not in _SCORES]
        if unknown:
            raise ValueError(expected("differences", f"of {', '.join(_SCORES)}", repr(unknown[0])))
        if list(of_score) != names:
            raise ValueError(expected("differences", "of the same scores in each comparison", list(of_score)))
    caption = (
        f"first minus second, {100 * confidence:g} % interval below: paired bootstrap over\n"
        "test examples and seeds; a tie: the interval contains 0"
    )
    table = _table("paired differences", f"{caption}\n{note}" if note else caption)
    table.padding, table.leading = (0, 0, 0, 0), 1
    table.add_column("comparison", overflow="fold")
    for name in names:
        table.add_column(_SCORES[name].heading, justify="right", no_wrap=True)
    for comparison, of_score in differences.items():
        cells = [_difference_cell(_SCORES[name], difference) for name, difference in of_score.items()]
        table.add_row(escape(comparison.replace(" - ", "\n- ").replace(" (", "\n(")), *cells)
    return table


def _table(title: str, caption: str) -> Table:
    """Return an empty table without vertical lines: eight columns do fit into 80 characters then."""
    table: Table = require("rich.table", "lightning").Table(
        title=title,
        caption=caption,
        box=require("rich.box", "lightning").SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    return table


class _Line(NamedTuple):
    """What the rows of one line have in common."""

    rule: str
    credit: str
    prediction: str
    trainings: int
    scaled: bool


def _grouped(rows: Sequence[Mapping[str, Any]]) -> dict[_Line, list[Mapping[str, Any]]]:
    """Return the rows of each line, in order of appearance, or say what is wrong."""
    if not rows:
        raise ValueError(expected("rows", "at least one result", "none"))
    scores = [name for name in _SCORES if name in rows[0]] or ["accuracy"]
    groups: dict[_Line, list[Mapping[str, Any]]] = {}
    for row in rows:
        missing = [key for key in (*_KEYS, *scores) if key not in row]
        if missing:
            raise ValueError(expected("rows", f"dictionaries with the key {missing[0]!r}", sorted(row)))
        kind = (row.get("trainings", 1), row.get("scaled", False))
        group = groups.setdefault(_Line(row["rule"], row["credit"], row["prediction"], *kind), [])
        if any(row["seed"] == other["seed"] for other in group):
            line = f"seed {row['seed']} twice for {row['rule']}, {row['prediction']}"
            raise ValueError(expected("rows", "one row for each seed", line))
        group.append(row)
    datasets = sorted({row["dataset"] for row in rows})
    if len(datasets) > 1:
        raise ValueError(expected("rows", "of one dataset", ", ".join(datasets)))
    return groups


def _mean_and_spread(values: Sequence[float], score: _Score, interval: Difference | None) -> str:
    scaled = [score.factor * value for value in values]
    if interval is None:
        return mean_and_spread(scaled, score.decimals, "\n±")
    low, high = (f"{score.factor * end:.{score.decimals}f}" for end in (interval.low, interval.high))
    return f"{statistics.fmean(scaled):.{score.decimals}f}\n{low}..{high}"


def _duration(seconds: float) -> str:
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


def _difference_cell(score: _Score, difference: Difference) -> str:
    """Return difference and verdict and, below them, the interval."""
    middle, low, high = (
        # Adding 0.0 turns a rounded -0.0 into 0.0.
        f"{round(score.factor * value, score.decimals) + 0.0:+.{score.decimals}f}"
        for value in (difference.difference, difference.low, difference.high)
    )
    if difference.tie:
        verdict = "tie"
    elif score.larger_is_better is None:
        verdict = "differs"
    elif (difference.low > 0) == score.larger_is_better:
        verdict = "[green]better[/green]"
    else:
        verdict = "[red]worse[/red]"
    return f"{middle} {verdict}\n{low}..{high}"
