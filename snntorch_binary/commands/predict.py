"""`snntorch-binary predict CHECKPOINT FOLDER`: a trained network's answers to images or recordings of your own."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from snntorch_binary._errors import expected
from snntorch_binary._files import replacing
from snntorch_binary.checkpoint import load_trained
from snntorch_binary.inference import logits, predict, run
from snntorch_binary.inference.predict import entropy
from snntorch_binary.weights import binary_layers

_EPILOG = """The folder holds images of the size the network learned on (.png, .jpg, ...), or recordings: .bin as in
N-MNIST, .npy or .aedat as in POKER-DVS. The CSV file has a line for each of them: class, probability and entropy (in
nats) of the ensemble, and class and probability of the most probable network; in full precision and for ST-BiSNN both
are one.

example:
  snntorch-binary predict results/mnist/runs/bayes-seed0 pictures --out answers.csv
"""


def add_to(commands: Any) -> None:
    """Add the command to a parser's commands."""
    parser = commands.add_parser(
        "predict",
        help="answer a folder of images or recordings, or (with --config) test data, into a CSV file",
        description="Answer every image or recording in a folder with the SpikingMLP of a checkpoint. With --config in "
        "place of a checkpoint, a YAML file's test data: see snntorch-binary predict --config CONFIG --help.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a .ckpt file, or the folder of a run of compare")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="images or recordings, in folders below it, too")
    parser.add_argument(
        "--out", type=Path, default=Path("predictions.csv"), metavar="FILE", help="file to write (default: %(default)s)"
    )
    parser.add_argument("--steps", type=int, default=10, metavar="T", help="time steps (default: 10, as it learned)")
    parser.add_argument("--members", type=int, default=10, metavar="K", help="networks of the ensemble (default: 10)")
    parser.add_argument("--quiet", action="store_true", help="print nothing")
    parser.set_defaults(run=run_command)


def run_command(options: argparse.Namespace) -> None:
    """Answer the folder, write the file, and say how many fell into each class.

    Raises:
        ValueError: the checkpoint is none, the folder cannot be read, or an option is out of its range.
        OSError: the file cannot be written.
    """
    from snntorch_binary.data import collate
    from snntorch_binary.data.unlabelled import read_unlabelled

    if options.members < 1:
        raise ValueError(expected("--members", "a positive integer", options.members))
    if options.out.is_dir() or not options.out.absolute().parent.is_dir():
        raise ValueError(expected("--out", "a file in a folder that exists", repr(str(options.out))))
    net, arguments = load_trained(options.checkpoint)
    first = net[1]
    assert isinstance(first, nn.Linear)
    spikes, files = read_unlabelled(options.folder, options.steps, first.in_features)
    answers = []
    with torch.no_grad():
        for x, _ in DataLoader(spikes, batch_size=200, collate_fn=collate):
            answers.append(_answer(net, x, arguments, options.members))
    ensemble, mode = (torch.cat(parts) for parts in zip(*answers, strict=True))
    names = [file.relative_to(options.folder).as_posix() for file in files]
    _write(options.out, names, ensemble, mode)
    if not options.quiet:
        counts = " ".join(map(str, ensemble.argmax(-1).bincount(minlength=ensemble.shape[1]).tolist()))
        print(f"{len(files)} answers, of each class: {counts}; mean probability {ensemble.amax(-1).mean():.3f}")
        print(f"Written to {options.out}: class, probability and entropy of each")


def _answer(net: nn.Module, x: Tensor, arguments: dict[str, Any], num_members: int) -> tuple[Tensor, Tensor]:
    """Return the class probabilities [B, C] of the ensemble and of the mode."""
    readout, scale = arguments.get("readout", "membrane"), arguments.get("readout_scale")
    if not binary_layers(net):
        alone = logits(run(net, x), readout, scale).softmax(-1)
        return alone, alone
    generator = torch.Generator().manual_seed(0)  # the same members for every batch
    found = predict(net, x, num_members, readout=readout, readout_scale=scale, generator=generator)
    assert found.mode_probs is not None
    return found.probs, found.mode_probs


def _write(out: Path, names: list[str], ensemble: Tensor, mode: Tensor) -> None:
    header = ["file", "class", "probability", "entropy", "mode_class", "mode_probability"]
    columns = (ensemble.argmax(-1), ensemble.amax(-1), entropy(ensemble), mode.argmax(-1), mode.amax(-1))
    with replacing(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for name, *values in zip(names, *(column.tolist() for column in columns), strict=True):
            writer.writerow([name, *(f"{value:.6g}" for value in values)])
