"""The picture of two moons: class probability and predictive entropy over the plane."""

from __future__ import annotations

import torch

from snntorch_binary._errors import expected
from snntorch_binary.data import SpikeDataset
from snntorch_binary.experiments.answers import answers
from snntorch_binary.experiments.compare.comparison import Comparison
from snntorch_binary.experiments.compare.report import label_of
from snntorch_binary.experiments.data import in_order
from snntorch_binary.plots import decision_surface, plane

_RESOLUTION = 60


@torch.no_grad()
def draw_surface(comparison: Comparison) -> None:
    """Write surface.png, of the first seed of every rule.

    Raises:
        ValueError: the data are no points of a plane.
    """
    results, points, runs = {}, plane(_RESOLUTION), comparison.runs
    for run in (run for run in runs if run.seed == runs[0].seed and run.fold == runs[0].fold):
        module, data = comparison.load(run)
        train = None if data.splits is None else data.splits.train
        if train is None or not isinstance(train.inputs, torch.Tensor) or train.inputs.shape[1:] != points.shape[1:]:
            what = "without 'surface' for data that are no points of a plane"
            raise ValueError(expected("pictures", what, comparison.experiment.pictures))
        labels = torch.zeros(len(points), dtype=torch.int64)
        grid = SpikeDataset(points, labels, num_steps=train.num_steps, encoder=train.encoder, fixed=True)
        found = answers(in_order(grid), lambda x, module=module: module.answers(x, final=True))  # type: ignore[misc]
        results |= {label_of((run.rule, name)): found[name] for name in module.predictions}
    decision_surface(results, train.inputs, train.labels, comparison.out / "surface.png")
    comparison.written("surface.png")
