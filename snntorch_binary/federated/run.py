"""Whole federations on this machine, run by run; an interrupted one continues."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from snntorch_binary.data import Splits, collate
from snntorch_binary.federated.checkpoint import RoundCheckpoint
from snntorch_binary.federated.evaluation import Evaluator
from snntorch_binary.federated.federation import make_federation, read_data, try_network
from snntorch_binary.federated.flower.apps import Protection, server_of
from snntorch_binary.federated.flower.client import client_app
from snntorch_binary.federated.flower.grid import InProcessGrid, run_in_process
from snntorch_binary.federated.method_file import check_method, keep_method
from snntorch_binary.federated.record import RoundRecord, round_line
from snntorch_binary.federated.settings import FederationSettings
from snntorch_binary.lightning.progress import ComparisonProgress
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.lightning.settings import check_output, write_settings

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
        history: one entry a round: ``round``, ``used``, ``left_out``, number of ``answers``, mean ``bytes_up`` and
            ``bytes_down`` a client, where clients say it ``loss``, and where it was evaluated ``scores``, accuracy,
            ECE, NLL and Brier score on validation data of each prediction by name.
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
        ValueError: something in the settings is wrong, or no client's answer ever counted.
        OutputError: the folder cannot be written to, or holds runs made with other settings.
    """
    check_output(out, settings)
    planned = [(method, seed) for seed in settings.seeds for method in settings.methods]
    folders = {run: out / "runs" / f"{run[0]}-seed{run[1]}" for run in planned}
    missing = [run for run in planned if not (folders[run] / _DONE).exists()]
    data = _Data(settings)
    for method, seed in missing:  # a mistake in the last method is found out before the first has learned
        if seed == missing[0][1]:
            try_network(make_federation(settings, method, seed, data.of(method, seed)), method)
    for method, seed in planned:
        check_method(folders[method, seed], settings.methods[method])
    write_settings(out, settings)
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


def _run(
    settings: FederationSettings,
    method: str,
    seed: int,
    data: tuple[Splits, list[Tensor]],
    folder: Path,
    progress: ComparisonProgress,
) -> None:
    federation = make_federation(settings, method, seed, data)
    record = RoundRecord(federation, RoundCheckpoint(folder), settings, folder.name, progress)
    keep_method(folder, settings.methods[method])
    if settings.engine == "ray":
        from snntorch_binary.federated.flower.ray import run_on_ray

        # Ray's processes forget what clients remember where a run ends.
        clients = client_app(federation.participant, [Protection(settings)], folder.absolute() / "memories")
        record.resume()
        run_on_ray(server_of(settings, federation, record, seed, wait=60.0), clients, settings.num_clients)
    else:
        clients = client_app(federation.participant, [Protection(settings)])
        record.grid = InProcessGrid(clients, settings.num_clients)
        record.resume()
        run_in_process(server_of(settings, federation, record, seed), record.grid)
    if not any(entry["used"] for entry in record.history):
        reasons = record.history[-1]["left_out"]
        why = f"client {min(reasons)}: {reasons[min(reasons)]}" if reasons else "none was asked"
        raise ValueError(f"{folder.name} has learned nothing: no client's answer ever counted ({why}).")
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
