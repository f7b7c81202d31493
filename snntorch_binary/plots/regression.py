"""Predictive band: the mean and spread of a regression inside and outside of the training range."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.metrics.checks import check_finite
from snntorch_binary.plots import style


def predictive_band(
    results: Mapping[str, tuple[Tensor, Tensor]],
    inputs: Tensor,
    truth: Tensor,
    train_inputs: Tensor,
    train_targets: Tensor,
    path: str | os.PathLike[str],
    *,
    intervals: Sequence[tuple[float, float]] = (),
) -> None:
    """Draw the predictive mean in a band of two standard deviations, one panel for each predictor.

    Args:
        results: for each label (the panel's title) the predictive mean [N] and standard deviation [N] at the
            inputs; a standard deviation of 0 draws no band.
        inputs: [N], sorted.
        truth: [N], the true function there.
        train_inputs: [M], drawn as dots with their targets.
        train_targets: [M].
        path: the file to write; its suffix is the format.
        intervals: (start, end) of the ranges that training points come from, shaded.

    Raises:
        MissingPackageError: matplotlib is not installed.
        TypeError: an argument is no floating-point tensor.
        ValueError: nothing to draw, or a shape or a value is out of range.
        OSError: the file cannot be written.
    """
    if not results:
        raise ValueError(expected("results", "at least one predictor", "none"))
    inputs, train_inputs = check_finite("inputs", inputs, "[N]"), check_finite("train_inputs", train_inputs, "[M]")
    truth = _check_like("truth", truth, inputs)
    train_targets = _check_like("train_targets", train_targets, train_inputs)
    if (inputs.diff() < 0).any():
        raise ValueError(expected("inputs", "sorted", "values out of order"))
    checked = {
        label: (_check_like("results", mean, inputs), _check_like("results", std, inputs))
        for label, (mean, std) in results.items()
    }
    figure = style.make_figure(3.2 * len(checked) + 0.4, 3.4)
    panels = figure.subplots(1, len(checked), squeeze=False, sharex=True, sharey=True)[0]
    for axes, (label, (mean, std)) in zip(panels, checked.items(), strict=True):
        for index, (start, end) in enumerate(intervals):
            axes.axvspan(start, end, color="#EEEEEE", linewidth=0, label=None if index else "training range")
        low, high = ((mean + sign * 2 * std).numpy() for sign in (-1, 1))
        style.band(axes, 0, inputs, low, high, "± 2 standard deviations")
        style.line(axes, 0, inputs, mean, "predictive mean")
        axes.plot(inputs, truth, color="black", linestyle="--", linewidth=1.2, label="true function")
        dots = {"s": 12, "color": style.COLOURS[1], "edgecolor": "white", "linewidth": 0.5, "zorder": 3}
        axes.scatter(train_inputs, train_targets, **dots, label="training points")
        axes.set_title(label, fontsize=12)
        axes.set(xlabel="input", xlim=(inputs[0].item(), inputs[-1].item()))
        style.plain_axes(axes)
    panels[0].set_ylabel("output")
    style.legend_below(figure, panels[0], columns=3 if len(panels) < 3 else 5)
    style.write(figure, path)


def _check_like(name: str, values: Tensor, like: Tensor) -> Tensor:
    values = check_finite(name, values, "[N]")
    if values.shape != like.shape:
        raise ValueError(expected(name, f"of shape {list(like.shape)}", list(values.shape)))
    return values
