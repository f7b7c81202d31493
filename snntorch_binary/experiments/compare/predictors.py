"""What answers in a comparison: each prediction of a rule, also temperature-scaled and with the networks of all seeds.

A posterior's fair opponents are calibrated, too, and may be several networks: so many bits a weight, so many trainings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from snntorch_binary._text import predictor_label
from snntorch_binary.experiments.compare.comparison import Comparison, Run
from snntorch_binary.experiments.rules import RULES
from snntorch_binary.metrics import apply_temperature, example_scores, fit_temperature
from snntorch_binary.metrics.scores import SMALLEST_PROBABILITY


class Predictor(NamedTuple):
    """A line of a table.

    Attributes:
        rule: the rule that networks learned by.
        prediction: which of its predictions.
        trainings: networks, trained apart with a seed each, whose probabilities are averaged.
        scaled: whether a temperature divides the logarithm of its probabilities, fitted on validation data.
    """

    rule: str
    prediction: str
    trainings: int = 1
    scaled: bool = False

    @property
    def label(self) -> str:
        """What tables and pictures call it."""
        return predictor_label(*self)


def label_of(key: tuple[str, str]) -> str:
    """Return what a rule's prediction is called in tables and pictures."""
    return predictor_label(*key)


@dataclass(frozen=True)
class Answers:
    """What a predictor answered to the test part, the folds joined in their order.

    Attributes:
        test: probabilities [N, C] by seed; those of all seeds together by ``None``.
        validation_nll: mean over validation examples, by seed; ``None`` where there are no answers to them.
        bits: a weight.
        train_seconds: time spent training, by seed.
    """

    test: dict[int | None, Tensor]
    validation_nll: dict[int | None, float | None]
    bits: float
    train_seconds: dict[int | None, float]

    @property
    def mean_validation_nll(self) -> float | None:
        """The mean over seeds, or ``None`` where there are no answers of one."""
        values = [value for value in self.validation_nll.values() if value is not None]
        return sum(values) / len(values) if len(values) == len(self.validation_nll) else None


def labels_of(runs: Sequence[Run]) -> Tensor:
    """Return the labels [N] of the test part, the folds joined in their order."""
    first = [run for run in runs if (run.rule, run.seed) == (runs[0].rule, runs[0].seed)]
    return torch.cat([run.labels for run in sorted(first, key=lambda run: run.fold)])


def gather(comparison: Comparison) -> dict[Predictor, Answers]:
    """Return what all predictors of a comparison of classes answered, in the order of tables."""
    found: dict[Predictor, Answers] = {}
    for predictor, groups in predictors(comparison).items():
        found[predictor] = _answers(comparison, predictor, groups)
        if found[predictor].mean_validation_nll is not None:
            scaled = predictor._replace(scaled=True)
            found[scaled] = _answers(comparison, scaled, groups)
    return found


Groups = dict[int | None, list[list[Run]]]
"""Networks that answer together, fold by fold, by seed; ``None``: those of all seeds."""


def predictors(comparison: Comparison) -> dict[Predictor, Groups]:
    """Return the predictors of a comparison that are not scaled, in the order of tables, and their networks."""
    found: dict[Predictor, Groups] = {}
    for rule in sorted({run.rule for run in comparison.runs}, key=lambda rule: RULES[rule].order):
        runs = [run for run in comparison.runs if run.rule == rule]
        for prediction in answered_by_all(runs):
            for groups in _groups(runs):
                together = len(next(iter(groups.values()))[0])
                found[Predictor(rule, prediction, together)] = groups
    return found


def answered_by_all(runs: Sequence[Run]) -> list[str]:
    """Return the predictions that all runs have answered by; those of an earlier version lack the draw."""
    return [name for name in runs[0].probabilities if all(name in run.probabilities for run in runs)]


def _groups(runs: Sequence[Run]) -> list[Groups]:
    """Return the networks of each seed alone and, where they are no posteriors, of all together."""
    by_seed: dict[int, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.seed, run.fold)):
        by_seed.setdefault(run.seed, []).append(run)
    alone: Groups = {seed: [[run] for run in folds] for seed, folds in by_seed.items()}
    if len(by_seed) == 1 or RULES[runs[0].rule].bayesian:
        return [alone]
    return [alone, {None: [list(fold) for fold in zip(*by_seed.values(), strict=True)]}]


def _answers(comparison: Comparison, predictor: Predictor, groups: Groups) -> Answers:
    rule, same = comparison.experiment.rule(predictor.rule), comparison.same_validation
    test: dict[int | None, Tensor] = {}
    validation_nll: dict[int | None, float | None] = {}
    for seed, folds in groups.items():
        answered = [_together(runs, predictor.prediction, predictor.scaled, same) for runs in folds]
        test[seed] = torch.cat([probabilities for probabilities, _ in answered])
        losses = [nll for _, nll in answered if nll is not None]
        validation_nll[seed] = float(torch.cat(losses).mean()) if len(losses) == len(folds) else None
    return Answers(
        test,
        validation_nll,
        predictor.trainings * rule.bits(predictor.prediction),
        {seed: sum(run.train_seconds for runs in folds for run in runs) for seed, folds in groups.items()},
    )


def _together(
    runs: Sequence[Run], prediction: str, scaled: bool, same_validation: bool
) -> tuple[Tensor, Tensor | None]:
    """Return mean test probabilities [N, C] of networks of one fold, and the NLL of validation examples [M].

    Several that validated on other examples each, some of which the others may have learned from, are scaled one by
    one; their NLL is then that of each by itself, at least that of the mean.
    """
    if len(runs) > 1 and not same_validation:
        each = [_together([run], prediction, scaled, same_validation) for run in runs]
        losses = [nll for _, nll in each if nll is not None]
        return _mean([test for test, _ in each]), torch.cat(losses) if losses else None
    test = _mean([run.probabilities[prediction] for run in runs])
    if not all(prediction in run.validation_answers for run in runs):
        return test, None
    validation, labels = _mean([run.validation_answers[prediction] for run in runs]), runs[0].validation_labels
    if scaled:
        temperature = fit_temperature(_log(validation), labels)
        test, validation = (apply_temperature(_log(part), temperature).float() for part in (test, validation))
    return test, example_scores(validation, labels).nll


def _mean(probabilities: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(probabilities)).mean(0)


def _log(probabilities: Tensor) -> Tensor:
    return probabilities.clamp_min(SMALLEST_PROBABILITY).log()
