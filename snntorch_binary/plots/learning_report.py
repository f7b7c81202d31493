"""The picture of how a binary network learns: reports over epochs, one panel for each thing that they say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from snntorch_binary._errors import expected
from snntorch_binary.metrics.learning_report import LearningReport
from snntorch_binary.plots import style

_PANELS = (
    ("flipped", "signs flipped (%)", 100.0),
    ("entropy", "entropy (bits a weight)", 1.0),
    ("blocked", "gradient outside ±1 (%)", 100.0),
    ("silent", "silent neurons (%)", 100.0),
    ("saturated", "saturated neurons (%)", 100.0),
)


def learning_reports(reports: Mapping[int, LearningReport], path: str | os.PathLike[str]) -> None:
    """Draw what reports say of each layer and of each module of neurons over epochs.

    Args:
        reports: by epoch, or by any other count that grows.
        path: the file to write; its suffix is the format.

    Raises:
        MissingPackageError: matplotlib is not installed.
        ValueError: there is no report, or nothing in them to draw.
        OSError: the file cannot be written.
    """
    lines: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for epoch, report in sorted(reports.items()):
        rows: list[Any] = [*report.layers, *report.neurons]
        for row in rows:
            for what, _, factor in _PANELS:
                value = getattr(row, what, None)
                if value is not None:
                    lines.setdefault(what, {}).setdefault(row.name, []).append((epoch, factor * value))
    shown = [(label, lines[what]) for what, label, _ in _PANELS if what in lines]
    if not shown:
        raise ValueError(expected("reports", "at least one with flips, posteriors, gradients or neurons", "none"))
    figure = style.make_figure(3.4 * len(shown), 3.0)
    for axes, (label, of_rows) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        for index, (name, points) in enumerate(of_rows.items()):
            style.line(axes, index, [epoch for epoch, _ in points], [value for _, value in points], name)
        axes.set(xlabel="epoch", ylabel=label)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=8)
        style.horizontal_grid(axes)
        style.plain_axes(axes)
    style.write(figure, path)
