"""Decision surface: what a predictor of two classes says, and how unsure it is, over the plane of its inputs."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from snntorch_binary._errors import expected, require
from snntorch_binary.inference.predictions import entropy
from snntorch_binary.metrics.checks import check_count, check_finite, check_labels, check_probabilities
from snntorch_binary.plots import style

_UNSURE = "#F7F7F7"


def plane(resolution: int = 100, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Return the points at which `decision_surface` wants to know the probabilities.

    Args:
        resolution: number R of points along each coordinate.
        low: where the square begins, in both coordinates.
        high: where it ends.

    Returns:
        [R², 2], the centres of R x R cells; the first coordinate runs fastest.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> plane(2).tolist()
        [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    """
    check_count("resolution", resolution)
    if not low < high:
        raise ValueError(expected("high", f"larger than `low` ({low:g})", high))
    centres = low + (high - low) * (torch.arange(resolution) + 0.5) / resolution
    second, first = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([first.flatten(), second.flatten()], dim=1)


def decision_surface(
    results: Mapping[str, Tensor],
    points: Tensor,
    labels: Tensor,
    path: str | os.PathLike[str],
    *,
    low: float = 0.0,
    high: float = 1.0,
) -> None:
    """Draw class probability (above) and predictive entropy (below) over the plane, one column for each predictor.

    A line marks where both classes are equally probable, dots are the training points.

    Args:
        results: for each label (the column's title) the probabilities [R², 2] at the points of `plane`.
        points: [N, 2], training points.
        labels: [N], their classes, 0 or 1.
        path: the file to write; its suffix is the format.
        low: as given to `plane`.
        high: as given to `plane`.

    Raises:
        MissingPackageError: matplotlib is not installed.
        TypeError: an argument is no tensor, or of the wrong dtype.
        ValueError: nothing to draw, or a shape or a value is out of range.
        OSError: the file cannot be written.
    """
    if not results:
        raise ValueError(expected("results", "at least one predictor", "none"))
    points = check_finite("points", points, "[N, D]")
    if points.shape[1] != 2:
        raise ValueError(expected("points", "of shape [N, 2]", list(points.shape)))
    labels = check_labels(labels, len(points), 2)
    surfaces = {label: _check_surface(label, probabilities) for label, probabilities in results.items()}
    make_colours = require("matplotlib.colors", "lightning").LinearSegmentedColormap.from_list
    colours = make_colours("classes", [style.COLOURS[0], _UNSURE, style.COLOURS[1]])
    figure = style.make_figure(2.3 * len(surfaces) + 1.0, 4.7)
    grid = figure.subplots(2, len(surfaces), squeeze=False, sharex=True, sharey=True)
    extent = (low, high, low, high)
    area = {"extent": extent, "origin": "lower", "interpolation": "nearest"}
    for (label, surface), (top, bottom) in zip(surfaces.items(), grid.T, strict=True):
        second_class = surface[..., 1].numpy()
        top.set_title(label, fontsize=12)
        probability = top.imshow(second_class, vmin=0, vmax=1, cmap=colours, **area)
        unsure = bottom.imshow(entropy(surface).numpy(), vmin=0, vmax=math.log(2), cmap="viridis", **area)
        _boundary(top, second_class, extent, "black")
        _boundary(bottom, second_class, extent, "white")
        for axes in (top, bottom):
            _dots(axes, points, labels)
            axes.set(xlim=(low, high), ylim=(low, high))
            axes.tick_params(labelsize=9)
    figure.colorbar(probability, ax=list(grid[0]), label="probability of class 1", ticks=(0, 0.5, 1))
    figure.colorbar(unsure, ax=list(grid[1]), label="predictive entropy (nats)", ticks=(0, 0.2, 0.4, 0.6))
    style.write(figure, path)


def _check_surface(label: str, probabilities: Tensor) -> Tensor:
    """Return probabilities [R, R, 2]; the first index is that of the second coordinate."""
    probabilities = check_probabilities("results", probabilities, "[N, C]")
    resolution = math.isqrt(len(probabilities))
    if probabilities.shape[1] != 2 or resolution**2 != len(probabilities):
        what = f"of shape [R * R, 2], as for the points of `plane`, for {label!r}"
        raise ValueError(expected("results", what, list(probabilities.shape)))
    return probabilities.unflatten(0, (resolution, resolution))


def _boundary(axes: Any, second_class: Any, extent: tuple[float, float, float, float], colour: str) -> None:
    # One class everywhere, or a single cell, has no line, and matplotlib would warn.
    if min(second_class.shape) > 1 and second_class.min() < 0.5 < second_class.max():
        axes.contour(second_class, levels=[0.5], extent=extent, origin="lower", colors=colour, linewidths=1.2)


def _dots(axes: Any, points: Tensor, labels: Tensor) -> None:
    for of_class, colour in enumerate(style.COLOURS[:2]):
        x, y = points[labels == of_class].T.numpy()
        axes.scatter(x, y, s=9, color=colour, edgecolor="white", linewidth=0.5, label=f"class {of_class}")
