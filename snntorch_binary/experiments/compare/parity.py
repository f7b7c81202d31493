"""`compare two-moons --paper-exact`: the published arithmetic and constants, next to what the reference did.

The reference's learning curves were measured on its published code, unpatched, with its own hyper-parameters: 200
training points, accuracy and ECE (10 bins on [0.5, 1]) on 1,000 others, three seeds.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning as L
import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.data import DataLoader

from snntorch_binary._errors import expected
from snntorch_binary._files import RunFolder, write_json
from snntorch_binary.data import SpikeDataset, Splits, collate, load
from snntorch_binary.experiments.progress import RunsProgress
from snntorch_binary.learning import LocalNetwork
from snntorch_binary.lightning.bayes_bisnn import BayesBiSNN
from snntorch_binary.lightning.data import SeededSampler
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.lightning.spiking_module import SpikingModule
from snntorch_binary.lightning.st_bisnn import STBiSNN
from snntorch_binary.metrics import accuracy, expected_calibration_error
from snntorch_binary.nn.binary import BinaryLinear
from snntorch_binary.nn.neurons.refractory import Refractory
from snntorch_binary.nn.neurons.synaptic_trace import SynapticTrace
from snntorch_binary.weights import Bernoulli, Sign

EPOCHS = (1, 10, 25, 50, 100)
_BATCH_SIZE = {"st": 32, "bayes": 40}
_START = 10.0
_CURVES = "curves.pt"

Curve = dict[int, list[tuple[float, float]]]
"""(accuracy, ECE) of every seed, by epoch."""

REFERENCE: dict[tuple[str, str], Curve] = {
    ("st", "single"): {
        1: [(0.940, 0.036), (0.864, 0.071), (0.912, 0.040)],
        10: [(0.971, 0.040), (0.901, 0.040), (0.921, 0.029)],
        25: [(0.914, 0.038), (0.898, 0.052), (0.885, 0.084)],
        50: [(0.930, 0.018), (0.933, 0.031), (0.914, 0.055)],
        100: [(0.930, 0.040), (0.841, 0.089), (0.904, 0.049)],
    },
    ("bayes", "mode"): {
        1: [(0.916, 0.278), (0.916, 0.277), (0.894, 0.243)],
        10: [(0.960, 0.316), (0.916, 0.271), (0.901, 0.241)],
        25: [(0.856, 0.246), (0.842, 0.216), (0.832, 0.203)],
        50: [(0.583, 0.042), (0.756, 0.189), (0.675, 0.081)],
        100: [(0.302, 0.269), (0.530, 0.025), (0.670, 0.100)],
    },
    ("bayes", "ensemble"): {
        1: [(0.923, 0.286), (0.910, 0.273), (0.896, 0.245)],
        10: [(0.975, 0.333), (0.939, 0.295), (0.906, 0.241)],
        25: [(0.949, 0.326), (0.923, 0.290), (0.903, 0.249)],
        50: [(0.972, 0.267), (0.984, 0.287), (0.927, 0.224)],
        100: [(0.984, 0.102), (0.994, 0.130), (0.969, 0.094)],
    },
}
"""The reference's learning curves on two moons."""


def _network(rule: str, splits: Splits, seed: int) -> LocalNetwork:
    """Return 20-256-256 with weights starting at fair coins, and latents at ±10."""
    torch.manual_seed(seed)
    weight = Sign("identity") if rule == "st" else Bernoulli(1.0, 0.5, "gumbel", _START)
    blocks = []
    for fan_in, size in pairwise((math.prod(splits.input_shape), 256, 256)):
        layer = BinaryLinear(fan_in, size, bias=False, weight=weight)
        with torch.no_grad():
            layer.latent.copy_(_START * (2.0 * torch.randint(2, layer.latent.shape) - 1))
        blocks.append(nn.Sequential(SynapticTrace(), layer, Refractory()))
    return LocalNetwork(blocks, 1, splits.input_shape, burn_in=10, seed=seed)


def _module(rule: str, net: nn.Module) -> SpikingModule:
    if rule == "st":
        return STBiSNN(net, 2, latent_lr=750.0, cosine=False, credit="online", paper_exact=True)
    return BayesBiSNN(net, 2, 0.1, 5e-4, betas=None, cosine=False, credit="online", paper_exact=True)


class _Watch(L.Callback):
    """Measures the network at the epochs of the table."""

    def __init__(self, test: SpikeDataset, progress: RunsProgress) -> None:
        self.curves: dict[str, dict[int, tuple[float, float]]] = {}
        self._test = test
        self._progress = progress

    @torch.no_grad()
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, SpikingModule)
        epoch = trainer.current_epoch + 1
        self._progress.step(epoch)
        if epoch not in EPOCHS:
            return
        pl_module.eval()
        x, labels = self._test.__getitems__(range(len(self._test)))
        for name, probabilities in pl_module.answers(x, final=True).items():
            if name == "draw":  # the reference has none
                continue
            ece = expected_calibration_error(probabilities, labels, num_bins=10, low=0.5)
            self.curves.setdefault(name, {})[epoch] = (accuracy(probabilities, labels), ece)
        pl_module.train()


@dataclass(frozen=True)
class _Plan:
    rule: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.rule}-seed{self.seed}"


def run_parity(rules: Sequence[str], seeds: Sequence[int], epochs: int | None, out: Path, console: Console) -> None:
    """Train with the published arithmetic, print ours next to the reference's curves, and write parity.json.

    Raises:
        ValueError: only full precision is asked for.
    """
    plans = [_Plan(rule, seed) for seed in seeds for rule in ("st", "bayes") if rule in rules]
    if not plans:
        raise ValueError(expected("rules", "st or bayes with --paper-exact", ", ".join(rules)))
    num_epochs = epochs or max(EPOCHS)
    ours: dict[tuple[str, str], Curve] = {}
    with quiet(), RunsProgress(console, len(plans), num_epochs) as progress:
        for plan in plans:
            run = {"rule": plan.rule, "seed": plan.seed, "epochs": num_epochs}
            folder = RunFolder(out / "runs" / f"{plan.name}-{num_epochs}", run, progress.note)
            progress.say(plan.name)
            found = folder.read_tensors(_CURVES)
            if found is None:
                found = _train(plan, num_epochs, progress)
                folder.write_tensors(_CURVES, found)
            for prediction, curve in found.items():
                for epoch, (score, ece) in curve.items():
                    ours.setdefault((plan.rule, prediction), {}).setdefault(int(epoch), []).append((score, ece))
            progress.finish(plan.name)
    rows = _rows(ours)
    write_json(out / "parity.json", rows)
    console.print()
    console.print(_table(rows))
    console.print(f"Written to {out}: parity.json", highlight=False, markup=False, soft_wrap=True)


def _train(plan: _Plan, num_epochs: int, progress: RunsProgress) -> dict[str, Any]:
    splits = load("two-moons")
    # The reference draws its spikes once.
    train = SpikeDataset(
        splits.train.inputs,
        splits.train.labels,
        num_steps=splits.num_steps,
        encoder=splits.train.encoder,
        seed=plan.seed,
        fixed=True,
    )
    loader = DataLoader(
        train, batch_size=_BATCH_SIZE[plan.rule], sampler=SeededSampler(len(train), plan.seed), collate_fn=collate
    )
    module = _module(plan.rule, _network(plan.rule, splits, plan.seed))
    watch = _Watch(splits.test, progress)
    trainer = L.Trainer(
        max_epochs=num_epochs,
        devices=1,
        callbacks=[watch],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(module, loader)
    return {name: {str(epoch): point for epoch, point in curve.items()} for name, curve in watch.curves.items()}


def _rows(ours: dict[tuple[str, str], Curve]) -> list[dict[str, Any]]:
    rows = []
    for key, curve in ours.items():
        for epoch, points in curve.items():
            for index, score in enumerate(("accuracy", "ece")):
                a = [point[index] for point in points]
                b = [point[index] for point in REFERENCE[key][epoch]]
                row = {
                    "rule": key[0],
                    "prediction": key[1],
                    "epoch": epoch,
                    "score": score,
                    "ours": a,
                    "reference": b,
                    "within_seed_noise": _alike(a, b),
                }
                rows.append(row)
    return rows


def _alike(a: list[float], b: list[float]) -> bool | None:
    """Say whether two means are within three standard errors of each other; ``None`` for a single seed."""
    if len(a) < 2:
        return None
    error = math.sqrt(statistics.variance(a) / len(a) + statistics.variance(b) / len(b))
    return abs(statistics.fmean(a) - statistics.fmean(b)) <= 3 * error


def _table(rows: list[dict[str, Any]]) -> Table:
    caption = (
        "mean and range over seeds; noise: the means are within three standard errors of each other;\n"
        "ECE: 10 bins on [0.5, 1]"
    )
    table = Table(title="two-moons, published arithmetic", caption=caption, caption_justify="left")
    for heading in ("rule", "epoch", "score"):
        table.add_column(heading)
    for heading in ("ours", "reference", "noise"):
        table.add_column(heading, justify="right")
    for row in rows:
        label = row["rule"] if row["prediction"] == "single" else f"{row['rule']} {row['prediction']}"
        verdict = {True: "yes", False: "no", None: "one seed"}[row["within_seed_noise"]]
        table.add_row(label, str(row["epoch"]), row["score"], *map(_range, (row["ours"], row["reference"])), verdict)
    return table


def _range(values: list[float]) -> str:
    return f"{statistics.fmean(values):.3f} ({min(values):.3f}..{max(values):.3f})"
