"""The tables of `compare --shift`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from rich import box
from rich.table import Table
from torch import Tensor

from snntorch_binary.data.corruptions import Corruption
from snntorch_binary.experiments.compare.predictors import Predictor
from snntorch_binary.experiments.compare.shift.rows import CLEAN, SCORES, Lead, Scored


def tables_of(
    name: str,
    corruptions: Sequence[Corruption],
    clean: Scored,
    by_name: Mapping[str, Scored],
    leads: Mapping[str, Sequence[Lead]],
) -> list[Table]:
    """Return the tables: by corruption, over all corruptions, and how far posteriors are ahead.

    Args:
        name: of the experiment.
        corruptions: the corruptions.
        clean: scores of the clean test part.
        by_name: scores under each corruption.
        leads: by the name of a corruption, or of a mean over several.
    """
    found = [_by_corruption(name, corruptions, clean, by_name), _by_predictor(name, list(clean.scores), by_name)]
    if any(leads.values()):
        titles = {CLEAN: "clean", **{one.name: one.title for one in corruptions}}
        found.append(_of_leads(name, {titles.get(key, key): of for key, of in leads.items()}))
    return found


def _table(title: str, caption: str) -> Table:
    """Return a table of narrow columns: six predictions side by side are to fit a terminal of 80 columns."""
    return Table(
        title=title, caption=caption, title_justify="left", caption_justify="left", box=box.SIMPLE, pad_edge=False
    )


def _by_corruption(name: str, corruptions: Sequence[Corruption], clean: Scored, by_name: Mapping[str, Scored]) -> Table:
    table = _table(f"{name}, degraded test part", "accuracy (%), and below NLL: mean over seeds and strengths")
    predictors = [predictor for predictor in clean.scores if not predictor.scaled]
    table.add_column("corruption")
    for predictor in predictors:
        table.add_column(predictor.label.replace("-", "-\n").replace(" ", "\n", 1), justify="right", no_wrap=True)
    kinds = ["clean", *(one.kind for one in corruptions), None]
    titles = ["clean", *(one.title for one in corruptions)]
    for place, (title, scored) in enumerate(zip(titles, [clean, *by_name.values()], strict=True)):
        cells = (
            f"{100 * scored.scores[predictor]['accuracy'].mean():.1f}\n{_short(scored.scores[predictor]['nll'])}"
            for predictor in predictors
        )
        table.add_row(title, *cells, end_section=kinds[place] != kinds[place + 1])
    return table


def _by_predictor(name: str, predictors: Sequence[Predictor], by_name: Mapping[str, Scored]) -> Table:
    caption = (
        "all but NLL in %, mean over seeds, corruptions and strengths, and the worst\n"
        "scaled: by a temperature fitted on clean validation data\n"
        "x: the networks of so many seeds together\n"
        "rejection: mean accuracy when ever more of the least sure answers are rejected\n"
        "AUROC: how well entropy tells degraded inputs from clean ones"
    )
    table = _table(f"{name}, all corruptions", caption)
    table.add_column("prediction")
    for heading in ("accuracy", "worst", "NLL", "worst", "ECE", "rejection", "AUROC"):
        table.add_column(heading, justify="right")
    for place, predictor in enumerate(predictors):
        of = {name: torch.cat([each.scores[predictor][name].mean(0) for each in by_name.values()]) for name in SCORES}
        table.add_row(
            predictor.label,
            f"{100 * of['accuracy'].mean():.2f}",
            f"{100 * of['accuracy'].amin():.1f}",
            f"{of['nll'].mean():.3f}",
            f"{of['nll'].amax():.2f}",
            *(f"{100 * of[name].mean():.2f}" for name in ("ece", "rejection_area", "ood_auroc")),
            end_section=predictor.rule != predictors[min(place + 1, len(predictors) - 1)].rule,
        )
    return table


def _of_leads(name: str, leads: Mapping[str, Sequence[Lead]]) -> Table:
    predictors = list(dict.fromkeys(lead.predictor for of in leads.values() for lead in of))
    caption = (
        "difference in the mean over strengths; 95 % interval: paired bootstrap over examples and seeds; the best of "
        "its opponents, of one draw those of its bits, by these very answers, which favours them"
    )
    table = _table(f"{name}: each posterior against the best of its opponents", caption)
    for heading in ("corruption", "prediction", "accuracy (%)", "NLL"):
        table.add_column(heading)
    for title, of in leads.items():
        for predictor in predictors:
            table.add_row(title, predictor.label, *(_said(lead) for lead in of if lead.predictor == predictor))
    return table


def _said(lead: Lead) -> str:
    factor, decimals = (100, 2) if lead.score == "accuracy" else (1, 3)
    of = lead.difference
    middle, low, high = (f"{factor * value:+.{decimals}f}" for value in (of.difference, of.low, of.high))
    place = {"ahead": "ahead of", "level": "level with", "behind": "behind"}[lead.verdict]
    return f"{place} {lead.opponent.label}\n{middle} ({low} to {high})"


def _short(values: Tensor) -> str:
    """Return a mean with three digits, none before the point where it is 0.

    >>> _short(torch.tensor([0.1234])), _short(torch.tensor([2.345]))
    ('.123', '2.35')
    """
    mean = float(values.mean())
    return f"{mean:.3f}".removeprefix("0") if mean < 0.9995 else f"{mean:.2f}"
