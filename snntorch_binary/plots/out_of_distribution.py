"""Histogram of an uncertainty score in and out of distribution."""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.metrics.checks import check_finite
from snntorch_binary.metrics.out_of_distribution import ood_scores
from snntorch_binary.plots import style

_NUM_BARS = 30


def ood_histogram(
    results: Mapping[str, tuple[Tensor, Tensor]],
    path: str | os.PathLike[str],
    *,
    score: str = "predictive entropy (nats)",
) -> None:
    """Draw how an uncertainty score is distributed in and out of distribution, one panel for each predictor.

    All panels share the bins. The title holds the AUROC, as `ood_scores` defines it.

    Args:
        results: for each label (the panel's title) the score of inputs in distribution [N] and out of it [M].
        path: the file to write; its suffix is the format.
        score: what the score is called.

    Raises:
        MissingPackageError: matplotlib or torchmetrics is not installed.
        TypeError: an argument is no floating-point tensor.
        ValueError: nothing to draw, or a shape or a value is out of range.
        OSError: the file cannot be written.
    """
    if not results:
        raise ValueError(expected("results", "at least one predictor", "none"))
    checked = {
        label: (check_finite("results", inside, "[N]"), check_finite("results", outside, "[M]"))
        for label, (inside, outside) in results.items()
    }
    low, high = torch.cat([part for parts in checked.values() for part in parts]).aminmax()
    edges = torch.linspace(low.item(), max(high.item(), low.item() + 1e-9), _NUM_BARS + 1).numpy()
    figure = style.make_figure(2.9 * len(checked) + 0.4, 3.0)
    panels = figure.subplots(1, len(checked), squeeze=False, sharex=True, sharey=True)[0]
    for axes, (label, parts) in zip(panels, checked.items(), strict=True):
        for part, name, colour in zip(parts, ("in distribution", "out of distribution"), style.COLOURS, strict=False):
            percent = torch.full_like(part, 100 / len(part))
            shared = {"bins": edges, "weights": percent.numpy(), "color": colour}
            axes.hist(part.numpy(), **shared, histtype="stepfilled", alpha=0.35, label=name)
            axes.hist(part.numpy(), **shared, histtype="step", linewidth=1.4)
        axes.set_title(f"{label}\nAUROC {ood_scores(*parts).auroc:.3f}", fontsize=12)
        axes.set_xlabel(score)
        style.plain_axes(axes)
    panels[0].set_ylabel("inputs (%)")
    style.legend_below(figure, panels[0], columns=2)
    style.write(figure, path)
