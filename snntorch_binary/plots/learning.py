"""Learning curve: a validation score over epochs."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.plots import style


def learning_curve(
    curves: Mapping[str, Sequence[tuple[Sequence[int], Sequence[float]]]],
    path: str | os.PathLike[str],
    *,
    score: str = "accuracy",
) -> None:
    """Draw a validation score over epochs, the mean over seeds in a band from worst to best seed.

    Args:
        curves: for each label a list with one (epochs, validation scores) for each seed; drawn over the epochs that
            all its seeds have.
        path: the file to write; its suffix is the format.
        score: what the score is called. ``"accuracy"`` is a fraction and drawn in per cent, any other (``"RMSE"``) as
            it is.

    Raises:
        MissingPackageError: matplotlib is not installed.
        ValueError: nothing to draw, a length mismatch, an accuracy outside [0, 1], or a score that is not finite.
        OSError: the file cannot be written.
    """
    if not curves:
        raise ValueError(expected("curves", "at least one curve", "none"))
    percent = score == "accuracy"
    figure = style.make_figure(6.4, 4.0)
    axes = figure.subplots()
    for index, (label, seeds) in enumerate(curves.items()):
        epochs, scores = _common_epochs(label, seeds, percent)
        style.line_over_seeds(axes, index, epochs, 100 * scores if percent else scores, label)
    style.say_seeds(figure, max(len(seeds) for seeds in curves.values()))
    axes.set(xlabel="epoch", ylabel=f"validation {score}" + (" (%)" if percent else ""))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, loc="best")
    style.horizontal_grid(axes)
    style.plain_axes(axes)
    style.write(figure, path)


def _common_epochs(
    label: str, seeds: Sequence[tuple[Sequence[int], Sequence[float]]], fractions: bool
) -> tuple[list[int], Tensor]:
    """Return the epochs that all seeds have and the scores there, [num_seeds, num_epochs]."""
    by_epoch = []
    for epochs, scores in seeds:
        if len(epochs) != len(scores):
            what = f"as many scores as epochs for {label!r}"
            raise ValueError(expected("curves", what, f"{len(scores)} and {len(epochs)}"))
        wrong = [score for score in scores if not (0 <= score <= 1 if fractions else math.isfinite(score))]
        if wrong:
            what = "accuracies in [0, 1]" if fractions else "finite scores"
            raise ValueError(expected("curves", what, f"{wrong[0]:g} for {label!r}"))
        by_epoch.append(dict(zip(map(int, epochs), map(float, scores), strict=True)))
    common = sorted(set.intersection(*map(set, by_epoch))) if by_epoch else []
    if not common:
        raise ValueError(expected("curves", "an epoch that all seeds have", f"none for {label!r}"))
    return common, torch.tensor([[of_seed[epoch] for epoch in common] for of_seed in by_epoch])
