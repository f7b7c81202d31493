"""Accuracy of a federation over its rounds, or against what was sent."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import torch

from snntorch_binary._errors import expected
from snntorch_binary.plots import style


def rounds_curve(
    curves: Mapping[str, Sequence[tuple[Sequence[float], Sequence[float]]]],
    path: str | os.PathLike[str],
    *,
    x: str = "round",
    logarithmic: bool = False,
) -> None:
    """Draw validation accuracy over rounds or bytes, the mean over seeds in a band from worst to best seed.

    Args:
        curves: for each method a list with one (positions, accuracies in [0, 1]) for each seed, all of one length;
            drawn at the mean of the seeds' positions.
        path: the file to write; its suffix is the format.
        x: what the positions are.
        logarithmic: draw the positions on a logarithmic axis.

    Raises:
        MissingPackageError: matplotlib is not installed.
        ValueError: nothing to draw, lengths that differ, or an accuracy outside [0, 1].
        OSError: the file cannot be written.
    """
    if not curves:
        raise ValueError(expected("curves", "at least one curve", "none"))
    figure = style.make_figure(6.4, 4.0)
    axes = figure.subplots()
    for index, (label, seeds) in enumerate(curves.items()):
        lengths = {len(part) for seed in seeds for part in seed}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(expected("curves", f"of one length, not 0, for {label!r}", sorted(lengths)))
        values = torch.tensor([list(accuracies) for _, accuracies in seeds])
        if not bool(((values >= 0) & (values <= 1)).all()):
            raise ValueError(expected("curves", "accuracies in [0, 1]", f"other values for {label!r}"))
        positions = torch.tensor([list(map(float, at)) for at, _ in seeds]).mean(0)
        style.line_over_seeds(axes, index, positions.tolist(), 100 * values, label)
    style.say_seeds(figure, max(len(seeds) for seeds in curves.values()))
    axes.set(xlabel=x, ylabel="validation accuracy (%)")
    if logarithmic:
        axes.set_xscale("log")
    axes.legend(frameon=False, loc="best", fontsize=9)
    style.horizontal_grid(axes)
    style.plain_axes(axes)
    style.write(figure, path)
