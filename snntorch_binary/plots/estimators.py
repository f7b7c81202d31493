"""Bias and spread of gradient estimators against the temperature of their relaxation."""

from __future__ import annotations

import os
from collections.abc import Mapping

from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.metrics.checks import check_finite
from snntorch_binary.plots import style


def estimator_bias(
    temperatures: Tensor, results: Mapping[str, tuple[Tensor, Tensor, Tensor]], path: str | os.PathLike[str]
) -> None:
    """Draw the bias (left) and the standard deviation (right) of gradient estimators against temperature.

    Args:
        temperatures: [n], positive, sorted.
        results: for each label the bias [n] (mean estimate less the exact gradient), its standard error [n], drawn
            as a band two wide to each side (0 where the bias is exact), and the standard deviation [n] of one draw;
            all of shape [1] for an estimator without temperature.
        path: the file to write; its suffix is the format.

    Raises:
        MissingPackageError: matplotlib is not installed.
        TypeError: an argument is no floating-point tensor.
        ValueError: nothing to draw, or a shape or a value is out of range.
        OSError: the file cannot be written.
    """
    if not results:
        raise ValueError(expected("results", "at least one estimator", "none"))
    temperatures = check_finite("temperatures", temperatures, "[n]")
    if temperatures[0] <= 0 or (temperatures.diff() <= 0).any():
        raise ValueError(expected("temperatures", "positive and sorted", temperatures.tolist()))
    figure = style.make_figure(8.4, 3.6)
    left, right = figure.subplots(1, 2)
    left.axhline(0, color="black", linewidth=0.8)
    for index, (label, of_estimator) in enumerate(results.items()):
        bias, error, deviation = (_check_like(label, values, temperatures) for values in of_estimator)
        style.band(left, index, temperatures, bias - 2 * error, bias + 2 * error)
        style.line(left, index, temperatures, bias, label)
        style.line(right, index, temperatures, deviation, label)
    left.set(ylabel="bias of the gradient")
    right.set(ylabel="standard deviation of one draw", yscale="log")
    right.yaxis.get_major_locator().set_params(subs=(1, 2, 5))
    right.yaxis.set_major_formatter("{x:g}")
    right.minorticks_off()
    for axes in (left, right):
        axes.set(xscale="log", xlabel="temperature τ")
        axes.xaxis.set_major_formatter("{x:g}")
        style.horizontal_grid(axes)
        style.plain_axes(axes)
    style.legend_below(figure, left, columns=4)
    style.write(figure, path)


def _check_like(label: str, values: Tensor, temperatures: Tensor) -> Tensor:
    values = check_finite("results", values, "[n]")
    if len(values) not in (1, len(temperatures)):
        what = f"of shape {list(temperatures.shape)} or [1] for {label!r}"
        raise ValueError(expected("results", what, list(values.shape)))
    return values.expand(len(temperatures))
