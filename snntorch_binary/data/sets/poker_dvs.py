"""POKER-DVS: the suits of playing cards, browsed before an event camera."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from snntorch_binary.data.description import Description, Request, register
from snntorch_binary.data.errors import CorruptDataError, DataNotFoundError, damage_named
from snntorch_binary.data.events import Events
from snntorch_binary.data.folders import find, glob, not_found
from snntorch_binary.data.splits import Source

SENSOR_SIZE = 35
_SUITS = {"cl": 0, "he": 1, "di": 2, "sp": 3}  # Tonic's names and numbers


def read(asked: Request) -> Source:
    """Return POKER-DVS (Serrano-Gotarredona and Linares-Barranco 2015): 35×35 pixels, 2 polarities, 4 suits.

    For folds the copy with the most examples is taken, which are the 131 original recordings. Else a copy with its own
    test part (Tonic's 48 + 20 files) comes first.

    Raises:
        DataNotFoundError: there is no copy with every suit.
    """
    from snntorch_binary.data.recordings import Copy

    patterns = ("pips_train/cl", "pips_test/cl", "xclub*.aedat")
    classes = tuple(_SUITS.values())
    found = [examples for homes in find(asked.data_dir, "POKERDVS", patterns) for examples in _examples(homes)]
    copies = [copy for examples in found if (copy := Copy.of(examples)).covers(classes, ~copy.test)]
    if not copies:
        files = "POKERDVS/pips_train/cl/0.npy, POKERDVS/xclub01.aedat"
        raise DataNotFoundError(not_found("POKER-DVS", asked.data_dir, files))
    best = max(copies, key=lambda copy: (not asked.pooled and copy.covers(classes, copy.test), len(copy.files)))
    test = best.test_part(classes, asked.pooled)
    return best.source(test, read_poker_events, SENSOR_SIZE, ("club", "heart", "diamond", "spade"), asked.one_symbol)


def read_poker_events(file: Path) -> Events:
    """Read a POKER-DVS recording: Tonic's ``.npy`` or an original ``.aedat``.

    Raises:
        CorruptDataError: the file is truncated or not what its name says.
    """
    from snntorch_binary.data.aedat import read_aedat2

    return _read_npy(file) if file.suffix.lower() == ".npy" else read_aedat2(file)


def _read_npy(file: Path) -> Events:
    """Read an array of events [E, 4] with the columns t, x, y, p."""
    import numpy as np

    with damage_named(f"The event file {file}"):
        events = np.load(file, allow_pickle=False)
    if not isinstance(events, np.ndarray) or events.ndim != 2 or events.shape[1] != 4 or events.dtype.kind not in "iu":
        raise CorruptDataError(f"The event file {file} should hold whole numbers of shape [E, 4].")
    time, x, y, polarity = events.astype(np.int64).T
    return Events(x, y, time - time[:1], polarity)


def _examples(homes: Sequence[Path]) -> list[list[tuple[Path, int, bool]]]:
    """Return Tonic's files and the original recordings as two copies: they are the same examples."""
    tonic = [
        (file, label, part == "pips_test")
        for suit, label in _SUITS.items()
        for part in ("pips_train", "pips_test")
        for home in homes
        for file in sorted(glob(home, f"{part}/{suit}/*.npy"), key=lambda file: (len(file.stem), file.stem))
    ]
    original = [
        (file, _SUITS[suit[1]], False)
        for home in homes
        for file in glob(home, "x*.aedat")
        if (suit := re.match(r"x(cl|he|di|sp)[a-z]*\d", file.name.lower()))
    ]
    return [examples for examples in (tonic, original) if examples]


register(
    Description(
        name="poker-dvs",
        place=210,
        num_classes=4,
        num_steps=10,
        spikes="recorded, T bins, binary",
        features=(2, SENSOR_SIZE, SENSOR_SIZE),
        needs="the event files",
        read=read,
        polarities=True,
        foldable=True,
    )
)
