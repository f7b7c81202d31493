"""`compare --ood`: how well the uncertainty of each rule tells another data set from its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from snntorch_binary._errors import expected
from snntorch_binary._files import write_json
from snntorch_binary._text import mean_and_spread
from snntorch_binary.data import SpikeDataset, Splits, describe, load
from snntorch_binary.experiments.answers import answers
from snntorch_binary.experiments.compare.comparison import Comparison
from snntorch_binary.experiments.compare.predictors import label_of
from snntorch_binary.experiments.data import ShippedData, in_order
from snntorch_binary.experiments.experiment import Experiment
from snntorch_binary.inference.predictions import class_probabilities
from snntorch_binary.lightning.spiking_module import SpikingModule
from snntorch_binary.metrics import Difference, Uncertainty, ood_scores, paired_auroc_difference, uncertainty_scores
from snntorch_binary.plots import ood_histogram

Scored = dict[tuple[str, str], dict[int, tuple[Uncertainty, Uncertainty]]]
"""Uncertainty in and out of distribution by (rule, prediction) and seed."""


def check_ood(experiment: Experiment, other: str) -> None:
    """Say before anything is trained why another data set cannot be answered.

    Raises:
        ValueError: it is unknown or has inputs of another shape, or this set is cross-validated or a regression.
        DataNotFoundError: its files are not where they should be.
    """
    source = experiment.data
    data = experiment.load(experiment.seeds[0])
    if experiment.num_folds or data.regression or not isinstance(source, ShippedData) or data.splits is None:
        what = "left out where a set is cross-validated, a regression or of your own"
        raise ValueError(expected("--ood", what, repr(other)))
    shape = tuple(_outside(source, other, data.splits)[0][0].shape[1:])
    if not _can_fit(shape, data.input_shape):
        what = f"a data set with inputs of shape {data.input_shape}, as {source.name} has"
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


def _outside(source: ShippedData, other: str, splits: Splits) -> SpikeDataset:
    one_symbol = source.one_symbol and describe(other).polarities
    return load(
        other,
        source.data_dir,
        num_steps=splits.num_steps,
        limit_per_class=source.limit_per_class,
        download=source.download,
        one_symbol=one_symbol,
    ).test


def report_ood(comparison: Comparison, other: str) -> None:
    """Answer another data set with the trained networks; print the table, write ood.json and ood.png.

    The other set's test part is encoded as its own reader does, with as many time steps; frames of an event camera
    of another size are cut or padded around their middle.
    """
    scored = _score(comparison, other)
    rows = _rows(comparison.experiment, other, scored)
    compared = _differences(scored)
    values = {"rows": rows, "auroc_differences": {k: vars(v) for k, v in compared.items()}}
    write_json(comparison.out / "ood.json", values)
    ood_histogram(
        {
            label_of(key): tuple(  # type: ignore[misc]  # two of them
                torch.cat([pair[place].predictive_entropy for pair in by_seed.values()]) for place in (0, 1)
            )
            for key, by_seed in scored.items()
        },
        comparison.out / "ood.png",
    )
    comparison.console.print()
    comparison.console.print(_table(comparison.experiment.name, other, rows, compared))
    comparison.written("ood.json", "ood.png")


@torch.no_grad()
def _score(comparison: Comparison, other: str) -> Scored:
    scored: Scored = {}
    source = comparison.experiment.data
    assert isinstance(source, ShippedData)
    outside: SpikeDataset | None = None
    for run in comparison.runs:
        module, data = comparison.load(run)
        assert data.splits is not None
        outside = outside or _outside(source, other, data.splits)  # of all runs
        for name in module.predictions:
            scored.setdefault((run.rule, name), {})
        for name, pair in _uncertain(module, data.splits.test, outside, data.input_shape).items():
            scored[(run.rule, name)][run.seed] = pair
    return scored


def _uncertain(
    module: SpikingModule, inside: SpikeDataset, outside: SpikeDataset, shape: tuple[int, ...]
) -> dict[str, tuple[Uncertainty, Uncertainty]]:
    def of_members(x: Tensor) -> dict[str, Tensor]:
        x = x if tuple(x.shape[2:]) == shape else fit_frame(x, *shape[-2:])
        return {name: class_probabilities(scores) for name, scores in module.scores(x, final=True).items()}

    both = [answers(in_order(dataset), of_members, dim=1) for dataset in (inside, outside)]
    return {name: (uncertainty_scores(both[0][name]), uncertainty_scores(both[1][name])) for name in module.predictions}


def _rows(experiment: Experiment, other: str, scored: Scored) -> list[dict[str, Any]]:
    rows = []
    for (rule, prediction), by_seed in scored.items():
        for seed, (inside, outside) in by_seed.items():
            for score in Uncertainty._fields:
                if score == "mutual_information" and prediction != "ensemble":
                    continue
                found = ood_scores(getattr(inside, score), getattr(outside, score))
                rows.append(
                    {
                        "dataset": experiment.name,
                        "ood": other,
                        "rule": rule,
                        "credit": experiment.credit,
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


def _table(name: str, other: str, rows: list[dict[str, Any]], compared: Mapping[str, Difference]) -> Table:
    lines = [
        f"{pair}: AUROC {100 * d.difference:+.2f} ({100 * d.low:+.2f} to {100 * d.high:+.2f})"
        for pair, d in compared.items()
    ]
    caption = "mean ± standard deviation over seeds; " + "; ".join([*lines, "95 % paired bootstrap"])
    table = Table(title=f"{name} against {other}", caption=caption, caption_justify="left")
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
