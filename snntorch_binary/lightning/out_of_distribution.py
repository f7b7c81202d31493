"""`compare --ood`: how well the uncertainty of each rule tells another data set from its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from snntorch_binary._errors import expected
from snntorch_binary._files import write_json
from snntorch_binary._text import mean_and_spread
from snntorch_binary.data import SpikeDataset, Splits, describe, load
from snntorch_binary.lightning.compare import Run, in_batches, load_data, load_module
from snntorch_binary.lightning.report import label_of
from snntorch_binary.lightning.settings import Settings
from snntorch_binary.lightning.spiking_module import SpikingModule
from snntorch_binary.metrics import Difference, Uncertainty, ood_scores, paired_auroc_difference, uncertainty_scores
from snntorch_binary.plots import ood_histogram

Scored = dict[tuple[str, str], dict[int, tuple[Uncertainty, Uncertainty]]]
"""Uncertainty in and out of distribution by (rule, prediction) and seed."""


def check_ood(settings: Settings, other: str) -> None:
    """Say before anything is trained why another data set cannot be answered.

    Raises:
        ValueError: it is unknown or has inputs of another shape, or this set is cross-validated or a regression.
        DataNotFoundError: its files are not where they should be.
    """
    if settings.folds or settings.regression:
        raise ValueError(expected("--ood", "left out where a set is cross-validated or a regression", repr(other)))
    splits = load_data(settings, settings.seeds[0], 0).splits
    assert splits is not None
    shape = tuple(_outside(settings, other, splits)[0][0].shape[1:])
    if not _can_fit(shape, splits.input_shape):
        what = f"a data set with inputs of shape {splits.input_shape}, as {settings.dataset} has"
        raise ValueError(expected("--ood", what, f"{other} with {shape}"))


def _can_fit(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Say whether inputs are of the wanted shape, or frames of an event camera that can be cut or padded to it."""
    return shape == wanted or (len(shape) == len(wanted) == 3 and shape[0] == wanted[0])


def fit_frame(x: Tensor, height: int, width: int) -> Tensor:
    """Return frames [..., H, W] cut, or padded with zeros, to another size around their middle."""
    for dim, size in ((-2, height), (-1, width)):
        spare = size - x.shape[dim]
        before = spare // 2 if spare > 0 else -((-spare) // 2)
        pads = [0, 0, before, spare - before] if dim == -2 else [before, spare - before]
        x = F.pad(x, pads)  # a negative pad cuts
    return x


def _outside(settings: Settings, other: str, splits: Splits) -> SpikeDataset:
    one_symbol = settings.vowel and describe(other).polarities
    return load(
        other, settings.data_dir, num_steps=splits.num_steps, download=settings.download, one_symbol=one_symbol
    ).test


def report_ood(settings: Settings, other: str, runs: list[Run], out: Path, console: Console) -> None:
    """Answer another data set with the trained networks; print the table, write ood.json and ood.png.

    The other set's test part is encoded as its own reader does, with as many time steps; frames of an event camera
    of another size are cut or padded around their middle.
    """
    scored = _score(settings, other, runs)
    rows = _rows(settings, other, scored)
    compared = _differences(scored)
    write_json(out / "ood.json", {"rows": rows, "auroc_differences": {k: vars(v) for k, v in compared.items()}})
    ood_histogram(
        {
            label_of(key): tuple(  # type: ignore[misc]
                torch.cat([pair[place].predictive_entropy for pair in by_seed.values()]) for place in (0, 1)
            )
            for key, by_seed in scored.items()
        },
        out / "ood.png",
    )
    console.print()
    console.print(_table(settings, other, rows, compared))
    console.print(f"Written to {out}: ood.json, ood.png", highlight=False, markup=False, soft_wrap=True)


@torch.no_grad()
def _score(settings: Settings, other: str, runs: list[Run]) -> Scored:
    scored: Scored = {}
    for run in runs:
        module, splits = load_module(settings, run)
        outside = _outside(settings, other, splits)
        for name in module.predictions:
            scored.setdefault((run.rule, name), {})
        for name, pair in _uncertain(module, splits.test, outside, splits.input_shape).items():
            scored[(run.rule, name)][run.seed] = pair
    return scored


def _uncertain(
    module: SpikingModule, inside: SpikeDataset, outside: SpikeDataset, shape: tuple[int, ...]
) -> dict[str, tuple[Uncertainty, Uncertainty]]:
    found: dict[str, list[Uncertainty]] = {}
    for dataset in (inside, outside):
        parts: dict[str, list[Tensor]] = {}
        for x, _ in in_batches(dataset):
            if tuple(x.shape[2:]) != shape:
                x = fit_frame(x, *shape[-2:])
            for name, scores in module.scores(x, final=True).items():
                parts.setdefault(name, []).append(scores.softmax(-1))
        for name, samples in parts.items():
            found.setdefault(name, []).append(uncertainty_scores(torch.cat(samples, 1)))
    return {name: (pair[0], pair[1]) for name, pair in found.items()}


def _rows(settings: Settings, other: str, scored: Scored) -> list[dict[str, Any]]:
    rows = []
    for (rule, prediction), by_seed in scored.items():
        for seed, (inside, outside) in by_seed.items():
            for score in Uncertainty._fields:
                if score == "mutual_information" and prediction != "ensemble":
                    continue
                found = ood_scores(getattr(inside, score), getattr(outside, score))
                rows.append(
                    {
                        "dataset": settings.dataset,
                        "ood": other,
                        "rule": rule,
                        "credit": settings.credit,
                        "prediction": prediction,
                        "seed": seed,
                        "score": score,
                        "auroc": found.auroc,
                        "fpr95": found.fpr95,
                    }
                )
    return rows


def _differences(scored: Scored) -> dict[str, Difference]:
    """Return paired differences in the AUROC of predictive entropy."""

    def entropies(key: tuple[str, str]) -> tuple[Tensor, Tensor]:
        pairs = [(a.predictive_entropy, b.predictive_entropy) for a, b in scored[key].values()]
        return torch.stack([a for a, _ in pairs]), torch.stack([b for _, b in pairs])

    ensemble, others = ("bayes", "ensemble"), [("full-precision", "single"), ("st", "single")]
    return {
        f"{label_of(ensemble)} - {label_of(key)}": paired_auroc_difference(entropies(ensemble), entropies(key))
        for key in others
        if key in scored and ensemble in scored
    }


def _table(settings: Settings, other: str, rows: list[dict[str, Any]], compared: Mapping[str, Difference]) -> Table:
    lines = [
        f"{pair}: AUROC {100 * d.difference:+.2f} ({100 * d.low:+.2f} to {100 * d.high:+.2f})"
        for pair, d in compared.items()
    ]
    caption = "mean ± standard deviation over seeds; " + "; ".join([*lines, "95 % paired bootstrap"])
    table = Table(title=f"{settings.dataset} against {other}", caption=caption, caption_justify="left")
    for heading in ("rule", "score"):
        table.add_column(heading)
    for heading in ("AUROC (%)", "FPR95 (%)"):
        table.add_column(heading, justify="right")
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((label_of((row["rule"], row["prediction"])), row["score"]), []).append(row)
    for (label, score), group in groups.items():
        table.add_row(
            label, score.replace("_", " "), *(_mean([row[name] for row in group]) for name in ("auroc", "fpr95"))
        )
    return table


def _mean(values: list[float]) -> str:
    return mean_and_spread([100 * value for value in values], 2)
