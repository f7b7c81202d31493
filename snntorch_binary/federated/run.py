"""Whole federations on this machine, run by run; an interrupted one continues."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from snntorch_binary._files import RunFolder
from snntorch_binary.data import Splits, collate
from snntorch_binary.experiments.progress import RunsProgress
from snntorch_binary.experiments.runs import check_output, write_settings
from snntorch_binary.federated.checkpoint import RoundCheckpoint
from snntorch_binary.federated.evaluation import Evaluator
from snntorch_binary.federated.federation import make_federation, read_data, try_network
from snntorch_binary.federated.flower.apps import Protection, server_of
from snntorch_binary.federated.flower.client import client_app
from snntorch_binary.federated.flower.grid import InProcessGrid, run_in_process
from snntorch_binary.federated.flower.strategy import TooFewClientsError
from snntorch_binary.federated.method_file import check_method, finished, keep_finished, keep_method, run_folder
from snntorch_binary.federated.record import RoundRecord, round_line
from snntorch_binary.federated.settings import FederationSettings
from snntorch_binary.lightning.quiet import quiet


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


def run_all(settings: FederationSettings, out: Path, progress: RunsProgress) -> list[FederatedRun]:
    """Run every method and seed that has not been run already.

    Raises:
        ValueError: something in the settings is wrong, no client's answer ever counted, or what is learned answers NaN.
        OutputError: the folder cannot be written to, or holds runs made with other settings.
    """
    check_output(out, settings.fingerprint())
    folders = {
        (method, seed): out / "runs" / f"{method}-seed{seed}" for seed in settings.seeds for method in settings.methods
    }
    for (method, _), folder in folders.items():
        check_method(folder, settings.methods[method])
    files = {(method, seed): run_folder(folder, settings, method, seed) for (method, seed), folder in folders.items()}
    done = {run: _finished(*run, files[run]) for run in folders}
    missing = [run for run in folders if done[run] is None]
    data = _Data(settings)
    for method, seed in missing:  # a mistake in the last method is found out before the first has learned
        if seed == missing[0][1]:
            try_network(make_federation(settings, method, seed, data.of(method, seed)), method)
    write_settings(out, settings.fingerprint())
    runs = []
    with quiet(), progress:
        for (method, seed), found in done.items():
            of_run = files[method, seed]
            if found is None:
                kept = _run(settings, method, seed, data.of(method, seed), of_run, progress)
                keep_finished(of_run, kept)
                found = FederatedRun(method, seed, of_run.path, **kept)
            runs.append(found)
            progress.finish(round_line(of_run.path.name, found.history, settings.num_rounds))
    return runs


def _finished(method: str, seed: int, files: RunFolder) -> FederatedRun | None:
    return finished(FederatedRun, files, method=method, seed=seed, folder=files.path)


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
    files: RunFolder,
    progress: RunsProgress,
) -> dict[str, Any]:
    """Return what is kept of a run: all of its class that its folder does not say."""
    folder = files.path
    federation = make_federation(settings, method, seed, data)
    record = RoundRecord(federation, RoundCheckpoint(files), settings, folder.name, progress)
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
        try:
            run_in_process(server_of(settings, federation, record, seed), record.grid)
        except TooFewClientsError as error:
            raise ValueError(str(error)) from None
    if not any(entry["used"] for entry in record.history):
        reasons = record.history[-1]["left_out"]
        why = f"client {min(reasons)}: {reasons[min(reasons)]}" if reasons else "none was asked"
        raise ValueError(f"{folder.name} has learned nothing: no client's answer ever counted ({why}).")
    progress.say(f"{folder.name}  testing")
    tester = Evaluator(federation.splits.test, collate, settings.evaluation_batch_size)
    answers, labels = tester.answers(federation.module, final=True)
    if not all(bool(answer.isfinite().all()) for answer in answers.values()):
        raise ValueError(f"{folder.name} has learned a network that answers NaN or infinite values.")
    return {
        "probabilities": answers,
        "labels": labels,
        "history": record.history,
        "train_seconds": record.seconds,
    }
