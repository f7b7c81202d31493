"""Whole federations on this machine, run by run; an interrupted one continues."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from snntorch_binary.data import Splits, collate
from snntorch_binary.federated.checkpoint import RoundCheckpoint
from snntorch_binary.federated.evaluation import Evaluator
from snntorch_binary.federated.federation import Federation, make_federation, read_data
from snntorch_binary.federated.flower.apps import modifiers
from snntorch_binary.federated.flower.client import client_app
from snntorch_binary.federated.flower.grid import InProcessGrid, run_in_process
from snntorch_binary.federated.flower.server import server_app
from snntorch_binary.federated.flower.strategy import RoundReport
from snntorch_binary.federated.settings import FederationSettings
from snntorch_binary.lightning.progress import ComparisonProgress
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.lightning.settings import OutputError, check_output, write_text

_DONE = "predictions.pt"


@dataclass(frozen=True)
class FederatedRun:
    """A finished federation.

    Attributes:
        method: its name.
        seed: its seed.
        folder: where its checkpoint is.
        probabilities: class probabilities [N, C] on the test part, of each prediction by name.
        labels: test labels [N].
        history: one entry a round: ``round``, ``used``, ``left_out``, mean ``bytes_up`` and ``bytes_down`` a client,
            ``loss``, and where it was evaluated ``scores``, accuracy, ECE, NLL and Brier score on validation data of
            each prediction by name.
        train_seconds: time spent on learning.
    """

    method: str
    seed: int
    folder: Path
    probabilities: dict[str, Tensor]
    labels: Tensor
    history: list[dict[str, Any]]
    train_seconds: float


def run_all(settings: FederationSettings, out: Path, progress: ComparisonProgress) -> list[FederatedRun]:
    """Run every method and seed that has not been run already.

    Raises:
        ValueError: something in the settings is wrong.
        OutputError: the folder cannot be written to, or holds runs made with other settings.
    """
    check_output(out, settings)  # type: ignore[arg-type]
    planned = [(method, seed) for seed in settings.seeds for method in settings.methods]
    folders = {run: out / "runs" / f"{run[0]}-seed{run[1]}" for run in planned}
    missing = [run for run in planned if not (folders[run] / _DONE).exists()]
    data = _Data(settings)
    for method, seed in missing:  # a mistake in the last method is found out before the first has learned
        if seed == missing[0][1]:
            make_federation(settings, method, seed, data.of(method, seed))
    for method, seed in planned:
        _check_method(folders[method, seed], settings, method)
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / "settings.json", json.dumps(settings.fingerprint(), indent=2) + "\n")
    except OSError as error:
        raise OutputError(f"The results cannot be written to {out}: {error.strerror}.") from None
    runs = []
    with quiet(), progress:
        for (method, seed), folder in folders.items():
            if (method, seed) in missing:
                _run(settings, method, seed, data.of(method, seed), folder, progress)
            done = torch.load(folder / _DONE, weights_only=True)
            runs.append(FederatedRun(method, seed, folder, **done))
            progress.finish(round_line(folder.name, runs[-1].history, settings.num_rounds))
    return runs


class _Data:
    """What was read last, which the next run mostly needs again."""

    def __init__(self, settings: FederationSettings) -> None:
        self._settings = settings
        self._key: tuple[dict[str, Any], int] | None = None
        self._data: tuple[Splits, list[Tensor]] | None = None

    def of(self, method: str, seed: int) -> tuple[Splits, list[Tensor]]:
        """Return a method's data and the parts of the clients."""
        key = self._settings.methods[method].data, seed
        if self._data is None or key != self._key:
            self._key, self._data = key, read_data(self._settings, method, seed)
        return self._data


def _check_method(folder: Path, settings: FederationSettings, method: str) -> None:
    """Refuse to go on with a method that is described otherwise than when its folder was made."""
    path, now = folder / "method.json", json.loads(json.dumps(asdict(settings.methods[method])))
    if path.exists() and json.loads(path.read_text()) != now:
        raise OutputError(f"{folder} holds another method of this name; give another --out or remove the folder.")


def _run(
    settings: FederationSettings,
    method: str,
    seed: int,
    data: tuple[Splits, list[Tensor]],
    folder: Path,
    progress: ComparisonProgress,
) -> None:
    federation = make_federation(settings, method, seed, data)
    checkpoint = RoundCheckpoint(folder)
    record = RoundRecord(federation, checkpoint, settings, folder.name, progress)
    found = checkpoint.load()
    clients = client_app(federation.participant, modifiers(settings))
    grid = InProcessGrid(clients, settings.num_clients)
    if found is not None:
        record.resume(found[0])
        grid.set_memories(found[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "method.json", json.dumps(asdict(settings.methods[method]), indent=2) + "\n")
    server = server_app(
        federation.coordinator,
        settings.num_rounds,
        settings.clients_per_round,
        seed,
        rounds_done=record.rounds_done,
        accepted=record.accepted,
        wait=0.0 if settings.engine == "in-process" else 60.0,
        on_round=record.after_round,
    )
    if settings.engine == "ray":
        from snntorch_binary.federated.flower.ray import run_on_ray

        run_on_ray(server, clients, settings.num_clients)
    else:
        record.grid = grid
        run_in_process(server, grid)
    progress.say(f"{folder.name}  testing")
    tester = Evaluator(federation.splits.test, collate, settings.evaluation_batch_size)
    answers, labels = tester.answers(federation.module, final=True)
    done = {
        "probabilities": answers,
        "labels": labels,
        "history": record.history,
        "train_seconds": record.seconds,
    }
    temporary = folder / f".{_DONE}"
    torch.save(done, temporary)
    os.replace(temporary, folder / _DONE)


class RoundRecord:
    """Looks at the global network after each round, keeps what it saw, and writes the checkpoint.

    Args:
        federation: whose rounds these are.
        checkpoint: where they are kept.
        settings: the federation's.
        name: of the run, for the progress display.
        progress: the display, or ``None``.
    """

    def __init__(
        self,
        federation: Federation,
        checkpoint: RoundCheckpoint,
        settings: FederationSettings,
        name: str = "",
        progress: ComparisonProgress | None = None,
    ) -> None:
        self.federation = federation
        self.checkpoint = checkpoint
        self.settings = settings
        self.name = name
        self.progress = progress
        self.grid: InProcessGrid | None = None
        self.history: list[dict[str, Any]] = []
        self.accepted: dict[int, int] = {}
        self.rounds_done = 0
        self.seconds = 0.0
        self._evaluator = Evaluator(federation.splits.validation, collate, settings.evaluation_batch_size)
        self._since = time.perf_counter()

    def resume(self, server: dict[str, Any]) -> None:
        """Go on from what a checkpoint holds."""
        self.federation.coordinator.load_state_dict(server["state"])
        self.history, self.accepted = server["history"], server["accepted"]
        self.rounds_done, self.seconds = server["round"], server["seconds"]

    def after_round(self, report: RoundReport) -> None:
        """Evaluate, remember and save."""
        now = time.perf_counter()
        self.seconds += now - self._since
        entry: dict[str, Any] = {
            "round": report.round,
            "used": report.used,
            "left_out": report.left_out,
            "bytes_up": _mean(report.bytes_up),
            "bytes_down": _mean(report.bytes_down),
            "loss": _mean({client: found["loss"] for client, found in report.metrics.items() if "loss" in found}),
        }
        last = report.round == self.settings.num_rounds
        if report.round % self.settings.evaluate_every == 0 or last:
            scores = self._evaluator.scores(self.federation.module)
            entry["scores"] = {name: asdict(found) for name, found in scores.items()}
        self.history.append(entry)
        self.accepted.update(dict.fromkeys(report.used, report.round))
        memories = {} if self.grid is None else self.grid.memories(report.bytes_up)
        server = {
            "state": self.federation.coordinator.state_dict(),
            "history": self.history,
            "accepted": self.accepted,
            "seconds": self.seconds,
        }
        self.checkpoint.save(server, report.round, memories)
        if self.progress is not None:
            self.progress.step(report.round)
            for client, reason in sorted(report.left_out.items()):
                self.progress.note(f"{self.name}: round {report.round} went on without client {client}: {reason}")
            self.progress.say(round_line(self.name, self.history, self.settings.num_rounds))
        self._since = time.perf_counter()


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
