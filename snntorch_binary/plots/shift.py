"""Accuracy, NLL and ECE over the strength of corruptions."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.plots import style

_ROWS = {"accuracy": "accuracy (%)", "nll": "NLL (nats)", "ece": "ECE (%)"}


@dataclass(frozen=True)
class ShiftPanel:
    """One corruption, a column of the picture.

    Attributes:
        title: its name.
        unit: what a strength says.
        strengths: n of them, in any order.
        curves: for each label the scores ``"accuracy"`` and ``"ece"`` in [0, 1] and ``"nll"`` in nats, each
            [num_seeds, n].
    """

    title: str
    unit: str
    strengths: Sequence[float]
    curves: Mapping[str, Mapping[str, Tensor]]


def shift_curves(panels: Sequence[ShiftPanel], path: str | os.PathLike[str]) -> None:
    """Draw accuracy, NLL and ECE over the strength of corruptions, the mean over seeds in a band from worst to best.

    Args:
        panels: a column each, with the same labels.
        path: the file to write; its suffix is the format.

    Raises:
        MissingPackageError: matplotlib is not installed.
        ValueError: nothing to draw, panels with other labels, or scores of another number of strengths.
        OSError: the file cannot be written.
    """
    _check(panels)
    figure = style.make_figure(2.1 * len(panels) + 1.0, 7.0)
    axes_of = figure.subplots(len(_ROWS), len(panels), squeeze=False, sharey="row", sharex="col")
    for column, panel in enumerate(panels):
        order = sorted(range(len(panel.strengths)), key=lambda place, of=panel: of.strengths[place])  # type: ignore[misc]  # bound now
        strengths = [panel.strengths[place] for place in order]
        for axes, name in zip(axes_of[:, column], _ROWS, strict=True):
            factor = 1 if name == "nll" else 100
            for index, (label, scores) in enumerate(panel.curves.items()):
                style.line_over_seeds(axes, index, strengths, factor * scores[name][:, order], label)
            style.horizontal_grid(axes)
            style.plain_axes(axes)
        axes_of[0, column].set_title(panel.title, fontsize=12)
        axes_of[-1, column].set_xlabel(textwrap.fill(panel.unit, 24), fontsize=9)
    for axes, title in zip(axes_of[:, 0], _ROWS.values(), strict=True):
        axes.set_ylabel(title)
    axes_of[1, 0].set_yscale("log")
    style.say_seeds(figure, max(len(scores["accuracy"]) for scores in panels[0].curves.values()))
    style.legend_below(figure, axes_of[0, 0], columns=max(2, min(6, 2 * len(panels))))
    style.write(figure, path)


def _check(panels: Sequence[ShiftPanel]) -> None:
    if not panels or not panels[0].curves:
        raise ValueError(expected("panels", "at least one with a curve", "none"))
    for panel in panels:
        if panel.curves.keys() != panels[0].curves.keys():
            labels = ", ".join(panels[0].curves)
            raise ValueError(expected("panels", f"all with the labels {labels}", ", ".join(panel.curves) or "none"))
        for label, scores in panel.curves.items():
            for name in _ROWS:
                shape = list(scores[name].shape) if name in scores else "nothing"
                if name not in scores or scores[name].dim() != 2 or scores[name].shape[1] != len(panel.strengths):
                    what = f"with {name} [num_seeds, {len(panel.strengths)}] of {label!r} in {panel.title!r}"
                    raise ValueError(expected("panels", what, shape))
