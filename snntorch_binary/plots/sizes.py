"""Accuracy over the size of a network."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from snntorch_binary.plots import style
from snntorch_binary.plots.accuracies import accuracies_by


def size_curve(
    curves: Mapping[str, Mapping[int, Sequence[float]]],
    path: str | os.PathLike[str],
    *,
    size: str = "hidden circuits",
) -> None:
    """Draw test accuracy against the size of the network, the mean over seeds in a band from worst to best seed.

    Args:
        curves: for each label, by size, the accuracies in [0, 1] of all seeds; as many for each size.
        path: the file to write; its suffix is the format.
        size: what is counted.

    Raises:
        MissingPackageError: matplotlib is not installed.
        ValueError: nothing to draw, an accuracy outside [0, 1], or sizes with different numbers of seeds.
        OSError: the file cannot be written.
    """
    checked = accuracies_by(curves, "size")
    figure = style.make_figure(6.4, 4.0)
    axes = figure.subplots()
    for index, (label, (sizes, accuracies)) in enumerate(checked.items()):
        style.line_over_seeds(axes, index, sizes, 100 * accuracies, label)
    every = sorted({each for sizes, _ in checked.values() for each in sizes})
    style.say_seeds(figure, max(len(accuracies) for _, accuracies in checked.values()))
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xticks(every, [str(each) for each in every])
    axes.minorticks_off()
    axes.set(xlabel=size, ylabel="test accuracy (%)")
    axes.legend(frameon=False, loc="best")
    style.horizontal_grid(axes)
    style.plain_axes(axes)
    style.write(figure, path)
