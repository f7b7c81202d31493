"""What a federation's server sees after each round: scores, bytes, and a checkpoint of it all."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from snntorch_binary.experiments.answers import answers
from snntorch_binary.experiments.data import Batches
from snntorch_binary.experiments.description import network_state, state_of, written_by
from snntorch_binary.experiments.examples import Remembered
from snntorch_binary.experiments.federate.checkpoint import RoundCheckpoint
from snntorch_binary.experiments.federate.federation import Federation
from snntorch_binary.experiments.federate.sides import Sides
from snntorch_binary.experiments.progress import RunProgress
from snntorch_binary.federated.flower.grid import InProcessGrid
from snntorch_binary.federated.flower.strategy import RoundReport
from snntorch_binary.lightning.spiking_module import SpikingModule
from snntorch_binary.metrics import evaluate

log = logging.getLogger("snntorch_binary.federated")


class RoundRecord:
    """Looks at the global network after each round, keeps what it saw, and writes the checkpoint.

    Args:
        federation: what it is.
        sides: whose rounds these are.
        checkpoint: where they are kept, or ``None``.
        name: of the run, for the progress display.
        progress: the display, or ``None``.
    """

    def __init__(
        self,
        federation: Federation,
        sides: Sides,
        checkpoint: RoundCheckpoint | None,
        name: str = "",
        progress: RunProgress | None = None,
    ) -> None:
        self.federation = federation
        self.sides = sides
        self.checkpoint = checkpoint
        self.name = name
        self.progress = progress
        self.grid: InProcessGrid | None = None
        self.history: list[dict[str, Any]] = []
        self.accepted: dict[int, int] = {}
        self.rounds_done = 0
        self.seconds = 0.0
        self._validation = Remembered(sides.data.validation(), federation.evaluation_batch_size)
        self._since = time.perf_counter()

    def resume(self) -> None:
        """Go on from what the checkpoint holds, if there is one.

        Raises:
            ValueError: it is of another version, whose network is another one.
        """
        found = self.checkpoint.load() if self.checkpoint is not None else None
        if found is None:
            return
        server, memories = found
        try:
            self.sides.coordinator.load_state_dict(network_state(server))
            self.history, self.accepted = server["history"], server["accepted"]
            self.rounds_done, self.seconds = server["round"], server["seconds"]
        except (KeyError, RuntimeError):
            folder = self.checkpoint.folder  # type: ignore[union-attr]  # something was found in it
            raise ValueError(f"{folder} holds a checkpoint of another version of this package; remove it.") from None
        if self.grid is not None:
            self.grid.set_memories(memories)

    def after_round(self, report: RoundReport) -> None:
        """Evaluate, remember and save."""
        now = time.perf_counter()
        self.seconds += now - self._since
        entry: dict[str, Any] = {
            "round": report.round,
            "used": report.used,
            "left_out": report.left_out,
            "answers": len(report.bytes_up),
            "bytes_up": _mean(report.bytes_up),
            "bytes_down": _mean(report.bytes_down),
        }
        losses = {client: found["loss"] for client, found in report.metrics.items() if "loss" in found}
        if losses:
            entry["loss"] = _mean(losses)
        last = report.round == self.federation.num_rounds
        if report.round % self.federation.evaluate_every == 0 or last:
            found, labels = answers_of(self.sides.module, self._validation, final=False)
            if all(bool(answer.isfinite().all()) for answer in found.values()):
                entry["scores"] = {name: asdict(evaluate(answer, labels)) for name, answer in found.items()}
            else:
                log.warning("After round %d the network answers NaN or infinite values.", report.round)
        self.history.append(entry)
        self.accepted.update(dict.fromkeys(report.used, report.round))
        memories = {} if self.grid is None else self.grid.memories(report.bytes_up)
        server = {
            "state_dict": state_of(self.sides.coordinator.state_dict()),
            **written_by(),
            "history": self.history,
            "accepted": self.accepted,
            "seconds": self.seconds,
        }
        if self.checkpoint is not None:
            self.checkpoint.save(server, report.round, memories)
        if self.progress is not None:
            self.progress.step(report.round)
            self.progress.say(round_line(self.name, self.history, self.federation.num_rounds))
        self._since = time.perf_counter()


def answers_of(module: SpikingModule, batches: Batches, final: bool) -> tuple[dict[str, Tensor], Tensor]:
    """Return class probabilities [N, C] of each prediction by name, and the labels [N].

    Args:
        module: the global module; its mode is put back.
        batches: pairs ``(x, labels)``.
        final: ask for the full ensemble.
    """
    training = module.training
    module.eval()
    found = answers(batches, lambda x: module.answers(x.to(module.device, torch.float32), final))
    module.train(training)
    labels = found.pop("labels")
    return found, labels


def round_line(name: str, history: list[dict[str, Any]], num_rounds: int) -> str:
    """Return the last validation accuracy of every prediction of a run."""
    seen = [entry for entry in history if "scores" in entry]
    if not seen:
        return name
    scores = seen[-1]["scores"]
    several = len(scores) > 1
    words = [f"{kind + ' ' if several else ''}{100 * found['accuracy']:.1f} %" for kind, found in scores.items()]
    return f"{name:<28} round {history[-1]['round']}/{num_rounds}  validation accuracy {', '.join(words)}"


def _mean(values: dict[int, Any]) -> float:
    return sum(values.values()) / len(values) if values else 0.0
