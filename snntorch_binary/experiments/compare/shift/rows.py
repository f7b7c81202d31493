"""Scores of each prediction under each corruption, and how far an ensemble is ahead of its best opponent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from snntorch_binary.experiments.compare.comparison import Comparison
from snntorch_binary.experiments.compare.shift.lines import Line
from snntorch_binary.inference.predictions import entropy
from snntorch_binary.metrics import (
    Difference,
    evaluate,
    example_scores,
    ood_scores,
    paired_bootstrap,
    retained_accuracy,
)

SCORES = ("accuracy", "ece", "nll", "rejection_area", "ood_auroc")
"""Of each line, strength and seed."""
LARGER_IS_BETTER = {"accuracy": True, "nll": False}
"""The scores that are means over examples, whose differences have intervals."""
CLEAN = "none"
"""The corruption of an input that has none."""


@dataclass(frozen=True)
class Scored:
    """Scores of each line under one corruption, or under none.

    Attributes:
        strengths: of the corruption.
        scores: each [seeds, strengths] by line and name; ``ood_auroc`` is NaN where there is no corruption.
        means: accuracy and NLL of each example [seeds, N], the mean over strengths.
    """

    strengths: tuple[float, ...]
    scores: dict[Line, dict[str, Tensor]] = field(default_factory=dict)
    means: dict[Line, dict[str, Tensor]] = field(default_factory=dict)


def score(
    answers: Mapping[Line, Tensor],
    labels: Tensor,
    strengths: tuple[float, ...],
    clean: Mapping[Line, Tensor] | None = None,
) -> Scored:
    """Return the scores of answers [seeds, strengths, N, C] by line.

    Args:
        answers: the answers.
        labels: int64 [N].
        strengths: of the corruption.
        clean: the answers [seeds, 1, N, C] of the same lines to the same examples without corruption, which their
            entropy is to tell from these.
    """
    found = Scored(strengths)
    for line, probabilities in answers.items():
        surer = None if clean is None else [entropy(of_seed[0]) for of_seed in clean[line]]
        by_seed = [
            [_scores(each, labels, None if surer is None else surer[seed]) for each in of_seed]
            for seed, of_seed in enumerate(probabilities)
        ]
        found.scores[line] = {
            name: torch.tensor([[scores[place] for scores in of_seed] for of_seed in by_seed])
            for place, name in enumerate(SCORES)
        }
        examples = [[example_scores(each, labels) for each in of_seed] for of_seed in probabilities]
        found.means[line] = {
            "accuracy": torch.stack([torch.stack([one.correct for one in of_seed]).mean(0) for of_seed in examples]),
            "nll": torch.stack([torch.stack([one.nll for one in of_seed]).mean(0) for of_seed in examples]),
        }
    return found


def _scores(probabilities: Tensor, labels: Tensor, clean_entropy: Tensor | None) -> tuple[float, ...]:
    plain = evaluate(probabilities, labels)
    auroc = float("nan") if clean_entropy is None else ood_scores(clean_entropy, entropy(probabilities)).auroc
    return plain.accuracy, plain.ece, plain.nll, retained_accuracy(probabilities, labels).area, auroc


def rows_of(comparison: Comparison, corruption: str, scored: Scored, seeds: list[int]) -> list[dict[str, Any]]:
    """Return the rows of shift.json, one for each line, strength and seed."""
    experiment, rows = comparison.experiment, []
    for line, scores in scored.scores.items():
        rule = experiment.rule(line.rule)
        for number in range(len(scores["accuracy"])):
            for place, strength in enumerate(scored.strengths):
                values = {name: float(scores[name][number, place]) for name in SCORES}
                if corruption == CLEAN:
                    del values["ood_auroc"]
                rows.append(
                    {
                        "dataset": experiment.name,
                        "corruption": corruption,
                        "strength": strength,
                        "rule": line.rule,
                        "credit": rule.credit or experiment.credit,
                        "prediction": line.prediction,
                        "together": line.together,
                        "temperature_scaled": line.scaled,
                        "seed": seeds[number] if line.together == 1 else None,
                        **values,
                        "bits_per_weight": rule.bits(line.prediction) * line.together,
                        "trainings": line.together,
                    }
                )
    return rows


@dataclass(frozen=True)
class Lead:
    """How far an ensemble is ahead of the best of its opponents, the mean over strengths.

    Attributes:
        score: ``"accuracy"`` or ``"nll"``.
        ensemble: the ensemble.
        opponent: the best of the networks of other rules, alone or together, temperature-scaled or not.
        difference: ensemble less opponent, paired over examples and seeds.
    """

    score: str
    ensemble: Line
    opponent: Line
    difference: Difference

    @property
    def verdict(self) -> str:
        """Where the ensemble is: ``ahead``, ``level`` or ``behind``."""
        if self.difference.tie:
            return "level"
        return "ahead" if (self.difference.difference > 0) == LARGER_IS_BETTER[self.score] else "behind"


def leads(means: Mapping[Line, Mapping[str, Tensor]]) -> list[Lead]:
    """Return how far each ensemble is ahead in accuracy and NLL.

    Args:
        means: scores of each example [seeds, N] by line and name.
    """
    found = []
    for ensemble in (line for line in means if line.prediction == "ensemble" and not line.scaled):
        opponents = [line for line in means if line.prediction == "single" and line.rule != ensemble.rule]
        for name, larger in LARGER_IS_BETTER.items() if opponents else ():
            sign = 1 if larger else -1
            best = max(opponents, key=lambda line: sign * float(means[line][name].mean()))
            of_ensemble = means[ensemble][name]
            difference = paired_bootstrap(of_ensemble, means[best][name].expand_as(of_ensemble))
            found.append(Lead(name, ensemble, best, difference))
    return found
