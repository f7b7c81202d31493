"""Accuracy of a federation against what its devices send."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from snntorch_binary.plots import style
from snntorch_binary.plots.accuracies import accuracies_by


def load_curve(
    curves: Mapping[str, Mapping[float, Sequence[float]]],
    path: str | os.PathLike[str],
    *,
    alone: Sequence[float] = (),
    load: str = "sent by a device (kB)",
) -> None:
    """Draw test accuracy against communication load, the mean over seeds in a band from worst to best seed.

    Args:
        curves: for each label, by load, the accuracies in [0, 1] of all seeds; as many for each load.
        path: the file to write; its suffix is the format.
        alone: accuracies of devices that never meet, drawn as a line for all loads.
        load: what the load is.

    Raises:
        MissingPackageError: matplotlib is not installed.
        ValueError: nothing to draw, an accuracy outside [0, 1], or loads with different numbers of seeds.
        OSError: the file cannot be written.
    """
    checked = accuracies_by(curves, "load")
    figure = style.make_figure(6.4, 4.0)
    axes = figure.subplots()
    for index, (label, (loads, values)) in enumerate(checked.items()):
        style.line_over_seeds(axes, index, loads, 100 * values, label)
        axes.plot(loads, 100 * values.mean(0).numpy(), "o", color=style.colour(index), markersize=4)
    if alone:
        mean = 100 * sum(alone) / len(alone)
        axes.axhline(mean, color=style.GREY, linewidth=1, linestyle=":", label="each device alone")
    style.say_seeds(figure, max(len(values) for _, values in checked.values()))
    axes.set(xlabel=load, ylabel="test accuracy (%)")
    axes.set_xscale("log")
    ticks, _ = next(iter(checked.values()))
    axes.set_xticks(ticks, [f"{each:,.0f}" if each >= 10 else f"{each:.2g}" for each in ticks])
    axes.minorticks_off()
    axes.legend(frameon=False, loc="best", fontsize=9)
    style.horizontal_grid(axes)
    style.plain_axes(axes)
    style.write(figure, path)
