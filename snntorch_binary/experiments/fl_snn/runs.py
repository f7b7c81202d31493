"""Federations of online devices on this machine, run by run; an interrupted call goes on with the next one."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from snntorch_binary._errors import expected
from snntorch_binary._files import RunFolder
from snntorch_binary.data import unsigned_symbols
from snntorch_binary.experiments.data import Batches, LoadedData
from snntorch_binary.experiments.description import RunDescription, write_weights
from snntorch_binary.experiments.examples import training_examples
from snntorch_binary.experiments.fl_snn.federation import ExchangeMethod, OnlineFederation
from snntorch_binary.experiments.named import Named
from snntorch_binary.experiments.progress import RunProgress, RunsProgress
from snntorch_binary.experiments.results_folder import check_output
from snntorch_binary.experiments.runs import PlannedRun, carry_out
from snntorch_binary.federated.fl_snn.device import OnlineDevice, exchange_
from snntorch_binary.kernels.noise import mix
from snntorch_binary.learning import OnlineGLM
from snntorch_binary.nn import WTANetwork
from snntorch_binary.nn.wta.circuits import draw_symbols

RESULT = "predictions.pt"
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
        classes: names of the classes, separated by blanks.
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
    classes: str


_HAS = frozenset(field.name for field in fields(OnlineRun)) - {"method", "seed"}
Part = tuple[Tensor, Tensor]
"""Spikes, uint8 [N, T, N_in], and labels [N]."""


@dataclass(frozen=True)
class Parts:
    """The data of all runs: ``train``, ``validation`` and ``test``, and how they were read."""

    train: Part
    validation: Part
    test: Part
    data: LoadedData


def run_online(federation: OnlineFederation, out: Path, progress: RunsProgress) -> list[OnlineRun]:
    """Run every method and seed that has not been run already.

    Raises:
        ValueError: something in the federation is wrong.
        OutputError: the folder cannot be written to, or holds runs made with other settings.
    """
    settings = {**federation.plain(), "methods": {name: asdict(of) for name, of in federation.methods.items()}}
    check_output(out, settings)  # before the data are read, which takes long
    parts = read_parts(federation)
    for of in federation.methods.values():  # a mistake in the last one is found out before the first has learned
        make_devices(federation, of, federation.seeds[0], parts)
    runs = [(method, seed) for seed in federation.seeds for method in federation.methods]
    plan = []
    for method, seed in runs:
        train = partial(_run, federation=federation, method=method, seed=seed, parts=parts)
        plan.append(PlannedRun(*federation.run(method, seed), train, RESULT, _HAS))
    results = carry_out(plan, out, settings, progress, _line)
    return [OnlineRun(*run, **result) for run, result in zip(runs, results, strict=True)]


def _line(name: str, result: dict[str, Any]) -> str:
    single = result["validation"]["single"].argmax(-1) == result["validation_labels"]
    accuracies = ", ".join(f"{100 * float(device.double().mean()):.1f} %" for device in single)
    return f"{name:<24} validation accuracy {accuracies}"


def _run(
    files: RunFolder,
    progress: RunProgress,
    *,
    federation: OnlineFederation,
    method: str,
    seed: int,
    parts: Parts,
) -> dict[str, Any]:
    progress.say(files.path.name)
    of = federation.methods[method]
    devices = make_devices(federation, of, seed, parts)
    begin = time.perf_counter()
    scalars = sent = 0
    tau = of.tau or federation.num_local_steps
    for begun in range(0, federation.num_local_steps, tau):
        num_steps = min(tau, federation.num_local_steps - begun)
        for device in devices:
            device.advance(num_steps)
        if num_steps == of.tau:
            shares = exchange_(devices, of.num_selected)
            scalars += sum(share.num_scalars for share in shares)
            sent += sum(share.num_bytes for share in shares)
    seconds = time.perf_counter() - begin
    _keep(files, federation, parts, devices)
    test = [answer(device.net, parts.test[0], federation.num_samples) for device in devices]
    validation = [answer(device.net, parts.validation[0], federation.num_samples) for device in devices]
    return {
        "probabilities": _stacked(test),
        "validation": _stacked(validation),
        "labels": parts.test[1],
        "validation_labels": parts.validation[1],
        "scalars": scalars / len(devices),
        "bytes": sent / len(devices),
        "train_seconds": seconds,
        "classes": " ".join(parts.data.class_names),
    }


def _stacked(of_devices: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([each[name] for each in of_devices]) for name in of_devices[0]}


def _keep(files: RunFolder, federation: OnlineFederation, parts: Parts, devices: list[OnlineDevice]) -> None:
    """Write the networks of all devices, and a description of them."""
    data = parts.data
    described = RunDescription(
        _network(federation, parts),
        "online-glm",
        None,
        data.num_classes,
        data.class_names,
        federation.data.plain(),
        data.input_shape,
        data.num_steps,
        {"readout": "rate"},
        federation.num_samples,
    )
    described.write(files.path)
    for number, device in enumerate(devices):
        write_weights(files, f"device{number}.ckpt", device.net)


def make_devices(federation: OnlineFederation, method: ExchangeMethod, seed: int, parts: Parts) -> list[OnlineDevice]:
    """Return a device for each class, all with the same network to begin with.

    Args:
        federation: of the network, rule and stream.
        method: how basis functions are chosen.
        seed: of the network and the streams.
        parts: the data of all devices.
    """
    spikes, labels = parts.train
    num_classes = parts.data.num_classes or 0
    devices = []
    for label in range(num_classes):
        torch.manual_seed(seed)
        net = _network(federation, parts).call("network")
        rule = OnlineGLM(net, federation.kappa, window=federation.window)
        mine = labels == label
        own_seed = num_classes * seed + label
        devices.append(
            OnlineDevice(net, spikes[mine], labels[mine], rule, federation.lr, method.counted_since, own_seed)
        )
    return devices


def _network(federation: OnlineFederation, parts: Parts) -> Named:
    sizes = {"num_inputs": parts.train[0].shape[2], "num_hidden": federation.hidden}
    outputs = {"num_outputs": parts.data.num_classes, "feedback": federation.feedback}
    return Named("snntorch_binary.models.layered_network", {**sizes, **outputs})


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


def read_parts(federation: OnlineFederation) -> Parts:
    """Return the data of all runs.

    Raises:
        ValueError: they are no spikes over time of at least two classes.
    """
    data = federation.data.load()
    time_first = getattr(federation.data, "time", "first") == "first"
    if (data.num_classes or 0) < 2 or data.num_steps is None or not time_first:
        what = "spikes over time, [T, ...] each, of at least two classes"
        raise ValueError(expected("data", what, federation.data.label))
    examples = training_examples(data)
    train = DataLoader(examples.dataset, _BATCH, collate_fn=examples.collate)
    polarities = len(data.input_shape) == 3 and data.input_shape[0] == 2
    first, second, third = (
        _spikes(batches, polarities, federation.join) for batches in (train, data.validation(), data.test())
    )
    return Parts(first, second, third, data)


def _spikes(batches: Batches, polarities: bool, join: int) -> Part:
    """Return spikes without polarity, in time steps of which each is several of the data's."""
    found, labels = [], []
    for x, of_batch in batches:
        if not bool(((x == 0) | (x == 1)).all()):
            raise ValueError(expected("data", "spikes, 0 or 1", "other numbers"))
        spikes = unsigned_symbols(x, polarities=polarities).squeeze(-1).transpose(0, 1).to(torch.uint8)
        whole = spikes.shape[1] // join * join
        found.append(spikes[:, :whole].unflatten(1, (-1, join)).amax(2))
        labels.append(of_batch)
    return torch.cat(found), torch.cat(labels)
