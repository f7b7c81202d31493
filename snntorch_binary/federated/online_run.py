"""Federations of online devices on this machine, run by run; an interrupted call goes on with the next one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from snntorch_binary.data import SpikeDataset, Splits, load, unsigned_symbols
from snntorch_binary.experiments.progress import RunsProgress
from snntorch_binary.experiments.runs import check_output, write_settings
from snntorch_binary.federated.method_file import check_method, finished, keep_finished, keep_method, run_folder
from snntorch_binary.federated.online_device import CountedSince, OnlineDevice, exchange_
from snntorch_binary.federated.online_settings import ExchangeMethod, OnlineSettings
from snntorch_binary.kernels.noise import mix
from snntorch_binary.learning import OnlineGLM
from snntorch_binary.nn import WTANetwork, layered_mask
from snntorch_binary.nn.wta.circuits import draw_symbols

_BATCH = 200


@dataclass(frozen=True)
class OnlineRun:
    """A finished federation of online devices.

    Attributes:
        method: its name.
        seed: its seed.
        probabilities: what each device answers to the test part, [D, N, C], of each prediction by name: ``single`` free
            run, and the mean over several, ``ensemble``.
        validation: the same on the validation part.
        labels: test labels [N].
        validation_labels: labels of the validation part.
        scalars: numbers that a device sent in all.
        bytes: bytes of the tensors that a device sent in all, indices included.
        train_seconds: time spent on learning.
    """

    method: str
    seed: int
    probabilities: dict[str, Tensor]
    validation: dict[str, Tensor]
    labels: Tensor
    validation_labels: Tensor
    scalars: float
    bytes: float
    train_seconds: float


def run_online(settings: OnlineSettings, out: Path, progress: RunsProgress) -> list[OnlineRun]:
    """Run every method and seed that has not been run already.

    Raises:
        ValueError: something in the settings is wrong.
        OutputError: the folder cannot be written to, or holds runs made with other settings.
    """
    check_output(out, settings.fingerprint())
    splits = load(**settings.data)
    parts = {name: _spikes(getattr(splits, name), splits, settings.join) for name in ("train", "validation", "test")}
    for name, method in settings.methods.items():  # a mistake in the last one is found out before the first has learned
        make_devices(settings, method, settings.seeds[0], *parts["train"])
        for seed in settings.seeds:
            check_method(_folder(out, name, seed), method)
    write_settings(out, settings.fingerprint())
    runs = []
    with progress:
        for seed in settings.seeds:
            for name, method in settings.methods.items():
                folder = _folder(out, name, seed)
                files = run_folder(folder, settings, name, seed)
                progress.say(folder.name)
                found = finished(OnlineRun, files, method=name, seed=seed)
                if found is None:
                    keep_method(folder, method)
                    done = _run(settings, method, seed, parts)
                    keep_finished(files, done)
                    found = OnlineRun(name, seed, **done)
                runs.append(found)
                single = runs[-1].validation["single"].argmax(-1) == runs[-1].validation_labels
                accuracies = ", ".join(f"{100 * float(device.double().mean()):.1f} %" for device in single)
                progress.finish(f"{folder.name:<24} validation accuracy {accuracies}")
    return runs


def _folder(out: Path, method: str, seed: int) -> Path:
    return out / "runs" / f"{method}-seed{seed}"


Part = tuple[Tensor, Tensor]
"""Spikes, uint8 [N, T, N_in], and labels [N]."""


def _run(settings: OnlineSettings, method: ExchangeMethod, seed: int, parts: dict[str, Part]) -> dict[str, Any]:
    devices = make_devices(settings, method, seed, *parts["train"])
    begin = time.perf_counter()
    scalars = sent = 0
    tau = method.tau or settings.num_local_steps
    for begun in range(0, settings.num_local_steps, tau):
        num_steps = min(tau, settings.num_local_steps - begun)
        for device in devices:
            device.advance(num_steps)
        if num_steps == method.tau:
            shares = exchange_(devices, method.num_selected)
            scalars += sum(share.num_scalars for share in shares)
            sent += sum(share.num_bytes for share in shares)
    seconds = time.perf_counter() - begin
    answers = {
        name: [answer(device.net, parts[name][0], settings.num_samples) for device in devices]
        for name in ("validation", "test")
    }
    joined = {
        name: {key: torch.stack([each[key] for each in of_devices]) for key in of_devices[0]}
        for name, of_devices in answers.items()
    }
    return {
        "probabilities": joined["test"],
        "validation": joined["validation"],
        "labels": parts["test"][1],
        "validation_labels": parts["validation"][1],
        "scalars": scalars / len(devices),
        "bytes": sent / len(devices),
        "train_seconds": seconds,
    }


def make_devices(
    settings: OnlineSettings, method: ExchangeMethod, seed: int, spikes: Tensor, labels: Tensor
) -> list[OnlineDevice]:
    """Return a device for each class, all with the same network to begin with.

    Args:
        settings: of the network, rule and stream.
        method: how basis functions are chosen.
        seed: of the network and the streams.
        spikes: of all devices, uint8 [N, T, N_in].
        labels: [N].
    """
    num_classes = len(settings.data["classes"])
    devices = []
    for label in range(num_classes):
        torch.manual_seed(seed)
        sizes = spikes.shape[2], settings.hidden, num_classes
        net = WTANetwork(
            *sizes,
            feedback=settings.feedback,  # type: ignore[arg-type]  # it is checked there
            mask=layered_mask(*sizes, output_lateral=settings.feedback == "all"),
        )
        rule = OnlineGLM(net, settings.kappa, window=settings.window)
        since: CountedSince = "sent" if method.counted_since == "sent" else "exchange"
        mine = labels == label
        devices.append(
            OnlineDevice(net, spikes[mine], labels[mine], rule, settings.lr, since, num_classes * seed + label)
        )
    return devices


@torch.no_grad()
def answer(net: WTANetwork, spikes: Tensor, num_samples: int) -> dict[str, Tensor]:
    """Return class probabilities [N, C] of one free run, and the mean over several: the softmax of spike counts.

    Args:
        net: the network.
        spikes: uint8 [N, T, N_in].
        num_samples: free runs; what they draw is the same at every call.
    """
    counts = []
    for x in spikes.split(_BATCH):
        symbols = unsigned_symbols(x.transpose(0, 1).float(), polarities=False)
        if _sees_inputs_only(net):
            counts.append(_counts_from_inputs(net, symbols, num_samples))
        else:
            counts.append(torch.stack([net(symbols, seed).sum(0) for seed in range(num_samples)]))
    answers = torch.cat(counts, 1).softmax(-1)
    return {"single": answers[0], "ensemble": answers.mean(0)}


def _sees_inputs_only(net: WTANetwork) -> bool:
    return net.hidden is None and net.outputs.feedback is None and net.outputs.sources == (0,)


def _counts_from_inputs(net: WTANetwork, symbols: Tensor, num_samples: int) -> Tensor:
    """Return the spike counts [K, B, N_out] of K free runs in which nothing depends on what was drawn before."""
    drawn = [
        torch.stack([draw_symbols(step.outputs.log_probs, mix(seed, t, 0)).sum(-1) for seed in range(num_samples)])
        for t, step in enumerate(net.steps(symbols, seed=0))
    ]
    return torch.stack(drawn).sum(0)


def _spikes(dataset: SpikeDataset, splits: Splits, join: int) -> Part:
    """Return spikes without polarity, in time steps of which each is several of the data's."""
    x, labels = dataset.__getitems__(range(len(dataset)))
    symbols = unsigned_symbols(x, polarities=splits.input_shape[0] == 2 and len(splits.input_shape) == 3)
    spikes = symbols.squeeze(-1).transpose(0, 1).to(torch.uint8)
    whole = spikes.shape[1] // join * join
    return spikes[:, :whole].unflatten(1, (-1, join)).amax(2), labels
