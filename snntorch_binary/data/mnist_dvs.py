"""MNIST-DVS: ten thousand digits that move slowly before a 128×128 event camera, at three sizes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from snntorch_binary._errors import expected
from snntorch_binary.data.aedat import DVS128_SIZE, read_aedat2
from snntorch_binary.data.errors import CorruptDataError, DataNotFoundError
from snntorch_binary.data.events import Events
from snntorch_binary.data.folders import find, glob, not_found
from snntorch_binary.data.frames import Array, check_events, read_frames
from snntorch_binary.data.packed_spikes import PackedSpikes
from snntorch_binary.data.splits import hold_out

# scale: (first pixel, number of pixels) of the window, the same in both directions
_WINDOWS = {4: (48, 26), 8: (35, 52), 16: (9, 104)}


class MNISTDVS(Dataset[tuple[Any, Any]]):
    r"""MNIST-DVS (Serrano-Gotarredona and Linares-Barranco 2015) from its original AEDAT-2.0 files.

    A data set as Tonic has them: an example is an array of events with the fields x, y, t (microseconds since the
    recording began) and p (1 = brighter), and its digit. Recordings last about 2 s.

    Pixels are counted as in jAER, x = 127 - column of the address, and cut to the window around the digit:
    48 ... 73 in both directions at scale 4, which is the 26×26 window of Bayes-BiSNN (arXiv 2012.08300); 35 ... 86 at
    scale 8 and 9 ... 112 at scale 16, which have the same centre and two and four times its size. The digit moves,
    so that the window cuts off some of it: of a sample recording it holds 86 % (scale 4), 95 % and 98 % of the events.
    (Bayes-BiSNN was trained on files stabilised by scripts of the set's authors; these keep format and names, and
    are read as well.)

    The last tenth of the files of each digit, by number, is the test part: 901 ... 1000 of the whole set.

    Args:
        data_dir: folder with files ``mnist_<digit>_scale<04|08|16>_<number>.aedat``, flat or below folders such as
            ``grabbed_data0/scale4``, of its own (``MNIST_DVS``) or not; or with archives of these. Parts of the set
            are enough. Pieces of recordings, which have something after the number, are passed over.
        train: True for the training part, False for the test part, None for both.
        scale: 4, 8 or 16, the magnification of the digit.
        transform: applied to the events of an example, for example one of ``tonic.transforms``.
        target_transform: applied to the digit.

    Attributes:
        files: the recordings, in the order of digit and number.
        labels: int64 [N], their digits.
        test: bool [N], which of them are of the test part.
        sensor_size: (pixels, pixels, polarities) of the window, as Tonic's transforms want it.

    Raises:
        ValueError: `train` or `scale` is none of those above.
        DataNotFoundError: there is no such recording, or none for the test part.
        CorruptDataError: two different files are the same recording; or, when it is read, a file is truncated,
            of another format, or has no event in the window.

    Example:
        >>> import tempfile
        >>> recording = b"#!AER-DAT2.0\n" + bytes([0, 0, 60, 120, 0, 0, 0, 0])  # one event, in place of the real set
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "mnist_7_scale04_0001.aedat").write_bytes(recording)
        ...     events, digit = MNISTDVS(folder)[0]
        >>> events.tolist(), digit
        ([(19, 12, 0, 1)], 7)
    """

    dtype = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", np.int8)])
    ordering = dtype.names

    def __init__(
        self,
        data_dir: str | PathLike[str] | None,
        train: bool | None = True,
        *,
        scale: int = 4,
        transform: Callable[[Array], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
    ) -> None:
        if not (train is None or isinstance(train, bool)):
            raise ValueError(expected("train", "True, False or None", repr(train)))
        if scale not in _WINDOWS:
            raise ValueError(expected("scale", "4, 8 or 16", scale))
        recordings = _recordings(data_dir, scale)
        labels = torch.tensor([digit for digit, _ in recordings], dtype=torch.int64)
        test = hold_out(labels, torch.ones(len(labels), dtype=torch.bool), 0.1, key=None)
        chosen = torch.ones_like(test) if train is None else test != train
        if not chosen.any():
            raise DataNotFoundError(
                f"MNIST-DVS in {data_dir} has too few recordings at scale {scale} for a test part: no digit has two."
            )
        files = list(recordings.values())
        self.files = tuple(files[index] for index in chosen.nonzero().squeeze(1).tolist())
        self.labels, self.test = labels[chosen], test[chosen]
        self.scale, self.transform, self.target_transform = scale, transform, target_transform
        size = _WINDOWS[scale][1]
        self.sensor_size = (size, size, 2)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Return the events of one recording and its digit, both transformed."""
        file = self.files[index]
        found = self._read_window(file)
        check_events(file, found, self.sensor_size[0])
        events = np.empty(len(found.time), self.dtype)
        events["x"], events["y"], events["t"], events["p"] = found.x, found.y, found.time, found.polarity
        label = int(self.labels[index])
        return (
            events if self.transform is None else self.transform(events),
            label if self.target_transform is None else self.target_transform(label),
        )

    def frames(
        self,
        indices: Sequence[int] | None = None,
        *,
        dt: float = 5.0,
        duration: float = 2000.0,
        one_symbol: bool = False,
    ) -> PackedSpikes:
        """Return recordings as binary frames [N, T, 2, size, size]: 1 where a pixel had such an event in the bin.

        Frames are kept in the cache. `transform` is not applied.

        Args:
            indices: which recordings, None for all.
            dt: length of a bin in milliseconds, whole microseconds.
            duration: length of all T = duration / dt bins in milliseconds. What comes later is cut off; bins after
                the end of a recording are empty.
            one_symbol: let a pixel have one polarity only in a bin: that of most of its events there, or in a tie that
                of the last one.

        Raises:
            ValueError: `dt` is no positive number of microseconds or `duration` no multiple of it.
            CorruptDataError: as the class.
        """
        width, whole = _whole(1000 * dt)
        if not whole:
            raise ValueError(expected("dt", "a positive number of milliseconds, in whole microseconds", dt))
        num_steps, whole = _whole(1000 * duration / width)
        if not whole:
            raise ValueError(expected("duration", f"a positive multiple of `dt` = {dt} ms", duration))
        files = self.files if indices is None else [self.files[index] for index in indices]
        return read_frames(files, self._read_window, num_steps, self.sensor_size[0], width, one_symbol)

    def _read_window(self, file: Path) -> Events:
        """Return the events of the window."""
        first, size = _WINDOWS[self.scale]
        whole = read_aedat2(file)
        x, y = DVS128_SIZE - 1 - whole.x - first, whole.y - first
        within = (x >= 0) & (x < size) & (y >= 0) & (y < size)
        return Events(x[within], y[within], whole.time[within], whole.polarity[within])


def _whole(value: float) -> tuple[int, bool]:
    """Return the nearest int of at least 1, and whether `value` is it but for rounding errors."""
    nearest = max(round(value), 1) if math.isfinite(value) else 1
    return nearest, abs(value - nearest) < 1e-6


def _recordings(data_dir: str | PathLike[str] | None, scale: int) -> dict[tuple[int, int], Path]:
    """Return the file of each (digit, number), in this order."""
    name = f"mnist_[0-9]_scale{scale:02}_*.aedat"
    patterns = (name, f"*/{name}", f"*/*/{name}")
    found: dict[tuple[int, int], Path] = {}
    for file in _files(data_dir, patterns):
        if named := re.fullmatch(r"mnist_(\d)_scale\d\d_(\d+)\.aedat", file.name.lower()):
            other = found.setdefault((int(named[1]), int(named[2])), file)
            if other != file:
                raise CorruptDataError(f"{other} and {file} are the same recording: keep one, or name its folder.")
    if not found:
        raise DataNotFoundError(not_found("MNIST-DVS", data_dir, f"mnist_0_scale{scale:02}_0001.aedat and the like"))
    return dict(sorted(found.items()))


def _files(data_dir: str | PathLike[str] | None, patterns: Sequence[str]) -> Iterator[Path]:
    for copy in find(data_dir, "MNIST_DVS", patterns):
        for home in copy:
            for pattern in patterns:
                yield from glob(home, pattern)
