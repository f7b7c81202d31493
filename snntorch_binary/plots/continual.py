"""Continual learning: what is left of each task after each task."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.metrics.checks import check_finite
from snntorch_binary.plots import style

_PANELS_PER_ROW = 3


def continual_curve(results: Mapping[str, Tensor], task_names: Sequence[str], path: str | os.PathLike[str]) -> None:
    """Draw the accuracy of each task after each task, one panel for each task and one for the tasks seen so far.

    Args:
        results: for each label accuracies [num_seeds, K, K] as fractions: entry [s, i, j] is that of task j
            after training on tasks 0 to i. Entries with j > i (tasks not yet seen) are not looked at.
        task_names: names of the K tasks, in their order.
        path: the file to write; its suffix is the format.

    Raises:
        MissingPackageError: matplotlib is not installed.
        TypeError: the accuracies are no floating-point tensor.
        ValueError: nothing to draw, or a shape or a value is out of range.
        OSError: the file cannot be written.
    """
    if not results or not task_names:
        raise ValueError(expected("results", "at least one predictor and task", "none"))
    num_tasks = len(task_names)
    checked = {label: _check_accuracies(accuracies, num_tasks) for label, accuracies in results.items()}
    num_panels = num_tasks + 1
    rows = -(-num_panels // _PANELS_PER_ROW)
    columns = min(_PANELS_PER_ROW, num_panels)
    figure = style.make_figure(2.6 * columns + 0.4, 2.1 * rows + 0.5)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    panels = grid.flatten()
    for index, (label, accuracies) in enumerate(checked.items()):
        for task, axes in enumerate(panels[:num_tasks]):
            after = range(task + 1, num_tasks + 1)
            style.line_over_seeds(axes, index, after, 100 * accuracies[:, task:, task], label)
        seen = torch.stack([accuracies[:, task, : task + 1].mean(dim=1) for task in range(num_tasks)], dim=1)
        style.line_over_seeds(panels[num_tasks], index, range(1, num_tasks + 1), 100 * seen, label)
    for axes, name in zip(panels, [*task_names, "mean of tasks seen"], strict=False):
        axes.set_title(name, fontsize=11)
        style.horizontal_grid(axes)
        style.plain_axes(axes)
    _label_outer(grid, num_panels, num_tasks)
    style.say_seeds(figure, max(map(len, checked.values())))
    style.legend_below(figure, panels[0], columns=4)
    style.write(figure, path)


def _check_accuracies(accuracies: Tensor, num_tasks: int) -> Tensor:
    """Return accuracies [S, K, K], 0 where the task is not yet seen."""
    if isinstance(accuracies, Tensor):
        # NaN is what many would put there.
        accuracies = torch.where(torch.ones_like(accuracies).tril() > 0, accuracies, 0.0)
    accuracies = check_finite("results", accuracies, "[S, K, K]")
    if accuracies.shape[1:] != (num_tasks, num_tasks):
        raise ValueError(expected("results", f"of shape [S, {num_tasks}, {num_tasks}]", list(accuracies.shape)))
    if accuracies.min() < 0 or accuracies.max() > 1:
        wrong = accuracies.min() if accuracies.min() < 0 else accuracies.max()
        raise ValueError(expected("results", "accuracies in [0, 1]", f"{wrong.item():g}"))
    return accuracies


def _label_outer(grid: Any, num_panels: int, num_tasks: int) -> None:
    columns = grid.shape[1]
    for number, axes in enumerate(grid.flatten()):
        if number >= num_panels:
            axes.remove()
            continue
        if number % columns == 0:
            axes.set_ylabel("accuracy (%)")
        if number + columns >= num_panels:
            axes.set_xlabel("after task")
            axes.tick_params(labelbottom=True)
        axes.set(ylim=(-3, 103), xticks=range(1, num_tasks + 1))
