"""Anytime curve: accuracy and ECE after each time step, and what early exit makes of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import torch

from snntorch_binary._errors import expected
from snntorch_binary.metrics.anytime import EarlyExit
from snntorch_binary.metrics.scores import Scores
from snntorch_binary.plots import style


def anytime_curve(
    curves: Mapping[str, Sequence[Sequence[Scores]]],
    path: str | os.PathLike[str],
    *,
    exits: Mapping[str, Sequence[EarlyExit]] | None = None,
) -> None:
    """Draw accuracy (left) and ECE (right) over elapsed time steps.

    Args:
        curves: for each label what `anytime_scores` returned, one for each seed (of as many time steps).
        path: the file to write; its suffix is the format.
        exits: for some of the labels what `early_exit` returned, drawn as circles at the mean number of time
            steps: above the line is what early exit gains over stopping all inputs at once.

    Raises:
        MissingPackageError: matplotlib is not installed.
        ValueError: nothing to draw, or seeds with different numbers of time steps.
        OSError: the file cannot be written.
    """
    if not curves:
        raise ValueError(expected("curves", "at least one predictor", "none"))
    unknown = [label for label in exits or {} if label not in curves]
    if unknown:
        raise ValueError(expected("exits", f"of {', '.join(curves)}", repr(unknown[0])))
    figure = style.make_figure(8.4, 3.6)
    panels = figure.subplots(1, 2)
    for index, (label, seeds) in enumerate(curves.items()):
        lengths = {len(seed) for seed in seeds}
        if len(lengths) != 1 or 0 in lengths:
            what = f"one or more seeds of equally many time steps for {label!r}"
            raise ValueError(expected("curves", what, sorted(lengths) or "none"))
        steps = range(1, lengths.pop() + 1)
        for axes, name in zip(panels, ("accuracy", "ece"), strict=True):
            values = torch.tensor([[getattr(scores, name) for scores in seed] for seed in seeds])
            style.line_over_seeds(axes, index, steps, 100 * values, label)
            if exits and label in exits:
                mean_steps = [found.mean_steps for found in exits[label]]
                percent = [100 * getattr(found.scores, name) for found in exits[label]]
                circles = {"color": style.colour(index), "markerfacecolor": "white", "label": f"{label}, early exit"}
                axes.plot(mean_steps, percent, "o", **circles)
    for axes, name in zip(panels, ("accuracy (%)", "ECE (%)"), strict=True):
        axes.set(xlabel="time steps", ylabel=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        style.horizontal_grid(axes)
        style.plain_axes(axes)
    style.say_seeds(figure, max(map(len, curves.values())))
    style.legend_below(figure, panels[0], columns=3 if exits else 4)  # names of circles are long
    style.write(figure, path)
