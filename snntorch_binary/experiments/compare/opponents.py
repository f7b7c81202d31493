"""Who is compared with whom: posteriors with the best opponents at their bits and cost, and what papers claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from snntorch_binary.experiments.compare.predictors import Answers, Predictor
from snntorch_binary.experiments.rules import RULES
from snntorch_binary.metrics import Difference, paired_differences

CLAIMS: tuple[tuple[Predictor, Predictor], ...] = (
    (Predictor("bayes", "ensemble"), Predictor("full-precision", "single")),
    (Predictor("bayes", "ensemble"), Predictor("full-precision", "single", scaled=True)),
    (Predictor("bayes", "ensemble"), Predictor("st", "single")),
    (Predictor("bayes", "mode"), Predictor("bayes", "ensemble")),
    (Predictor("bayes", "draw"), Predictor("bayes", "mode")),
    (Predictor("st", "single"), Predictor("full-precision", "single")),
    (Predictor("bayes", "mode"), Predictor("st", "single")),
    (Predictor("vowel-wta", "ensemble"), Predictor("vowel-binary", "ensemble")),
    (Predictor("vowel-wta", "ensemble"), Predictor("bayes", "ensemble")),
    (Predictor("vowel-binary", "ensemble"), Predictor("bayes", "ensemble")),
    (Predictor("softlif", "spiking"), Predictor("softlif", "single")),
    (Predictor("softlif-st", "single"), Predictor("softlif", "single")),
    (Predictor("softlif-st", "spiking"), Predictor("softlif-st", "single")),
    (Predictor("softlif-bayes", "ensemble"), Predictor("softlif", "single")),
    (Predictor("softlif-bayes", "spiking ensemble"), Predictor("softlif-bayes", "ensemble")),
)
"""The differences that the papers' claims are about."""

BEST = "the best by validation NLL, of those\nthat need no more of them"
"""What is said below a table of how opponents were chosen."""


class Pair(NamedTuple):
    """Two predictors that are compared.

    Attributes:
        first: one of them.
        second: the other.
        at: what the second is the best opponent at, no more of which it needs: ``"bits"``, ``"trainings"`` or both.
    """

    first: Predictor
    second: Predictor
    at: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What tables and differences.json call it."""
        pair = f"{self.first.label} - {self.second.label}"
        return f"{pair} (at its {' and '.join(self.at)})" if self.at else pair

    @property
    def is_shown(self) -> bool:
        """Whether it is printed: a posterior as it is with its best opponents, and what these do not tell."""
        if self.at:
            return not self.first.scaled
        return RULES[self.second.rule].bayesian or not RULES[self.first.rule].bayesian


def pairs(answers: Mapping[Predictor, Answers]) -> list[Pair]:
    """Return who is compared with whom, the fair pairs first.

    An opponent of a posterior is of a rule that is none. The best one is chosen on validation data.
    """
    fair = [pair for predictor in answers if RULES[predictor.rule].bayesian for pair in _fair(predictor, answers)]
    return fair + [Pair(first, second) for first, second in CLAIMS if first in answers and second in answers]


def _fair(predictor: Predictor, answers: Mapping[Predictor, Answers]) -> list[Pair]:
    costs: dict[str, Callable[[Predictor], float]] = {
        "bits": lambda of: answers[of].bits,
        "trainings": lambda of: of.trainings,
    }
    best: dict[Predictor, tuple[str, ...]] = {}
    for name, cost in costs.items():
        scored = {
            other: nll
            for other, of in answers.items()
            if not RULES[other.rule].bayesian
            and cost(other) <= cost(predictor)
            and (nll := of.mean_validation_nll) is not None
        }
        if scored:
            # Several networks that have no validation data in common may be better than their NLL, that of one says.
            opponent = min(scored, key=lambda other: (round(scored[other], 6), -other.trainings))
            best[opponent] = (*best.get(opponent, ()), name)
    return [Pair(predictor, opponent, at) for opponent, at in best.items()]


def differences(answers: Mapping[Predictor, Answers], labels: Tensor) -> dict[Pair, dict[str, Difference]]:
    """Return paired bootstrap intervals of the differences; the networks of all seeds are one opponent of each seed."""
    found = {}
    for pair in pairs(answers):
        first, second = (torch.stack(list(answers[predictor].test.values())) for predictor in pair[:2])
        second = second.expand_as(first) if pair.second.trainings > 1 else second
        found[pair] = paired_differences(first, second, labels)
    return found
