"""N-MNIST: the digits of MNIST before an event camera that moves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from snntorch_binary._errors import require
from snntorch_binary.data.description import Description, Request, register
from snntorch_binary.data.errors import CorruptDataError, DataNotFoundError, damage_named
from snntorch_binary.data.events import Events
from snntorch_binary.data.folders import find, glob, not_found
from snntorch_binary.data.splits import Source

SENSOR_SIZE = 34


def read(asked: Request) -> Source:
    """Return N-MNIST (Orchard et al. 2015): 34×34 pixels, 2 polarities, about 0.3 s, 10 digits.

    Of several copies (archives of parts) the one with the most examples of the wanted classes is taken.

    Raises:
        DataNotFoundError: no copy has training examples of every wanted class.
    """
    from snntorch_binary.data.recordings import Copy

    copies = [Copy.of(_examples(homes)) for homes in find(asked.data_dir, "NMNIST", ("Train/[0-9]", "Test/[0-9]"))]
    covering = [copy for copy in copies if copy.covers(asked.classes, ~copy.test)]
    if not covering:
        held = [sorted(set(copy.labels[~copy.test].tolist())) for copy in copies]
        raise DataNotFoundError(
            not_found("N-MNIST", asked.data_dir, "NMNIST/Train/6/00014.bin, Train/6/00014.bin, Train.zip with Test.zip")
            if not copies
            else f"N-MNIST in {asked.data_dir} has training examples of the classes "
            f"{' or '.join(map(str, held))} only, but {sorted(asked.classes)} were asked for."
        )
    best = max(covering, key=lambda copy: copy.count(asked.classes))
    names = tuple(map(str, range(10)))
    test = best.test_part(asked.classes, asked.pooled)
    return best.source(test, read_nmnist_events, SENSOR_SIZE, names, asked.one_symbol)


def read_nmnist_events(file: Path) -> Events:
    """Read an N-MNIST recording through Tonic: 5 bytes an event.

    Raises:
        CorruptDataError: the file is truncated.
        MissingPackageError: Tonic is not installed.
    """
    size = file.stat().st_size
    if size % 5:
        raise CorruptDataError(f"The event file {file} is truncated: {size} bytes are not 5 an event.")
    tonic = require("tonic", "events")
    with damage_named(f"The event file {file}"):
        events = tonic.io.read_mnist_file(str(file), dtype=tonic.datasets.NMNIST.dtype)
    return Events(events["x"], events["y"], events["t"], events["p"])


def _examples(homes: Sequence[Path]) -> list[tuple[Path, int, bool]]:
    return [
        (file, label, part == "Test")
        for label in range(10)
        for part in ("Train", "Test")
        for home in homes
        for file in glob(home, f"{part}/{label}/*.bin")
    ]


register(
    Description(
        name="nmnist",
        place=200,
        num_classes=10,
        num_steps=10,
        spikes="recorded, T bins, binary",
        features=(2, SENSOR_SIZE, SENSOR_SIZE),
        needs="the event files, Tonic",
        read=read,
        polarities=True,
        foldable=True,
    )
)
