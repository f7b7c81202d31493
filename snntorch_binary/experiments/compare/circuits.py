"""The picture of a comparison with VOWEL: what circuits emit."""

from __future__ import annotations

import torch

from snntorch_binary.experiments.compare.comparison import Comparison
from snntorch_binary.lightning.vowel import VOWEL
from snntorch_binary.plots import symbol_raster


@torch.no_grad()
def draw_circuits(comparison: Comparison) -> None:
    """Write symbols.png: what the circuits of the first run emit at the first test example, outputs on top.

    Where no rule has circuits there is no such picture.
    """
    places = {rule.name: rule.order for rule in comparison.experiment.rules if rule.sees_symbols}
    if not places:
        return
    run = min((run for run in comparison.runs if run.rule in places), key=lambda run: places[run.rule])
    module, data = comparison.load(run)
    assert isinstance(module, VOWEL)
    first, _ = next(iter(data.test()))
    x = module.symbols(first[:, :1])
    emitted = []
    for step in module.rule.net.steps(x, seed=0):
        groups = (step.outputs,) if step.hidden is None else (step.hidden, step.outputs)
        emitted.append(torch.cat([group.symbols[0] for group in groups]))
    symbol_raster(torch.stack(emitted), comparison.out / "symbols.png")
    comparison.written("symbols.png")
