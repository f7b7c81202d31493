"""`compare --shift`: accuracy and calibration of each rule on a test part that a failing sensor has degraded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary._files import write_json
from snntorch_binary.data.corruptions import Corruption
from snntorch_binary.data.corruptions.corruption import KINDS
from snntorch_binary.experiments.compare.comparison import Comparison
from snntorch_binary.experiments.compare.shift.answers import answer_all, kept
from snntorch_binary.experiments.compare.shift.inputs import chosen, corruptions_of
from snntorch_binary.experiments.compare.shift.lines import Line, Lines
from snntorch_binary.experiments.compare.shift.rows import CLEAN, Lead, Scored, leads, rows_of, score
from snntorch_binary.experiments.data import ShippedData
from snntorch_binary.experiments.experiment import Experiment
from snntorch_binary.plots import ShiftPanel, shift_curves

Shift = bool | Sequence[str]
"""Whether to degrade, or by which corruptions."""


def check_shift(experiment: Experiment, shift: Shift) -> tuple[Corruption, ...]:
    """Return the corruptions that are meant, or say before anything is trained why there are none.

    Raises:
        ValueError: the set is a regression or of your own; or a corruption is unknown or has no meaning for it.
    """
    source = experiment.data
    data = experiment.load(experiment.seeds[0])
    if data.regression or not isinstance(source, ShippedData) or data.splits is None:
        raise ValueError(expected("--shift", "left out where a set is a regression or of your own", "it given"))
    return corruptions_of(source, data.splits.test, () if isinstance(shift, bool) else shift)


def report_shift(comparison: Comparison, corruptions: Sequence[Corruption]) -> None:
    """Answer the degraded test part with the trained networks; print tables, write shift.json and pictures.

    Nothing is trained. What was answered before is kept in the folders of the runs.
    """
    answer_all(comparison, corruptions)
    lines = Lines(comparison.runs)
    first = [run for run in comparison.runs if (run.rule, run.seed) == _first(comparison)]
    labels = torch.cat([run.labels[chosen(len(run.labels))] for run in sorted(first, key=lambda run: run.fold)])
    clean_answers = lines.of(lambda run: {name: of[chosen(len(of))][None] for name, of in run.probabilities.items()})
    clean = score(clean_answers, labels, (0.0,))
    by_name: dict[str, Scored] = {}
    rows = rows_of(comparison, CLEAN, clean, lines.seeds)
    for one in corruptions:
        found = {run.folder: kept(comparison.files(run), run, one) or {} for run in comparison.runs}
        degraded = lines.of(lambda run, of=found: of[run.folder])  # type: ignore[misc]  # bound now
        by_name[one.name] = score(degraded, labels, one.strengths, clean_answers)
        rows += rows_of(comparison, one.name, by_name[one.name], lines.seeds)
    compared = {name: leads(scored.means) for name, scored in {CLEAN: clean, **by_name}.items()}
    pictures = []
    for kind in KINDS:
        of_kind = [one for one in corruptions if one.kind == kind]
        if of_kind:
            compared[f"all of {kind}"] = leads(_mean_over([by_name[one.name].means for one in of_kind]))
            pictures.append(f"shift-{kind}.png")
            shift_curves([_panel(one, clean, by_name[one.name]) for one in of_kind], comparison.out / pictures[-1])
    values = {
        "num_examples": len(labels),
        "rows": rows,
        "leads": [_plain(name, lead) for name, of_name in compared.items() for lead in of_name],
    }
    write_json(comparison.out / "shift.json", values)
    for table in _tables(comparison, corruptions, clean, by_name, compared):
        comparison.console.print()
        comparison.console.print(table)
    comparison.written("shift.json", *pictures)


def _first(comparison: Comparison) -> tuple[str, int]:
    return comparison.runs[0].rule, comparison.runs[0].seed


def _mean_over(means: Sequence[Mapping[Line, Mapping[str, Tensor]]]) -> dict[Line, dict[str, Tensor]]:
    """Return the scores of each example, the mean over corruptions."""
    return {
        line: {name: torch.stack([of[line][name] for of in means]).mean(0) for name in by_name}
        for line, by_name in means[0].items()
    }


def _panel(one: Corruption, clean: Scored, scored: Scored) -> ShiftPanel:
    """Return what a picture shows of one corruption: the lines that are not scaled, the clean input at strength 0."""
    curves = {
        line.name: {name: torch.cat([clean.scores[line][name], scores[name]], 1) for name in ("accuracy", "nll", "ece")}
        for line, scores in scored.scores.items()
        if not line.scaled
    }
    return ShiftPanel(one.title, one.unit, (0.0, *one.strengths), curves)


def _plain(corruption: str, lead: Lead) -> dict[str, Any]:
    of = lead.difference
    return {
        "corruption": corruption,
        "score": lead.score,
        "ensemble": lead.ensemble.name,
        "opponent": lead.opponent.name,
        "difference": of.difference,
        "low": of.low,
        "high": of.high,
        "ensemble_is": lead.verdict,
    }


# ---- tables ----------------------------------------------------------------------------------------------------------


def _tables(
    comparison: Comparison,
    corruptions: Sequence[Corruption],
    clean: Scored,
    by_name: Mapping[str, Scored],
    compared: Mapping[str, Sequence[Lead]],
) -> list[Table]:
    name = comparison.experiment.name
    tables = [_by_corruption(name, corruptions, clean, by_name), _by_line(name, clean, by_name)]
    if any(compared.values()):
        titles = {CLEAN: "clean", **{one.name: one.title for one in corruptions}}
        tables.append(_of_leads(name, {titles.get(key, key): of for key, of in compared.items()}))
    return tables


def _by_corruption(name: str, corruptions: Sequence[Corruption], clean: Scored, by_name: Mapping[str, Scored]) -> Table:
    caption = "accuracy (%) / NLL, mean over seeds and five strengths; the clean test part first"
    table = Table(title=f"{name}, degraded", caption=caption, caption_justify="left")
    lines = [line for line in clean.scores if not line.scaled]
    table.add_column("corruption")
    for line in lines:
        table.add_column(line.name, justify="right")
    sections = [("clean", clean, True)]
    for place, one in enumerate(corruptions):
        ends = place + 1 == len(corruptions) or corruptions[place + 1].kind != one.kind
        sections.append((one.title, by_name[one.name], ends))
    for title, scored, ends in sections:
        cells = [
            f"{100 * scored.scores[line]['accuracy'].mean():.1f} / {_short(scored.scores[line]['nll'])}"
            for line in lines
        ]
        table.add_row(title, *cells, end_section=ends)
    return table


def _by_line(name: str, clean: Scored, by_name: Mapping[str, Scored]) -> Table:
    caption = (
        "mean over seeds, corruptions and strengths; worst: of all corruptions and strengths; scaled: by a temperature "
        "fitted on\nclean validation data; rejection: mean accuracy of what is left when the least sure answers are "
        "rejected;\nAUROC: how well entropy tells degraded inputs from clean ones"
    )
    table = Table(title=f"{name}, all corruptions", caption=caption, caption_justify="left")
    table.add_column("prediction")
    headings = ("accuracy (%)", "worst", "NLL", "worst", "ECE (%)", "rejection (%)", "AUROC (%)")
    for heading in headings:
        table.add_column(heading, justify="right")
    for line in clean.scores:
        of_line = {
            name: torch.cat([scored.scores[line][name].mean(0) for scored in by_name.values()])
            for name in ("accuracy", "nll", "ece", "rejection_area", "ood_auroc")
        }
        table.add_row(
            line.name,
            f"{100 * of_line['accuracy'].mean():.2f}",
            f"{100 * of_line['accuracy'].amin():.1f}",
            f"{of_line['nll'].mean():.3f}",
            f"{of_line['nll'].amax():.2f}",
            *(f"{100 * of_line[name].mean():.2f}" for name in ("ece", "rejection_area", "ood_auroc")),
            end_section=line.scaled and line.together == 1 and _last_of_rule(line, list(clean.scores)),
        )
    return table


def _last_of_rule(line: Line, lines: Sequence[Line]) -> bool:
    return line == [other for other in lines if other.rule == line.rule][-1]


def _of_leads(name: str, compared: Mapping[str, Sequence[Lead]]) -> Table:
    caption = "mean over strengths; 95 % paired bootstrap over examples and seeds, against the best of all opponents"
    table = Table(title=f"{name}: ensemble - its best opponent", caption=caption, caption_justify="left")
    several = len({lead.ensemble for of in compared.values() for lead in of}) > 1
    for heading in ("corruption", *(["ensemble"] if several else []), "score"):
        table.add_column(heading)
    table.add_column("difference", justify="right")
    for heading in ("against", "ensemble is"):
        table.add_column(heading)
    for title, of in compared.items():
        for place, lead in enumerate(of):
            factor, decimals, unit = (100, 2, "accuracy (%)") if lead.score == "accuracy" else (1, 3, "NLL")
            low, middle, high = (
                f"{factor * value:+.{decimals}f}"
                for value in (lead.difference.low, lead.difference.difference, lead.difference.high)
            )
            who = [lead.ensemble.name] if several else []
            cells = (*who, unit, f"{middle} ({low} to {high})", lead.opponent.name, lead.verdict)
            table.add_row(title if place == 0 else "", *cells, end_section=place + 1 == len(of))
    return table


def _short(values: Tensor) -> str:
    """Return a mean with three digits, none before the point where it is 0.

    >>> _short(torch.tensor([0.1234])), _short(torch.tensor([2.345]))
    ('.123', '2.35')
    """
    mean = float(values.mean())
    return f"{mean:.3f}".removeprefix("0") if mean < 0.9995 else f"{mean:.2f}"
