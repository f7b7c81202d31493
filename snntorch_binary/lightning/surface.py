"""The picture of two moons: class probability and predictive entropy over the plane."""

from __future__ import annotations

from pathlib import Path

import torch
from rich.console import Console

from snntorch_binary.data import SpikeDataset
from snntorch_binary.lightning.compare import Run, in_batches, load_module
from snntorch_binary.lightning.report import label_of
from snntorch_binary.lightning.settings import Settings
from snntorch_binary.plots import decision_surface, plane

_RESOLUTION = 60


@torch.no_grad()
def draw_surface(settings: Settings, runs: list[Run], out: Path, console: Console) -> None:
    """Write surface.png, of the first seed of every rule."""
    results, points = {}, plane(_RESOLUTION)
    first = [run for run in runs if run.seed == runs[0].seed and run.fold == runs[0].fold]
    for run in first:
        module, splits = load_module(settings, run)
        train = splits.train
        grid = SpikeDataset(
            points,
            torch.zeros(len(points), dtype=torch.int64),
            num_steps=splits.num_steps,
            encoder=train.encoder,
            fixed=True,
        )
        answers = [module.answers(x, final=True) for x, _ in in_batches(grid)]
        for name in module.predictions:
            results[label_of((run.rule, name))] = torch.cat([answer[name] for answer in answers])
    assert isinstance(train.inputs, torch.Tensor)
    decision_surface(results, train.inputs, train.labels, out / "surface.png")
    console.print(f"Written to {out}: surface.png", highlight=False, markup=False, soft_wrap=True)
