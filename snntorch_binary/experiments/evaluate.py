"""What a trained run answers: to data with labels, with its scores, and to files that nobody has labelled."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from snntorch_binary._errors import expected
from snntorch_binary.data import SpikeDataset, registry
from snntorch_binary.data.unlabelled import read_unlabelled
from snntorch_binary.experiments.answers import answers
from snntorch_binary.experiments.data import LoadedData, ShippedData, Source, UserData, in_order
from snntorch_binary.experiments.description import READING, TrainedRun
from snntorch_binary.experiments.experiment import as_plain
from snntorch_binary.experiments.named import Named, typed
from snntorch_binary.inference import sample_scores
from snntorch_binary.inference.readout import class_scores
from snntorch_binary.lightning.tasks import Classification, Regression
from snntorch_binary.metrics import evaluate, evaluate_regression
from snntorch_binary.weights import binary_layers

_BATCH = 200


def answers_of(run: TrainedRun, x: Tensor, num_members: int | None = None) -> dict[str, Tensor]:
    """Return each prediction of a run by name: class probabilities [B, C], or mean and standard deviation [B, 2].

    ``"single"`` is that of a network in full precision or of ST-BiSNN, which has an ``"ensemble"`` where its run holds
    networks that its training passed; one with a posterior has a ``"mode"`` and an ``"ensemble"``.

    Args:
        run: the run.
        x: its input.
        num_members: members of the ensemble; by default as many as the run says.

    Raises:
        CheckpointError: the network does not answer this way.
        ValueError: the input does not fit it.
    """
    described, net = run.description, run.net
    task = Regression() if described.num_classes is None else Classification(described.num_classes)
    reading: dict[str, Any] = dict(described.reading)
    layers = binary_layers(net).values()
    count, drawn = run.num_members if num_members is None else num_members, any(each.rule.is_drawn for each in layers)
    if not drawn and run.passed is None and num_members is not None and num_members > 1:
        what = "left out for a run without a posterior, which has one member"
        raise ValueError(expected("--members", what, num_members))
    if not drawn:
        words: Any = [reading.get(name) for name in READING]
        with torch.no_grad():
            found = {"single": class_scores(net, x, *words)[None]}
            members = {} if run.passed is None else run.members(count)
            for step, member in members.items():
                if run.norms is not None:
                    run.norms.put_(member, step)
            if members:
                found["ensemble"] = torch.stack([class_scores(member, x, *words) for member in members.values()])
    else:
        generator = torch.Generator().manual_seed(0)  # the same members for every batch
        mode, samples = sample_scores(net, x, count, generator=generator, norms=run.norms, **reading)
        found = {"mode": mode[None], "draw": samples[:1], "ensemble": samples}
    for scores in found.values():
        if isinstance(task, Regression):
            task.check(scores.shape[-1])  # what rows and tables have is one number an example
        else:
            task.check_scores(scores[0])
    return {name: task.answer(scores) for name, scores in found.items()}


def evaluate_run(run: TrainedRun, data: LoadedData, name: str, num_members: int | None = None) -> list[dict[str, Any]]:
    """Return a row of scores for each prediction of a run on the test part of some data; see :func:`load_for`."""
    described = run.description
    found = answers(data.test(), partial(answers_of, run, num_members=num_members))
    labels = found.pop("labels")
    rows = []
    for prediction, values in found.items():
        if described.num_classes is None:
            scores: Any = evaluate_regression(values[:, 0], values[:, 1], labels)
        else:
            scores = evaluate(values, labels)
        rule = next((layer.rule for layer in binary_layers(run.net).values()), None)
        members = run.num_members if num_members is None else num_members
        bits = 32.0 if rule is None else float(rule.bits or 32) * (members if prediction == "ensemble" else 1)
        row = {"dataset": name, "rule": described.rule or "network", "credit": "", "prediction": prediction, "seed": 0}
        rows.append({**row, **vars(scores), "bits_per_weight": bits, "train_seconds": 0.0})
    return rows


def own_data(run: TrainedRun, given: Source | None, data_dir: str | None, download: bool = False) -> Source:
    """Return the data that a run is asked about: those that are given, or those it learned from.

    Raises:
        ValueError: the run learned from data of the user's own, which he has to name.
    """
    if given is not None:
        return given
    recorded = dict(run.description.data)
    if "name" in recorded:
        more = {"data_dir": data_dir, "download": download}
        return ShippedData(**typed("data", ShippedData, {**recorded, **more}))
    where = recorded.get("class_path")
    what = f"named, as --data {where}: the run learned from data of your own, and a file chooses no function"
    raise ValueError(expected("--data", what if where else "named: the run does not say what it learned from", "none"))


def load_for(run: TrainedRun, source: Source) -> LoadedData:
    """Return data, of the seed and the fold of a run where they are those that it learned from.

    Raises:
        ValueError: they have other classes than the network, or inputs of another shape.
    """
    described = run.description
    its_own = as_plain(source.plain()) == described.data
    data = source.load(**described.part) if its_own else source.load()
    if data.num_classes != described.num_classes:
        what = f"data with {described.num_classes or 'no'} classes, as {run.path} has"
        raise ValueError(expected("data", what, str(data.num_classes or "real targets")))
    shapes = (described.input_shape, data.input_shape)  # of loaders it is not known
    if all(shapes) and shapes[0] != shapes[1]:
        what = f"data with inputs of shape {list(shapes[0])} in a time step, as {run.path} has"
        raise ValueError(expected("data", what, f"{list(shapes[1])} of {source.label}"))
    return data


def read_files(run: TrainedRun, folder: Path) -> tuple[Any, list[Path]]:
    """Return batches of the files in a folder, as the network of a run takes them, and the files.

    Raises:
        ValueError: the files do not fit the network, or how it is shown images is not known.
        DataNotFoundError: there are none.
        CorruptDataError: a file is damaged.
    """
    described = run.description
    name = described.data.get("name")
    encoder = None
    if "class_path" not in described.data:
        encoder = registry.encoder_of(described.data.get("encoder") or name or "rate")
    arrays = name != "poker-dvs" and bool(described.input_shape)
    inputs, files = read_unlabelled(folder, described.num_steps, described.input_shape, encoder, arrays)
    if isinstance(inputs, SpikeDataset):
        return in_order(inputs, _BATCH), files
    time = described.data.get("time", "first")
    loader = DataLoader(TensorDataset(inputs, torch.zeros(len(inputs))), batch_size=_BATCH)
    if time == "first" and described.num_steps is not None:
        return [(x.transpose(0, 1), labels) for x, labels in loader], files
    return loader, files


def user_data(class_path: str, described_time: str, folder: str | None = None) -> UserData:
    """Return data that a user names on the command line."""
    return UserData(Named.of("--data", class_path, folder), described_time)  # type: ignore[arg-type]  # words of a description or a file, looked at there
