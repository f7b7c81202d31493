"""The pictures of a comparison with VOWEL: what circuits emit, and accuracy over the number of hidden circuits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from snntorch_binary._files import read_json, write_json
from snntorch_binary.lightning.compare import Run, load_module, train_all
from snntorch_binary.lightning.progress import ComparisonProgress
from snntorch_binary.lightning.recipes import VOWEL_RULES
from snntorch_binary.lightning.report import label_of, report
from snntorch_binary.lightning.settings import Settings
from snntorch_binary.lightning.vowel import VOWEL
from snntorch_binary.plots import size_curve, symbol_raster


@torch.no_grad()
def draw_circuits(settings: Settings, runs: list[Run], out: Path, console: Console) -> None:
    """Write symbols.png: what the circuits of the first run emit at the first test example, outputs on top."""
    run = min((run for run in runs if run.rule in VOWEL_RULES), key=lambda run: VOWEL_RULES.index(run.rule))
    module, splits = load_module(settings, run)
    assert isinstance(module, VOWEL)
    x = module.symbols(splits.test.__getitems__([0])[0])
    emitted = []
    for step in module.rule.net.steps(x, seed=0):
        groups = (step.outputs,) if step.hidden is None else (step.hidden, step.outputs)
        emitted.append(torch.cat([group.symbols[0] for group in groups]))
    symbol_raster(torch.stack(emitted), out / "symbols.png")
    console.print(f"Written to {out}: symbols.png", highlight=False, markup=False, soft_wrap=True)


def folder_of_size(out: Path, hidden: int) -> Path:
    """Return where the comparison at one size goes."""
    return out / f"hidden-{hidden}"


def compare_sizes(several: Sequence[Settings], out: Path, console: Console) -> None:
    """Make one comparison after another, and a picture of all."""
    for settings in several:
        assert settings.hidden is not None
        folder = folder_of_size(out, settings.hidden)
        num_runs = len(settings.rules) * len(settings.seeds) * (settings.folds or 1)
        progress = ComparisonProgress(console, num_runs, settings.epochs or settings.recipe.epochs)
        report(settings, train_all(settings, folder, progress), folder, console)
    report_sizes([settings.hidden for settings in several if settings.hidden is not None], out, console)


def report_sizes(sizes: Sequence[int], out: Path, console: Console) -> None:
    """Join the results of comparisons at several sizes: results.json and, of ensembles where there are, sizes.png."""
    rows: list[dict[str, Any]] = []
    for hidden in sizes:
        rows += read_json(folder_of_size(out, hidden) / "results.json")
    write_json(out / "results.json", rows)
    curves: dict[str, dict[int, list[float]]] = {}
    for row in rows:
        if row["prediction"] != "ensemble" and row["rule"] not in ("full-precision", "st"):
            continue
        by_size = curves.setdefault(label_of((row["rule"], row["prediction"])), {})
        by_size.setdefault(row["hidden"], []).append(row["accuracy"])
    size_curve(curves, out / "sizes.png")
    console.print(f"Written to {out}: results.json, sizes.png", highlight=False, markup=False, soft_wrap=True)
