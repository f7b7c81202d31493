"""The predictions that are compared: of each rule, temperature-scaled, and of the networks of all seeds together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from snntorch_binary.experiments.compare.comparison import Run
from snntorch_binary.experiments.compare.report import label_of
from snntorch_binary.experiments.rules import RULES
from snntorch_binary.metrics import apply_temperature, fit_temperature
from snntorch_binary.metrics.scores import SMALLEST_PROBABILITY


@dataclass(frozen=True)
class Line:
    """One prediction.

    Attributes:
        rule: the rule it learned by.
        prediction: the prediction's name.
        together: so many networks, of all seeds, answer together by the mean of their probabilities; 1 is each alone.
        scaled: whether its scores are divided by a temperature that was fitted on validation data without corruption.
    """

    rule: str
    prediction: str
    together: int = 1
    scaled: bool = False

    @property
    def name(self) -> str:
        """What tables and pictures call it."""
        name = label_of((self.rule, self.prediction))
        return name + (f" x {self.together}" if self.together > 1 else "") + (", scaled" if self.scaled else "")


class Lines:
    """All lines of a comparison, from what its runs answered to clean validation data.

    Args:
        runs: the runs; those of a rule with one prediction also answer together where there is more than one seed.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = sorted(runs, key=lambda run: (RULES[run.rule].order, run.seed, run.fold))
        self.seeds = sorted({run.seed for run in runs})
        self._folds = sorted({run.fold for run in runs})
        self._keys = list(dict.fromkeys((run.rule, name) for run in self._runs for name in run.validation_answers))
        self._labels = {run.fold: run.validation_labels for run in runs}
        clean = self._plain(lambda run: run.validation_answers, dim=0)
        self._temperatures = {
            (line, place): fit_temperature(_logits(answer), self._labels[self._folds[place[1]]])
            for line, of_places in clean.items()
            for place, answer in of_places.items()
        }

    def of(self, answers: Callable[[Run], dict[str, Tensor]]) -> dict[Line, Tensor]:
        """Return the probabilities [seeds, strengths, N, C] of each line, folds joined in their order.

        Args:
            answers: returns those of a run by prediction, [strengths, N, C].
        """
        found = {}
        for line, of_places in self._plain(answers, dim=1).items():
            scaled = {
                place: apply_temperature(_logits(answer), self._temperatures[line, place]).float()
                for place, answer in of_places.items()
            }
            found[line] = self._joined(of_places)
            found[Line(line.rule, line.prediction, line.together, scaled=True)] = self._joined(scaled)
        return found

    def _plain(
        self, answers: Callable[[Run], dict[str, Tensor]], dim: int
    ) -> dict[Line, dict[tuple[int, int], Tensor]]:
        """Return the answers of each line that is not scaled, by the numbers of seed and fold."""
        by_run = {(run.rule, run.seed, run.fold): answers(run) for run in self._runs}
        found: dict[Line, dict[tuple[int, int], Tensor]] = {}
        for rule, prediction in self._keys:
            of_key = {
                (number, place): by_run[rule, seed, fold][prediction]
                for number, seed in enumerate(self.seeds)
                for place, fold in enumerate(self._folds)
            }
            found[Line(rule, prediction)] = of_key
            if prediction == "single" and len(self.seeds) > 1:
                found[Line(rule, prediction, len(self.seeds))] = {
                    (0, place): torch.stack([of_key[number, place] for number in range(len(self.seeds))]).mean(0)
                    for place in range(len(self._folds))
                }
        return found

    def _joined(self, of_places: dict[tuple[int, int], Tensor]) -> Tensor:
        numbers = sorted({number for number, _ in of_places})
        return torch.stack(
            [torch.cat([of_places[number, place] for place in range(len(self._folds))], 1) for number in numbers]
        )


def _logits(probabilities: Tensor) -> Tensor:
    """Return class scores whose softmax these probabilities are."""
    return probabilities.double().clamp_min(SMALLEST_PROBABILITY).log()
