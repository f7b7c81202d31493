"""Accuracy over the size of a network."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import torch

from snntorch_binary._errors import expected
from snntorch_binary.plots import style


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
    if not curves or not all(curves.values()):
        raise ValueError(expected("curves", "at least one curve of at least one size", "none"))
    figure = style.make_figure(6.4, 4.0)
    axes = figure.subplots()
    most = 0
    for index, (label, by_size) in enumerate(curves.items()):
        counts = {len(accuracies) for accuracies in by_size.values()}
        if len(counts) != 1 or 0 in counts:
            raise ValueError(expected("curves", f"equally many seeds for each size of {label!r}", sorted(counts)))
        sizes = sorted(by_size)
        accuracies = torch.tensor([by_size[each] for each in sizes], dtype=torch.float64).T
        if not ((accuracies >= 0) & (accuracies <= 1)).all():
            raise ValueError(expected("curves", f"accuracies in [0, 1] for {label!r}", "others"))
        style.line_over_seeds(axes, index, sizes, 100 * accuracies, label)
        most = max(most, *counts)
    every = sorted({each for by_size in curves.values() for each in by_size})
    style.say_seeds(figure, most)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xticks(every, [str(each) for each in every])
    axes.minorticks_off()
    axes.set(xlabel=size, ylabel="test accuracy (%)")
    axes.legend(frameon=False, loc="best")
    style.horizontal_grid(axes)
    style.plain_axes(axes)
    style.write(figure, path)
