"""Comparisons at several sizes of the hidden layer, and accuracy over the size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from snntorch_binary._errors import expected
from snntorch_binary._files import read_json, write_json
from snntorch_binary.experiments.compare.predictors import label_of
from snntorch_binary.experiments.experiment import Experiment
from snntorch_binary.experiments.rules import Rule
from snntorch_binary.plots import size_curve

_SIZES: dict[str, Callable[[int], Any]] = {
    "hidden_sizes": lambda size: [size] if size else [],
    "num_hidden": lambda size: size,
}
"""Arguments of networks that say the size of a hidden layer."""


def of_size(experiment: Experiment, size: int) -> Experiment:
    """Return an experiment whose networks have a hidden layer of another size, or none.

    Raises:
        ValueError: the size is negative, or a network has no argument that says it.
    """
    if size < 0:
        raise ValueError(expected("--hidden", "integers of at least 0", size))
    rules = tuple(_of_size(experiment, rule, size) for rule in experiment.rules)
    return replace(experiment, rules=rules)


def _of_size(experiment: Experiment, rule: Rule, size: int) -> Rule:
    network = experiment.network_of(rule)
    names = [name for name in _SIZES if name in network.init_args]
    if len(names) != 1:
        what = f"left out for {network.class_path}, which says no {' or '.join(_SIZES)}"
        raise ValueError(expected("--hidden", what, size))
    return replace(rule, network=network.with_arguments({names[0]: _SIZES[names[0]](size)}).plain())


def folder_of_size(out: Path, size: int) -> Path:
    """Return where the comparison at one size goes."""
    return out / f"hidden-{size}"


def check_sizes(experiment: Experiment, sizes: Sequence[int]) -> None:
    """Raise the house sentence unless an experiment can be compared at these sizes.

    Raises:
        ValueError: sizes are repeated, or there are several of a regression, of which there is no accuracy to draw.
    """
    if len(set(sizes)) != len(sizes):
        raise ValueError(expected("--hidden", "different integers, at least one", sizes))
    if len(sizes) > 1 and experiment.load(experiment.seeds[0]).num_classes is None:
        raise ValueError(expected("--hidden", "a single size for a regression", sizes))


def report_sizes(sizes: Sequence[int], out: Path) -> None:
    """Join the results of comparisons at several sizes: results.json and, of ensembles where there are, sizes.png."""
    rows: list[dict[str, Any]] = []
    for size in sizes:
        rows += [{**row, "hidden": size} for row in read_json(folder_of_size(out, size) / "results.json")]
    write_json(out / "results.json", rows)
    curves: dict[str, dict[int, list[float]]] = {}
    alone = [row for row in rows if row["trainings"] == 1 and not row["scaled"]]
    best = {rule: "ensemble" for rule in {row["rule"] for row in rows if row["prediction"] == "ensemble"}}
    for row in alone:
        if row["prediction"] != best.get(row["rule"], "single"):
            continue
        by_size = curves.setdefault(label_of((row["rule"], row["prediction"])), {})
        by_size.setdefault(row["hidden"], []).append(row["accuracy"])
    size_curve(curves, out / "sizes.png")
