"""Reliability diagram: how often a predictor is right against how often it says it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.metrics.calibration import NUM_BINS, confidence_bins, expected_calibration_error
from snntorch_binary.metrics.checks import check_predictions
from snntorch_binary.metrics.scores import example_scores
from snntorch_binary.plots import style

_BAR, _GAP = "#56B4E9", "#D55E00"
_PANELS_PER_ROW = 4


def reliability_diagram(results: Mapping[str, tuple[Tensor, Tensor]], path: str | os.PathLike[str]) -> None:
    """Draw accuracy against confidence, one panel for each predictor, and write it to `path`.

    In each of 15 bins a bar shows the accuracy of the examples and a hatched one the gap to their mean
    confidence; a calibrated predictor follows the diagonal. Below: which share of the examples has which
    confidence (on a logarithmic axis, since nearly all of them sit at the right end). The title holds
    the ECE, as `expected_calibration_error` defines it.

    Args:
        results: for each label (the panel's title) probabilities [N, C] and labels [N].
        path: the file to write; its suffix is the format.

    Raises:
        MissingPackageError: matplotlib or torchmetrics is not installed.
        TypeError: an argument is no tensor, or of the wrong dtype.
        ValueError: nothing to draw, or a shape or a value is out of range.
        OSError: the file cannot be written.
    """
    if not results:
        raise ValueError(expected("results", "at least one predictor", "none"))
    columns = min(_PANELS_PER_ROW, len(results))
    rows = -(-len(results) // columns)
    figure = style.make_figure(2.4 * columns + 0.4, 3.5 * rows + 0.4)
    grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[3, 1] * rows)
    for index in range(rows * columns):
        row, column = divmod(index, columns)
        top, bottom = grid[2 * row, column], grid[2 * row + 1, column]
        if index >= len(results):
            top.remove()
            bottom.remove()
            continue
        label, (probabilities, labels) = list(results.items())[index]
        _reliability_panel(top, bottom, probabilities, labels)
        ece = expected_calibration_error(probabilities, labels)
        top.set_title(f"{label}\nECE {100 * ece:.2f} %", fontsize=12)
        if column == 0:
            top.set_ylabel("accuracy")
            bottom.set_ylabel("examples (%)")
    style.legend_below(figure, grid[0, 0], columns)
    figure.align_ylabels()
    style.write(figure, path)


def _reliability_panel(top: Any, bottom: Any, probabilities: Tensor, labels: Tensor) -> None:
    checked, _ = check_predictions(probabilities, labels)
    correct = example_scores(probabilities, labels).correct
    confidence, bins = confidence_bins(checked)
    bins = bins.clamp(max=NUM_BINS - 1)
    count = torch.bincount(bins, minlength=NUM_BINS)
    used = count > 0
    accuracy = (torch.bincount(bins, weights=correct, minlength=NUM_BINS) / count)[used].numpy()
    mean_confidence = (torch.bincount(bins, weights=confidence, minlength=NUM_BINS) / count)[used].numpy()
    percent = (100 * count / len(bins))[used].numpy()
    left = torch.arange(NUM_BINS)[used].numpy() / NUM_BINS
    bar = {"width": 1 / NUM_BINS, "align": "edge", "linewidth": 0.6}
    top.bar(left, accuracy, **bar, color=_BAR, edgecolor="white", label="accuracy")
    top.bar(
        left,
        mean_confidence - accuracy,
        **bar,
        bottom=accuracy,
        color="none",
        edgecolor=_GAP,
        hatch="/////",
        label="gap to confidence",
    )
    top.plot([0, 1], [0, 1], linestyle="--", color="black", linewidth=1, label="calibrated")
    top.set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 0.5, 1))
    top.tick_params(labelbottom=False)
    bottom.bar(left, percent, **bar, color=style.GREY, edgecolor="white")
    least = 50 / len(bins)
    bottom.set(yscale="log", ylim=(least, 150), xlim=(0, 1), xticks=(0, 0.5, 1), xlabel="confidence")
    ticks = (100, 1, 0.01) if least < 0.1 else (100, 10, 1)
    bottom.set_yticks([tick for tick in ticks if tick >= least])
    bottom.yaxis.set_major_formatter("{x:g}")
    bottom.minorticks_off()
    for axes in (top, bottom):
        style.plain_axes(axes)
