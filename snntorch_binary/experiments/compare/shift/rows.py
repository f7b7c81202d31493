"""Scores of each prediction under each corruption, and how far a posterior is ahead of its best opponent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from snntorch_binary.experiments.compare.comparison import Comparison
from snntorch_binary.experiments.compare.predictors import Predictor
from snntorch_binary.experiments.rules import RULES
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
"""Of each predictor, strength and seed."""
LARGER_IS_BETTER = {"accuracy": True, "nll": False}
"""The scores that are means over examples, whose differences have intervals."""
_LEADING = ("ensemble", "draw")
CLEAN = "none"
"""The corruption of an input that has none."""


@dataclass(frozen=True)
class Scored:
    """Scores of each predictor under one corruption, or under none.

    Attributes:
        strengths: of the corruption.
        seeds: of each predictor; those of all seeds together are ``None``.
        scores: each [seeds, strengths] by predictor and name; ``ood_auroc`` is NaN where there is no corruption.
        means: accuracy and NLL of each example [seeds, N], the mean over strengths.
    """

    strengths: tuple[float, ...]
    seeds: dict[Predictor, list[int | None]] = field(default_factory=dict)
    scores: dict[Predictor, dict[str, Tensor]] = field(default_factory=dict)
    means: dict[Predictor, dict[str, Tensor]] = field(default_factory=dict)


def score(
    answers: Mapping[Predictor, Mapping[int | None, Tensor]],
    labels: Tensor,
    strengths: tuple[float, ...],
    clean: Mapping[Predictor, Mapping[int | None, Tensor]] | None = None,
) -> Scored:
    """Return the scores of answers [strengths, N, C] by predictor and seed.

    Args:
        answers: the answers.
        labels: int64 [N].
        strengths: of the corruption.
        clean: the answers [1, N, C] of the same predictors to the same examples without corruption, which their
            entropy is to tell from these.
    """
    found = Scored(strengths)
    for predictor, by_seed in answers.items():
        found.seeds[predictor] = list(by_seed)
        scores = [
            [_scores(each, labels, None if clean is None else entropy(clean[predictor][seed][0])) for each in of_seed]
            for seed, of_seed in by_seed.items()
        ]
        found.scores[predictor] = dict(
            zip(SCORES, torch.tensor(scores, dtype=torch.float64).movedim(-1, 0), strict=True)
        )
        examples = [[example_scores(each, labels) for each in of_seed] for of_seed in by_seed.values()]
        found.means[predictor] = {
            "accuracy": torch.stack([torch.stack([one.correct for one in of_seed]).mean(0) for of_seed in examples]),
            "nll": torch.stack([torch.stack([one.nll for one in of_seed]).mean(0) for of_seed in examples]),
        }
    return found


def _scores(probabilities: Tensor, labels: Tensor, clean_entropy: Tensor | None) -> tuple[float, ...]:
    plain = evaluate(probabilities, labels)
    auroc = float("nan") if clean_entropy is None else ood_scores(clean_entropy, entropy(probabilities)).auroc
    return plain.accuracy, plain.ece, plain.nll, retained_accuracy(probabilities, labels).area, auroc


def rows_of(comparison: Comparison, corruption: str, scored: Scored) -> list[dict[str, Any]]:
    """Return the rows of shift.json, one for each predictor, seed and strength."""
    experiment, rows = comparison.experiment, []
    for predictor, scores in scored.scores.items():
        rule = experiment.rule(predictor.rule)
        for number, seed in enumerate(scored.seeds[predictor]):
            for place, strength in enumerate(scored.strengths):
                values = {name: float(scores[name][number, place]) for name in SCORES}
                if corruption == CLEAN:
                    del values["ood_auroc"]
                rows.append(
                    {
                        "dataset": experiment.name,
                        "corruption": corruption,
                        "strength": strength,
                        "rule": predictor.rule,
                        "credit": rule.credit or experiment.credit,
                        "prediction": predictor.prediction,
                        "trainings": predictor.trainings,
                        "scaled": predictor.scaled,
                        "seed": seed,
                        **values,
                        "bits_per_weight": bits_of(comparison, predictor),
                    }
                )
    return rows


def bits_of(comparison: Comparison, predictor: Predictor) -> float:
    """Return the bits a weight that a predictor needs."""
    return predictor.trainings * comparison.experiment.rule(predictor.rule).bits(predictor.prediction)


@dataclass(frozen=True)
class Lead:
    """How far an answer of a posterior is ahead of the best of its opponents, the mean over strengths.

    The best is chosen by these very answers, which favours the opponents: ``ahead`` is so of all of them.

    Attributes:
        score: ``"accuracy"`` or ``"nll"``.
        predictor: an ensemble, or one draw.
        opponent: the best of the networks of other rules, alone or together, temperature-scaled or not; of a draw those
            that need no more bits.
        difference: predictor less opponent, paired over examples and seeds.
    """

    score: str
    predictor: Predictor
    opponent: Predictor
    difference: Difference

    @property
    def verdict(self) -> str:
        """Where the predictor is: ``ahead``, ``level`` or ``behind``."""
        if self.difference.tie:
            return "level"
        return "ahead" if (self.difference.difference > 0) == LARGER_IS_BETTER[self.score] else "behind"


def leads(means: Mapping[Predictor, Mapping[str, Tensor]], bits: Callable[[Predictor], float]) -> list[Lead]:
    """Return how far each ensemble, and each single draw, is ahead in accuracy and NLL.

    Args:
        means: scores of each example [seeds, N] by predictor and name.
        bits: returns the bits a weight that a predictor needs.
    """
    found = []
    others = [one for one in means if not RULES[one.rule].bayesian]
    for predictor in (one for one in means if RULES[one.rule].bayesian and not one.scaled):
        if predictor.prediction not in _LEADING:
            continue
        of_all = predictor.prediction == "ensemble"
        opponents = [one for one in others if of_all or bits(one) <= bits(predictor)]
        for name, larger in LARGER_IS_BETTER.items() if opponents else ():
            sign = 1 if larger else -1
            best = max(opponents, key=lambda one: sign * float(means[one][name].mean()))
            own = means[predictor][name]
            found.append(Lead(name, predictor, best, paired_bootstrap(own, means[best][name].expand_as(own))))
    return found
