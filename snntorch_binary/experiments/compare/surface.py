"""The picture of two moons: class probability and predictive entropy over the plane."""

from __future__ import annotations

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.data import SpikeDataset
from snntorch_binary.experiments.answers import answers
from snntorch_binary.experiments.compare.comparison import Comparison
from snntorch_binary.experiments.compare.predictors import label_of
from snntorch_binary.experiments.data import in_order
from snntorch_binary.experiments.experiment import Experiment
from snntorch_binary.plots import decision_surface, plane

_RESOLUTION = 60


def check_surface(experiment: Experiment) -> None:
    """Raise the house sentence unless the data are points of a plane."""
    splits, shape = experiment.load(experiment.seeds[0]).splits, plane(_RESOLUTION).shape[1:]
    inputs = None if splits is None else splits.train.inputs
    if not isinstance(inputs, Tensor) or inputs.shape[1:] != shape:
        what = "without 'surface' for data that are no points of a plane"
        raise ValueError(expected("pictures", what, experiment.pictures))


@torch.no_grad()
def draw_surface(comparison: Comparison) -> None:
    """Write surface.png, of the first seed of every rule."""
    results: dict[str, Tensor] = {}
    points, runs = plane(_RESOLUTION), comparison.runs
    train = comparison.experiment.load(runs[0].seed, runs[0].fold).splits.train  # type: ignore[union-attr]  # checked
    labels = torch.zeros(len(points), dtype=torch.int64)
    grid = SpikeDataset(points, labels, num_steps=train.num_steps, encoder=train.encoder, fixed=True)
    for run in (run for run in runs if run.seed == runs[0].seed and run.fold == runs[0].fold):
        module, _ = comparison.load(run)
        found = answers(in_order(grid), lambda x, module=module: module.answers(x, final=True))  # type: ignore[misc]  # mypy infers no default's type
        results |= {label_of((run.rule, name)): found[name] for name in module.predictions}
    assert isinstance(train.inputs, Tensor)
    decision_surface(results, train.inputs, train.labels, comparison.out / "surface.png")
    comparison.written("surface.png")
