"""`snntorch-binary predict RUN [FOLDER]`: a trained network's answers to files of your own, or to test data."""

from __future__ import annotations

import argparse
import csv
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary._files import replacing
from snntorch_binary.commands import trained

_EPILOG = """FOLDER holds images of the size the network learned on (.png, .jpg, ...), or recordings: .bin as in
N-MNIST, .npy or .aedat as in POKER-DVS, .wav of one channel, 16 bits and 8,000 Hz as in spoken-digits; else .npy
arrays as the network takes them, [T, ...]. Without it the test data of the run are answered. The CSV file has a
line for each: class, probability and entropy (in nats) of the ensemble, and class and probability of the most
probable network (in full precision and for ST-BiSNN both are one); of a regression mean and standard deviation.

examples:
  snntorch-binary predict results/mnist/runs/bayes-seed0 pictures --out answers.csv
  snntorch-binary predict results/mine/runs/bayes-seed0 recordings --network my_models.ConvNet
"""


def add_to(commands: Any) -> None:
    """Add the command to a parser's commands."""
    parser = commands.add_parser(
        "predict",
        help="answer files of your own into a CSV file",
        description="Answer every image, sound, recording or array in a folder with the network of a run.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    trained.add_run(parser)
    parser.add_argument(
        "folder", metavar="FOLDER", type=Path, nargs="?", help="files to answer, in folders below it, too"
    )
    trained.add_data(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("predictions.csv"), metavar="FILE", help="file to write (default: %(default)s)"
    )
    parser.add_argument("--members", type=int, metavar="K", help="networks of the ensemble (default: as it was tested)")
    parser.add_argument("--quiet", action="store_true", help="print nothing")
    parser.set_defaults(run=run_command)


def run_command(options: argparse.Namespace) -> None:
    """Answer the files, write the table, and say how many fell into each class.

    Raises:
        ValueError: the run is none, the files cannot be read, or an option is out of its range.
        OSError: the table cannot be written.
    """
    if options.members is not None and options.members < 1:
        raise ValueError(expected("--members", "a positive integer", options.members))
    if options.out.is_dir() or not options.out.absolute().parent.is_dir():
        raise ValueError(expected("--out", "a file in a folder that exists", repr(str(options.out))))
    if options.folder is not None and (options.data is not None or options.data_dir is not None):
        raise ValueError(expected("FOLDER", "left out with --data or --data-dir", repr(str(options.folder))))
    run = trained.load(options)
    from snntorch_binary.experiments.answers import answers
    from snntorch_binary.experiments.evaluate import answers_of, load_for, read_files

    if options.folder is None:
        batches: Any = load_for(run, trained.data_of(options, run)).test()
        names: list[str] | None = None
    else:
        batches, files = read_files(run, options.folder)
        names = [file.relative_to(options.folder).as_posix() for file in files]
    found = answers(batches, partial(answers_of, run, num_members=options.members))
    labels = found.pop("labels")
    given = None if names is not None else labels
    names = [str(index) for index in range(len(labels))] if names is None else names
    mode, ensemble = found.get("mode", found.get("single")), found.get("ensemble", found.get("single"))
    assert mode is not None
    assert ensemble is not None
    if run.description.num_classes is None:
        _write(options.out, names, {"mean": ensemble[:, 0], "standard_deviation": ensemble[:, 1]})
    else:
        _write(options.out, names, _columns(ensemble, mode, given))
    if options.quiet:
        return
    if run.description.num_classes is not None:
        counts = " ".join(map(str, ensemble.argmax(-1).bincount(minlength=ensemble.shape[1]).tolist()))
        print(f"{len(names)} answers, of each class: {counts}; mean probability {ensemble.amax(-1).mean():.3f}")
    else:
        print(f"{len(names)} answers, mean {ensemble[:, 0].mean():.3f}")
    print(f"Written to {options.out}")


def _columns(ensemble: Tensor, mode: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
    from snntorch_binary.inference.predictions import entropy

    columns = {"class": ensemble.argmax(-1), "probability": ensemble.amax(-1), "entropy": entropy(ensemble)}
    columns |= {"mode_class": mode.argmax(-1), "mode_probability": mode.amax(-1)}
    return columns if labels is None else {**columns, "label": labels}


def _write(out: Path, names: list[str], columns: dict[str, Tensor]) -> None:
    with replacing(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", *columns])
        for name, *values in zip(names, *(column.tolist() for column in columns.values()), strict=True):
            writer.writerow([name, *(f"{value:.6g}" for value in values)])
