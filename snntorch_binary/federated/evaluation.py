"""What the global network answers: accuracy and calibration of every prediction."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from snntorch_binary.lightning import SpikingModule
from snntorch_binary.metrics import Scores, evaluate


class Evaluator:
    """Answers the same examples again and again, whose spikes are encoded once.

    Args:
        dataset: examples ``(x, labels)``.
        collate_fn: of the loader.
        batch_size: examples whose answer is computed at once.
    """

    def __init__(self, dataset: Dataset[Any], collate_fn: Any = None, batch_size: int = 500) -> None:
        self._dataset = dataset
        self._batch_size = batch_size
        self._collate_fn = collate_fn
        self._batches: list[tuple[Tensor, Tensor]] = []

    def batches(self) -> list[tuple[Tensor, Tensor]]:
        """Return the batches; spikes as bytes, a quarter of their size."""
        if not self._batches:
            for x, labels in DataLoader(self._dataset, self._batch_size, collate_fn=self._collate_fn):
                small = x.to(torch.int8)
                self._batches.append((small if torch.equal(small.to(x.dtype), x) else x, labels))
        return self._batches

    @torch.no_grad()
    def answers(self, module: SpikingModule, final: bool) -> tuple[dict[str, Tensor], Tensor]:
        """Return class probabilities [N, C] of each prediction by name, and the labels [N].

        Args:
            module: the global module; its mode is put back.
            final: ask for the full ensemble.
        """
        training = module.training
        module.eval()
        parts: dict[str, list[Tensor]] = {}
        for x, _ in self.batches():
            for name, answer in module.answers(x.to(module.device, torch.float32), final).items():
                parts.setdefault(name, []).append(answer.cpu())
        module.train(training)
        return {name: torch.cat(values) for name, values in parts.items()}, torch.cat([y for _, y in self.batches()])

    def scores(self, module: SpikingModule, final: bool = False) -> dict[str, Scores]:
        """Return accuracy, ECE, NLL and Brier score of each prediction by name."""
        answers, labels = self.answers(module, final)
        return {name: evaluate(probabilities, labels) for name, probabilities in answers.items()}
