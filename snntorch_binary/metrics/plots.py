"""Pictures of results: reliability diagram, learning curve, spike raster.

Figures are built as objects, without pyplot: no display, no global state, safe in any thread. The suffix of
the path is the format (.png, .svg, .pdf). A file is complete or not there.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from snntorch_binary._errors import expected, require
from snntorch_binary.metrics.calibration import (
    NUM_BINS,
    check_predictions,
    confidence_bins,
    example_scores,
    expected_calibration_error,
)

# Okabe and Ito's palette: told apart with any colour vision, and ordered to differ in lightness too.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_GREY = "#666666"
_BAR, _GAP = "#56B4E9", "#D55E00"
_LINE_STYLES = ("-", "--", "-.", ":")
_PANELS_PER_ROW = 4
_DPI = 160


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
    figure = _figure(2.4 * columns + 0.4, 3.5 * rows + 0.4)
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
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(3, columns), fontsize=10, frameon=False)
    figure.align_ylabels()
    _write(figure, path)


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
    bottom.bar(left, percent, **bar, color=_GREY, edgecolor="white")
    least = 50 / len(bins)
    bottom.set(yscale="log", ylim=(least, 150), xlim=(0, 1), xticks=(0, 0.5, 1), xlabel="confidence")
    ticks = (100, 1, 0.01) if least < 0.1 else (100, 10, 1)
    bottom.set_yticks([tick for tick in ticks if tick >= least])
    bottom.yaxis.set_major_formatter("{x:g}")
    bottom.minorticks_off()
    for axes in (top, bottom):
        _plain_axes(axes)


def learning_curve(
    curves: Mapping[str, Sequence[tuple[Sequence[int], Sequence[float]]]], path: str | os.PathLike[str]
) -> None:
    """Draw validation accuracy over epochs, the mean over seeds in a band from worst to best seed.

    Args:
        curves: for each label a list with one (epochs, validation accuracy as a fraction) for each seed;
            drawn over the epochs that all its seeds have.
        path: the file to write; its suffix is the format.

    Raises:
        MissingPackageError: matplotlib is not installed.
        ValueError: nothing to draw, a length mismatch, or an accuracy outside [0, 1].
        OSError: the file cannot be written.
    """
    if not curves:
        raise ValueError(expected("curves", "at least one curve", "none"))
    figure = _figure(6.4, 4.0)
    axes = figure.subplots()
    for index, (label, seeds) in enumerate(curves.items()):
        epochs, accuracies = _common_epochs(label, seeds)
        colour = _COLOURS[index % len(_COLOURS)]
        style = _LINE_STYLES[index % len(_LINE_STYLES)]
        percent = 100 * accuracies
        axes.fill_between(
            epochs,
            percent.amin(dim=0).numpy(),
            percent.amax(dim=0).numpy(),
            color=colour,
            alpha=0.18,
            linewidth=0,
        )
        # A single epoch has no line to see.
        marker = "o" if len(epochs) == 1 else None
        axes.plot(epochs, percent.mean(dim=0).numpy(), style, color=colour, linewidth=2, marker=marker, label=label)
    most_seeds = max(len(seeds) for seeds in curves.values())
    if most_seeds > 1:
        axes.set_title(f"mean of {most_seeds} seeds, band from worst to best", fontsize=10, color=_GREY)
    axes.set(xlabel="epoch", ylabel="validation accuracy (%)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, loc="best")
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.8)
    _plain_axes(axes)
    _write(figure, path)


def _common_epochs(label: str, seeds: Sequence[tuple[Sequence[int], Sequence[float]]]) -> tuple[list[int], Tensor]:
    """Return the epochs that all seeds have and the accuracies there, [num_seeds, num_epochs]."""
    by_epoch = []
    for epochs, accuracies in seeds:
        if len(epochs) != len(accuracies):
            what = f"as many accuracies as epochs for {label!r}"
            raise ValueError(expected("curves", what, f"{len(accuracies)} and {len(epochs)}"))
        wrong = [accuracy for accuracy in accuracies if not 0 <= accuracy <= 1]
        if wrong:
            raise ValueError(expected("curves", "accuracies in [0, 1]", f"{wrong[0]:g} for {label!r}"))
        by_epoch.append(dict(zip(map(int, epochs), map(float, accuracies), strict=True)))
    common = sorted(set.intersection(*map(set, by_epoch))) if by_epoch else []
    if not common:
        raise ValueError(expected("curves", "an epoch that all seeds have", f"none for {label!r}"))
    return common, torch.tensor([[of_seed[epoch] for epoch in common] for of_seed in by_epoch])


def raster(spikes: Tensor, path: str | os.PathLike[str]) -> None:
    """Draw one mark for each spike, time steps across and neurons up; below, how many neurons fire.

    Args:
        spikes: [T, N] of 0 and 1 (any dtype).
        path: the file to write; its suffix is the format.

    Raises:
        MissingPackageError: matplotlib is not installed.
        TypeError: the spikes are no tensor.
        ValueError: a shape or a value is out of range.
        OSError: the file cannot be written.
    """
    if not isinstance(spikes, Tensor):
        raise TypeError(expected("spikes", "a tensor", type(spikes).__name__))
    if spikes.ndim != 2 or spikes.numel() == 0:
        raise ValueError(expected("spikes", "of shape [T, N], not empty", list(spikes.shape)))
    spikes = spikes.detach().cpu()
    if not ((spikes == 0) | (spikes == 1)).all():
        raise ValueError(expected("spikes", "only 0 and 1", "other values"))
    num_steps, num_neurons = spikes.shape
    steps, neurons = spikes.nonzero(as_tuple=True)
    # Of many neurons each would be less than a pixel high.
    half_height = max(0.4, num_neurons / 400)
    figure = _figure(6.4, 4.2)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    top.vlines(
        steps.numpy(),
        neurons.numpy() - half_height,
        neurons.numpy() + half_height,
        color=_COLOURS[0],
        linewidth=min(4.0, 220 / num_steps),
    )
    top.set(ylabel="neuron", xlim=(-0.5, num_steps - 0.5), ylim=(-0.5, num_neurons - 0.5))
    percent = 100 * spikes.double().mean(dim=1)
    bottom.bar(range(num_steps), percent.numpy(), width=0.9, color=_GREY)
    bottom.set(xlabel="time step", ylabel="firing (%)")
    bottom.xaxis.get_major_locator().set_params(integer=True)
    top.yaxis.get_major_locator().set_params(integer=True)
    for axes in (top, bottom):
        _plain_axes(axes)
    _write(figure, path)


def _figure(width: float, height: float) -> Any:
    """Return a figure of this size in inches, whatever style the user has set for pyplot."""
    figure_module = require("matplotlib.figure", "lightning")
    return figure_module.Figure(figsize=(width, height), dpi=_DPI, layout="constrained", facecolor="white")


def _plain_axes(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)


def _write(figure: Any, path: str | os.PathLike[str]) -> None:
    path = Path(path)
    image = io.BytesIO()
    figure.savefig(image, format=path.suffix.lstrip(".") or "png")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(image.getvalue())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
