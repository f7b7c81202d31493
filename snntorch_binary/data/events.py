"""N-MNIST and POKER-DVS: recordings of event cameras as binary frames."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from snntorch_binary._errors import require
from snntorch_binary.data.aedat import read_aedat2
from snntorch_binary.data.errors import CorruptDataError, DataNotFoundError, damage_named
from snntorch_binary.data.folders import find, glob, not_found
from snntorch_binary.data.frames import Events, read_frames
from snntorch_binary.data.splits import Source, hold_out

_NMNIST_SIZE, _POKER_SIZE = 34, 35
_SUITS = {"cl": 0, "he": 1, "di": 2, "sp": 3}  # Tonic's names and numbers
log = logging.getLogger("snntorch_binary.data")


@dataclass(frozen=True)
class _Copy:
    """One copy of a data set: its files in the order of class and number, their labels, its own test part."""

    files: tuple[Path, ...]
    labels: Tensor
    test: Tensor

    @classmethod
    def of(cls, examples: Sequence[tuple[Path, int, bool]]) -> _Copy:
        found: dict[tuple[str, int, bool], Path] = {}
        for file, label, test in examples:
            other = found.setdefault((file.name.lower(), label, test), file)
            if other != file:
                raise CorruptDataError(f"{other} and {file} are the same recording: keep one, or name its folder.")
        return cls(
            files=tuple(file for file, _, _ in examples),
            labels=torch.tensor([label for _, label, _ in examples], dtype=torch.int64),
            test=torch.tensor([test for _, _, test in examples], dtype=torch.bool),
        )

    def covers(self, classes: Sequence[int], part: Tensor) -> bool:
        """Say whether `part` [N] has an example of each class."""
        return set(classes) <= set(self.labels[part].tolist())

    def count(self, classes: Sequence[int]) -> int:
        return int(torch.isin(self.labels, torch.tensor(classes)).sum())

    def test_part(self, classes: Sequence[int], pooled: bool) -> Tensor:
        """Return the mask [N] of its own test part, or else of the last fifth of each class, which is said.

        Args:
            classes: the labels that are wanted.
            pooled: folds will take the place of the test part, so that nothing needs to be said.
        """
        if self.covers(classes, self.test):
            return self.test
        if not pooled:
            missing = sorted(set(classes) - set(self.labels[self.test].tolist()))
            log.warning(
                "%s and what belongs to it have no test part of the classes %s: a fifth of the training examples of "
                "each class is held out for the test.",
                self.files[0].parents[2],
                missing,
            )
        return self.test | hold_out(self.labels, ~self.test, 0.2, key=None)


def read_nmnist(
    data_dir: str | PathLike[str] | None, classes: Sequence[int], pooled: bool, one_symbol: bool = False
) -> Source:
    """Return N-MNIST (Orchard et al. 2015): 34×34 pixels, 2 polarities, about 0.3 s, 10 digits.

    Of several copies (archives of parts) the one with the most examples of the wanted classes is taken.

    Args:
        data_dir: as `load`.
        classes: the labels that are wanted.
        pooled: take all examples as one pool, whether or not there is a test part.
        one_symbol: see :func:`snntorch_binary.data.frames.bin_events`.

    Raises:
        DataNotFoundError: no copy has training examples of every wanted class.
    """
    copies = [_nmnist_copy(homes) for homes in find(data_dir, "NMNIST", ("Train/[0-9]", "Test/[0-9]"))]
    covering = [copy for copy in copies if copy.covers(classes, ~copy.test)]
    if not covering:
        held = [sorted(set(copy.labels[~copy.test].tolist())) for copy in copies]
        raise DataNotFoundError(
            not_found("N-MNIST", data_dir, "NMNIST/Train/6/00014.bin, Train/6/00014.bin, Train.zip with Test.zip")
            if not copies
            else f"N-MNIST in {data_dir} has training examples of the classes "
            f"{' or '.join(map(str, held))} only, but {sorted(classes)} were asked for."
        )
    best = max(covering, key=lambda copy: copy.count(classes))
    names = tuple(map(str, range(10)))
    return _source(best, best.test_part(classes, pooled), read_nmnist_events, _NMNIST_SIZE, names, one_symbol)


def read_poker_dvs(data_dir: str | PathLike[str] | None, pooled: bool, one_symbol: bool = False) -> Source:
    """Return POKER-DVS (Serrano-Gotarredona and Linares-Barranco 2015): 35×35 pixels, 2 polarities, 4 suits.

    Args:
        data_dir: as `load`.
        pooled: take all examples as one pool: the copy with the most, which are the 131 original recordings.
            Else a copy with its own test part (Tonic's 48 + 20 files) comes first.
        one_symbol: see :func:`snntorch_binary.data.frames.bin_events`.

    Raises:
        DataNotFoundError: there is no copy with every suit.
    """
    patterns = ("pips_train/cl", "pips_test/cl", "xclub*.aedat")
    classes = tuple(_SUITS.values())
    copies = [copy for homes in find(data_dir, "POKERDVS", patterns) for copy in _poker_copies(homes)]
    copies = [copy for copy in copies if copy.covers(classes, ~copy.test)]
    if not copies:
        files = "POKERDVS/pips_train/cl/0.npy, POKERDVS/xclub01.aedat"
        raise DataNotFoundError(not_found("POKER-DVS", data_dir, files))
    best = max(copies, key=lambda copy: (not pooled and copy.covers(classes, copy.test), len(copy.files)))
    names = ("club", "heart", "diamond", "spade")
    return _source(best, best.test_part(classes, pooled), read_poker_events, _POKER_SIZE, names, one_symbol)


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


def read_poker_events(file: Path) -> Events:
    """Read a POKER-DVS recording: Tonic's ``.npy`` or an original ``.aedat``.

    Raises:
        CorruptDataError: the file is truncated or not what its name says.
    """
    return _read_npy(file) if file.suffix.lower() == ".npy" else read_aedat2(file)


def _read_npy(file: Path) -> Events:
    """Read an array of events [E, 4] with the columns t, x, y, p."""
    with damage_named(f"The event file {file}"):
        events = np.load(file, allow_pickle=False)
    if not isinstance(events, np.ndarray) or events.ndim != 2 or events.shape[1] != 4 or events.dtype.kind not in "iu":
        raise CorruptDataError(f"The event file {file} should hold whole numbers of shape [E, 4].")
    time, x, y, polarity = events.astype(np.int64).T
    return Events(x, y, time - time[:1], polarity)


def _nmnist_copy(homes: Sequence[Path]) -> _Copy:
    return _Copy.of(
        [
            (file, label, part == "Test")
            for label in range(10)
            for part in ("Train", "Test")
            for home in homes
            for file in glob(home, f"{part}/{label}/*.bin")
        ]
    )


def _poker_copies(homes: Sequence[Path]) -> list[_Copy]:
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
    return [_Copy.of(examples) for examples in (tonic, original) if examples]


def _source(
    copy: _Copy,
    test: Tensor,
    read_events: Callable[[Path], Events],
    size: int,
    class_names: tuple[str, ...],
    one_symbol: bool,
) -> Source:
    return Source(
        labels=copy.labels,
        test=test,
        read=lambda indices, num_steps: read_frames(
            [copy.files[index] for index in indices.tolist()], read_events, num_steps, size, one_symbol=one_symbol
        ),
        class_names=class_names,
        foldable=True,
    )
