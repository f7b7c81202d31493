"""From the runs of a federation to its table, its pictures and results.json."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from snntorch_binary._files import write_json
from snntorch_binary._text import mean_and_spread, over_seeds
from snntorch_binary.experiments.federate.federation import Federation
from snntorch_binary.experiments.federate.runs import FederatedRun
from snntorch_binary.metrics import Difference, differences_table, evaluate, paired_differences
from snntorch_binary.plots import reliability_diagram, rounds_curve


def rows_of(federation: Federation, runs: Sequence[FederatedRun]) -> list[dict[str, Any]]:
    """Return one row a run and prediction, as in results.json; bytes are of the real messages, a client and round."""
    rows = []
    for run in runs:
        up = statistics.fmean(entry["bytes_up"] for entry in run.history)
        down = statistics.fmean(entry["bytes_down"] for entry in run.history)
        for prediction, probabilities in run.probabilities.items():
            rows.append(
                {
                    "dataset": federation.name,
                    "method": run.method,
                    "prediction": prediction,
                    "seed": run.seed,
                    **asdict(evaluate(probabilities, run.labels)),
                    "bytes_up": round(up),
                    "bytes_down": round(down),
                    "num_clients": federation.num_clients,
                    "clients_per_round": federation.clients_per_round,
                    "num_rounds": federation.num_rounds,
                    "left_out": sum(len(entry["left_out"]) for entry in run.history),
                    "train_seconds": round(run.train_seconds, 1),
                }
            )
    return rows


def report(federation: Federation, runs: list[FederatedRun], out: Path, console: Console) -> None:
    """Print the table, draw the pictures and write results.json."""
    rows = rows_of(federation, runs)
    write_json(out / "results.json", rows)
    console.print(federation_table(rows))
    differences = compared(runs)
    if differences:
        console.print(differences_table(differences))
    plain = {pair: {name: asdict(value) for name, value in of.items()} for pair, of in differences.items()}
    write_json(out / "differences.json", plain)
    rounds_curve(_curves(runs, lambda run: range(1, len(run.history) + 1)), out / "rounds.png")
    rounds_curve(_curves(runs, _sent), out / "bytes.png", x="uplink of all clients (MB)", logarithmic=True)
    reliability_diagram(
        {
            _label(run.method, name): (probabilities, run.labels)
            for run in runs
            if run.seed == runs[0].seed
            for name, probabilities in run.probabilities.items()
            if name != "mode"
        },
        out / "reliability.png",
    )
    files = "results.json, results.csv, differences.json, rounds.png, bytes.png, reliability.png"
    console.print(f"Written to {out}: {files}", markup=False, highlight=False)


def federation_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return a table of accuracy, calibration and bytes of each method and prediction, averaged over seeds."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["method"], row["prediction"]), []).append(row)
    first = rows[0]
    title = f"{first['dataset']}, {first['num_clients']} clients, {first['clients_per_round']} a round"
    seeds = over_seeds([len(group) for group in groups.values()])
    caption = f"{first['num_rounds']} rounds; {seeds}\nkB: sent by a client, and to it, a round"
    table = Table(title=title, caption=caption, box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("method", overflow="fold")
    for heading in ("accuracy %", "ECE %", "NLL", "kB up", "kB down"):
        table.add_column(heading.replace(" ", "\n"), justify="right", no_wrap=True)
    for (method, prediction), group in groups.items():
        table.add_row(
            _label(method, prediction),
            _spread(group, "accuracy", 100, 2),
            _spread(group, "ece", 100, 2),
            _spread(group, "nll", 1, 3),
            f"{statistics.fmean(row['bytes_up'] for row in group) / 1e3:.1f}",
            f"{statistics.fmean(row['bytes_down'] for row in group) / 1e3:.1f}",
        )
    return table


def compared(runs: Sequence[FederatedRun]) -> dict[str, dict[str, Difference]]:
    """Return the paired differences of every prediction from the first method's first, over examples and seeds."""
    answers: dict[tuple[str, str], dict[int, Any]] = {}
    for run in runs:
        for prediction, probabilities in run.probabilities.items():
            answers.setdefault((run.method, prediction), {})[run.seed] = probabilities
    (base, base_answers), *others = answers.items()
    labels = runs[0].labels
    return {
        f"{_label(*other)} - {_label(*base)}": paired_differences(
            torch.stack(list(of_seeds.values())), torch.stack([base_answers[seed] for seed in of_seeds]), labels
        )
        for other, of_seeds in others
        if of_seeds.keys() <= base_answers.keys()
    }


def _label(method: str, prediction: str) -> str:
    return method if prediction == "single" else f"{method}, {prediction}"


def _spread(rows: Sequence[dict[str, Any]], score: str, factor: int, decimals: int) -> str:
    return mean_and_spread([factor * row[score] for row in rows], decimals)


def _sent(run: FederatedRun) -> list[float]:
    """Return the uplink of all clients up to each round, in MB."""
    total, sent = 0.0, []
    for entry in run.history:
        total += entry["bytes_up"] * entry["answers"] / 1e6
        sent.append(total)
    return sent


def _curves(
    runs: Sequence[FederatedRun], x_of: Callable[[FederatedRun], Sequence[float]]
) -> dict[str, list[tuple[list[float], list[float]]]]:
    """Return validation accuracy of the last prediction (the ensemble where there is one) of every run by method."""
    curves: dict[str, list[tuple[list[float], list[float]]]] = {}
    for run in runs:
        x = x_of(run)
        seen = [(x[index], entry["scores"]) for index, entry in enumerate(run.history) if "scores" in entry]
        name = list(run.probabilities)[-1]
        points = ([at for at, _ in seen], [scores[name]["accuracy"] for _, scores in seen])
        curves.setdefault(_label(run.method, name), []).append(points)
    return curves
