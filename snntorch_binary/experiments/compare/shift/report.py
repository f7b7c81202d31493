"""`compare --shift`: accuracy and calibration of each rule on a test part that a failing sensor has degraded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary._files import write_json
from snntorch_binary.data.corruptions import Corruption
from snntorch_binary.data.corruptions.corruption import KINDS
from snntorch_binary.experiments.compare.comparison import Comparison, Run, files_of
from snntorch_binary.experiments.compare.predictors import Predictor
from snntorch_binary.experiments.compare.shift.answers import answer_all, by_predictor, kept
from snntorch_binary.experiments.compare.shift.inputs import chosen, corruptions_of
from snntorch_binary.experiments.compare.shift.rows import CLEAN, Lead, Scored, bits_of, leads, rows_of, score
from snntorch_binary.experiments.compare.shift.tables import tables_of
from snntorch_binary.experiments.data import ShippedData
from snntorch_binary.experiments.experiment import Experiment
from snntorch_binary.plots import ShiftPanel, shift_curves

Shift = bool | Sequence[str]
"""Whether to degrade, or by which corruptions."""


FEW = ("spikes_lost", "noise_spikes", "dead_pixels", "occlusion")
"""Corruptions of a picture that an experiment names by ``pictures: [shift]``, where they have a meaning."""


_MOST_CURVES = 8  # so many colours there are


def few_corruptions(experiment: Experiment) -> tuple[Corruption, ...]:
    """Return the corruptions of a picture that an experiment names.

    Raises:
        ValueError: the set is a regression or of your own.
    """
    return tuple(one for one in check_shift(experiment, True, "pictures") if one.name in FEW)


def check_shift(experiment: Experiment, shift: Shift, argument: str = "--shift") -> tuple[Corruption, ...]:
    """Return the corruptions that are meant, or say before anything is trained why there are none.

    Raises:
        ValueError: the set is a regression or of your own; or a corruption is unknown or has no meaning for it.
    """
    if isinstance(shift, str) or not isinstance(shift, bool | Sequence):
        raise ValueError(expected("shift", "True, False or a list of names of corruptions", repr(shift)))
    source = experiment.data
    data = experiment.load(experiment.seeds[0])
    if data.regression or not isinstance(source, ShippedData) or data.splits is None:
        what = "left out" if argument == "--shift" else "without shift"
        raise ValueError(expected(argument, f"{what} where a set is a regression or of your own", source.label))
    return corruptions_of(source, data.splits.test, () if isinstance(shift, bool) else shift)


def _predictions(comparison: Comparison, run: Run) -> tuple[str, ...]:
    """Return the predictions of a run that are asked about: those of its network as it is, not in spikes."""
    return tuple(name for name in comparison.experiment.rule(run.rule).predictions if name in run.probabilities)


def report_shift(comparison: Comparison, corruptions: Sequence[Corruption], jobs: int = 1) -> None:
    """Answer the degraded test part with the trained networks; print tables, write shift.json and pictures.

    Nothing is trained. What was answered before is kept in the folders of the runs.

    Args:
        comparison: the comparison.
        corruptions: the corruptions.
        jobs: how many networks answer at once.

    Raises:
        OSError: a file cannot be written.
        ProcessEndedError: a process was ended.
    """
    answer_all(comparison, corruptions, jobs)
    of_fold = {run.fold: run.labels[chosen(len(run.labels))] for run in comparison.runs}
    labels = torch.cat([of_fold[fold] for fold in sorted(of_fold)])
    clean_answers = by_predictor(
        comparison,
        lambda run: {
            name: run.probabilities[name][chosen(len(run.labels))][None] for name in _predictions(comparison, run)
        },
    )
    clean = score(clean_answers, labels, (0.0,))
    by_name: dict[str, Scored] = {}
    rows = rows_of(comparison, CLEAN, clean)
    for one in corruptions:
        found = {run.folder: kept(files_of(comparison, run), run, one) or {} for run in comparison.runs}
        degraded = by_predictor(comparison, lambda run, of=found: of[run.folder])  # type: ignore[misc]  # bound now
        by_name[one.name] = score(degraded, labels, one.strengths, clean_answers)
        rows += rows_of(comparison, one.name, by_name[one.name])
    bits = partial(bits_of, comparison)
    compared = {name: leads(scored.means, bits) for name, scored in {CLEAN: clean, **by_name}.items()}
    pictures = []
    for kind in KINDS:
        of_kind = [one for one in corruptions if one.kind == kind]
        if len(of_kind) > 1:
            compared[f"all of {kind}"] = leads(_mean_over([by_name[one.name].means for one in of_kind]), bits)
        if of_kind:
            pictures.append(f"shift-{kind}.png")
            shift_curves([_panel(one, clean, by_name[one.name]) for one in of_kind], comparison.out / pictures[-1])
    values = {
        "num_examples": len(labels),
        "rows": rows,
        "leads": [_plain(name, lead) for name, of_name in compared.items() for lead in of_name],
    }
    write_json(comparison.out / "shift.json", values)
    for table in tables_of(comparison.experiment.name, corruptions, clean, by_name, compared):
        comparison.console.print()
        comparison.console.print(table)
    comparison.written("shift.json", *pictures)


def _mean_over(means: Sequence[Mapping[Predictor, Mapping[str, Tensor]]]) -> dict[Predictor, dict[str, Tensor]]:
    """Return the scores of each example, the mean over corruptions."""
    return {
        predictor: {name: torch.stack([of[predictor][name] for of in means]).mean(0) for name in by_name}
        for predictor, by_name in means[0].items()
    }


def _panel(one: Corruption, clean: Scored, scored: Scored) -> ShiftPanel:
    """Return what a picture shows of one corruption: what is not scaled, the clean input at strength 0.

    Where these are more curves than can be told apart, networks of all seeds together are left to the tables.
    """
    shown = [predictor for predictor in scored.scores if not predictor.scaled]
    if len(shown) > _MOST_CURVES:
        shown = [predictor for predictor in shown if predictor.trainings == 1]
    curves = {
        predictor.label: {
            name: torch.cat([clean.scores[predictor][name], scores[name]], 1) for name in ("accuracy", "nll", "ece")
        }
        for predictor, scores in scored.scores.items()
        if predictor in shown
    }
    return ShiftPanel(one.title, one.unit, (0.0, *one.strengths), curves)


def _plain(corruption: str, lead: Lead) -> dict[str, Any]:
    of = lead.difference
    return {
        "corruption": corruption,
        "score": lead.score,
        "prediction": lead.predictor.label,
        "opponent": lead.opponent.label,
        "difference": of.difference,
        "low": of.low,
        "high": of.high,
        "prediction_is": lead.verdict,
    }
