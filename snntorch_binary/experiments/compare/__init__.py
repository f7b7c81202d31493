"""`compare`: one network trained under several rules, their accuracy and calibration side by side."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from snntorch_binary._errors import expected, misspelt
from snntorch_binary.experiments.compare.anytime import check_anytime, report_anytime
from snntorch_binary.experiments.compare.circuits import draw_circuits
from snntorch_binary.experiments.compare.comparison import Comparison, Run, train_all
from snntorch_binary.experiments.compare.out_of_distribution import check_ood, report_ood
from snntorch_binary.experiments.compare.regression import report_regression
from snntorch_binary.experiments.compare.report import report
from snntorch_binary.experiments.compare.shift import Shift, answer_under, check_shift, few_corruptions, report_shift
from snntorch_binary.experiments.compare.spikes import draw_spikes
from snntorch_binary.experiments.compare.surface import check_surface, draw_surface
from snntorch_binary.experiments.data import ShippedData
from snntorch_binary.experiments.experiment import Experiment, make_experiment
from snntorch_binary.experiments.runs import LAST, check_jobs

PICTURES = {"surface": draw_surface, "circuits": draw_circuits, "spikes": draw_spikes}
"""Pictures beside those of every comparison, which an experiment names."""
SHIFT = "shift"
"""Names the pictures of a degraded test part, of few corruptions where `--shift` does not say which."""


def compare(
    network: Any,
    data: Any,
    rules: Any = None,
    *,
    out: str | Path | None = None,
    jobs: int = 1,
    ood: str | None = None,
    anytime: bool = False,
    shift: Shift = False,
    console: Console | None = None,
    **settings: Any,
) -> Comparison:
    """Train a network under several rules; print tables, and write results, pictures and checkpoints.

    Interrupted, the same call continues.

    Args:
        network: a class or function that makes the float network, or its name. Its parameters named ``input_shape``,
            ``input_size``, ``num_steps``, ``num_classes`` or ``num_outputs`` are those of the data.
        data: a function that returns a training, a validation and a test part, each a pair of inputs [N, T, ...] and
            labels [N] or a ``Dataset``; or these parts; a ``LightningDataModule``; or the name of a data set of
            :func:`snntorch_binary.data.load`.
        rules: names of rules, or a mapping of names to hyper-parameters; by default full precision, ST-BiSNN and
            Bayes-BiSNN.
        out: the folder of results; by default ``results`` and the name of the experiment.
        jobs: how many runs are trained at once, in processes of their own.
        ood: another data set, which is to be told from this one by uncertainty.
        anytime: also score answers after each time step.
        shift: also answer the test part under each corruption of :mod:`snntorch_binary.data.corruptions` that has a
            meaning for it, or under those of some names.
        console: where tables go.
        **settings: ``epochs``, ``batch_size``, ``seeds``, ``num_folds``, ``readout``, ``readout_scale``, ``step``,
            ``time_dim``, ``credit``, ``fuse``, ``name`` and ``pictures``; see :class:`Experiment`.

    Raises:
        ValueError: a value is out of its range, or network and data do not fit each other.
        OutputError: the folder cannot be written to, or holds runs made with other settings.
        NonFiniteLossError: a loss became NaN or infinite; runs and checkpoints before it are kept.

    Example:
        >>> from snntorch_binary.models import SpikingMLP
        >>> found = compare(lambda input_size: SpikingMLP(input_size, [64], 10), "digits", epochs=5)  # doctest: +SKIP
    """
    experiment = make_experiment(network, data, rules, **settings)
    folder = Path("results") / experiment.name if out is None else Path(out)
    return run(experiment, folder, console, jobs, ood, anytime, shift)


def run(
    experiment: Experiment,
    out: Path,
    console: Console | None = None,
    jobs: int = 1,
    ood: str | None = None,
    anytime: bool = False,
    shift: Shift = False,
) -> Comparison:
    """Carry out a comparison; see :func:`compare`."""
    check_jobs(jobs, experiment)
    _check_pictures(experiment)
    if ood is not None:
        check_ood(experiment, ood)
    if anytime:
        check_anytime(experiment)
    pictured = shift is False and SHIFT in experiment.pictures
    corruptions = few_corruptions(experiment) if pictured else () if shift is False else check_shift(experiment, shift)
    answer = partial(answer_under, experiment, corruptions) if corruptions else None
    comparison = train_all(experiment, out, console, jobs, answer)
    (report_regression if comparison.regression else report)(comparison)
    for name in experiment.pictures:
        if name != SHIFT:
            PICTURES[name](comparison)
    if ood is not None:
        report_ood(comparison, ood)
    if anytime:
        report_anytime(comparison)
    gone = [run.folder / LAST for run in comparison.runs if not (run.folder / LAST).exists()] if pictured else []
    if gone:
        said = f"{gone[0]} is gone: there are no pictures of a degraded test part."
        comparison.console.print(said, highlight=False, markup=False, soft_wrap=True)
    elif corruptions:
        report_shift(comparison, corruptions, jobs)
    return comparison


def _check_pictures(experiment: Experiment) -> None:
    known = (*PICTURES, SHIFT)
    unknown = [name for name in experiment.pictures if name not in known]
    if unknown:
        raise ValueError(expected("pictures", f"some of {', '.join(known)}", misspelt(unknown[0], known)))
    if "surface" in experiment.pictures:
        check_surface(experiment)
    if "spikes" in experiment.pictures and not isinstance(experiment.data, ShippedData):
        raise ValueError(expected("pictures", "without 'spikes' for data of your own", experiment.pictures))


__all__ = ["Comparison", "Run", "compare", "run"]
