"""Rejection curve: accuracy on the answers that are kept."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import torch

from snntorch_binary._errors import expected
from snntorch_binary.metrics.rejection import RejectionCurve
from snntorch_binary.plots import style

# Beyond, the accuracy is one of a handful of examples.
_LARGEST_SHARE = 0.95


def rejection_curve(curves: Mapping[str, Sequence[RejectionCurve]], path: str | os.PathLike[str]) -> None:
    """Draw the accuracy of the retained answers against the rejected share, up to 95 %.

    The legend holds the area under each curve, all of it.

    Args:
        curves: for each label what `retained_accuracy` returned, one for each seed (of as many examples).
        path: the file to write; its suffix is the format.

    Raises:
        MissingPackageError: matplotlib is not installed.
        ValueError: nothing to draw, or seeds with different numbers of examples.
        OSError: the file cannot be written.
    """
    if not curves:
        raise ValueError(expected("curves", "at least one predictor", "none"))
    figure = style.make_figure(6.4, 4.0)
    axes = figure.subplots()
    for index, (label, seeds) in enumerate(curves.items()):
        lengths = {len(seed.rejected) for seed in seeds}
        if len(lengths) != 1:
            what = f"one or more seeds of equally many examples for {label!r}"
            raise ValueError(expected("curves", what, sorted(lengths) or "none"))
        rejected = seeds[0].rejected
        shown = rejected <= _LARGEST_SHARE
        accuracy = torch.stack([seed.accuracy for seed in seeds])[:, shown]
        area = sum(seed.area for seed in seeds) / len(seeds)
        style.line_over_seeds(axes, index, 100 * rejected[shown], 100 * accuracy, f"{label} (area {area:.4f})")
    style.say_seeds(figure, max(map(len, curves.values())))
    axes.set(xlabel="rejected, least sure first (%)", ylabel="accuracy of the others (%)", xlim=(0, 100))
    axes.legend(frameon=False, loc="lower right")
    style.horizontal_grid(axes)
    style.plain_axes(axes)
    style.write(figure, path)
