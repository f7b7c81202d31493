"""From the runs of online devices to their table, their picture and results.json."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from snntorch_binary._files import write_json
from snntorch_binary._text import mean_and_spread, over_seeds
from snntorch_binary.experiments.fl_snn.federation import OnlineFederation
from snntorch_binary.experiments.fl_snn.runs import OnlineRun
from snntorch_binary.metrics import evaluate
from snntorch_binary.plots import load_curve

Row = dict[str, Any]


def online_rows(federation: OnlineFederation, runs: Sequence[OnlineRun]) -> list[Row]:
    """Return one row a run and prediction: scores are means over the devices, the load is of one device in all."""
    rows = []
    for run in runs:
        method = federation.methods[run.method]
        for prediction, of_devices in run.probabilities.items():
            scores = [asdict(evaluate(device, run.labels)) for device in of_devices]
            rows.append(
                {
                    "dataset": federation.name,
                    "classes": run.classes,
                    "method": run.method,
                    "prediction": prediction,
                    "seed": run.seed,
                    **{name: statistics.fmean(score[name] for score in scores) for name in scores[0]},
                    "worst_accuracy": min(score["accuracy"] for score in scores),
                    "tau": method.tau,
                    "num_selected": method.num_selected,
                    "counted_since": method.counted_since,
                    "scalars": round(run.scalars),
                    "bytes": round(run.bytes),
                    "num_local_steps": federation.num_local_steps,
                    "train_seconds": round(run.train_seconds, 1),
                }
            )
    return rows


def report_online(federation: OnlineFederation, runs: Sequence[OnlineRun], out: Path, console: Console) -> None:
    """Print the table, draw the picture and write results.json."""
    rows = online_rows(federation, runs)
    write_json(out / "results.json", rows)
    console.print(online_table(rows))
    single = [row for row in rows if row["prediction"] == "single"]
    curves: dict[str, dict[float, list[float]]] = {}
    for name, members in federation.curves.items():
        for row in single:
            if row["method"] in members and row["bytes"]:
                curves.setdefault(name, {}).setdefault(row["bytes"] / 1e3, []).append(row["accuracy"])
    files = "results.json, results.csv"
    if curves:
        alone = [row["accuracy"] for row in single if not row["tau"]]
        load_curve(curves, out / "load.png", alone=alone)
        files += ", load.png"
    console.print(f"Written to {out}: {files}", markup=False, highlight=False)


def online_table(rows: Sequence[Row]) -> Table:
    """Return a table of accuracy, calibration and load of each method, averaged over devices and seeds."""
    groups: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        groups.setdefault(row["method"], {}).setdefault(row["prediction"], []).append(row)
    first = rows[0]
    title = f"{first['dataset']}, a device for each of the classes {first['classes'].replace(' ', ', ')}"
    seeds = over_seeds([len(group["single"]) for group in groups.values()])
    caption = (
        f"{first['num_local_steps']} local steps a device; mean over devices; {seeds}\n"
        "τ: local steps between exchanges, n: basis functions a device sends; ens.: mean of several free runs\n"
        "kB: bytes of the tensors that a device sends in all"
    )
    table = Table(title=title, caption=caption, box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("method", overflow="fold")
    for heading in ("τ", "n", "kB", "accuracy %", "worst %", "ens. %", "ens. ECE %"):
        table.add_column(heading, justify="right", no_wrap=len(heading) < 8)
    for method, group in groups.items():
        single, ensemble = group["single"], group["ensemble"]
        tau, num = single[0]["tau"], single[0]["num_selected"]
        table.add_row(
            method,
            str(tau) if tau else "never",
            str(num) if tau else "",
            f"{statistics.fmean(row['bytes'] for row in single) / 1e3:,.0f}",
            _spread(single, "accuracy"),
            f"{100 * min(row['worst_accuracy'] for row in single):.1f}",
            _spread(ensemble, "accuracy"),
            _spread(ensemble, "ece"),
        )
    return table


def _spread(rows: Sequence[Row], score: str) -> str:
    return mean_and_spread([100 * row[score] for row in rows], 1)
