"""From the events of a recording to binary frames, kept in the cache."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snntorch_binary.data.folders import CorruptDataError, cache_dir, fingerprint

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Events:
    """The events of one recording, in the order of time.

    Attributes:
        x: int64 [E], column.
        y: int64 [E], row.
        time: int64 [E], microseconds since the recording began.
        polarity: int64 [E], 1 = brighter, 0 = darker.
    """

    x: Array
    y: Array
    time: Array
    polarity: Array


def bin_events(events: Events, num_steps: int, size: int) -> Array:
    """Return binary frames, uint8 [T, 2, size, size]: 1 where a pixel had such an event in the bin.

    The T bins divide [0, last event] equally: bin = floor(T · time / (last + 1)). Tonic's
    ``ToFrame(n_time_bins)`` rounds the length of a bin down to whole microseconds instead and so loses the
    last events of a recording.

    Example:
        >>> import numpy as np
        >>> two = np.array([0, 1])
        >>> bin_events(Events(x=two, y=two, time=10 * two, polarity=two), num_steps=2, size=2)[1, 1]
        array([[0, 0],
               [0, 1]], dtype=uint8)
    """
    frames = np.zeros((num_steps, 2, size, size), np.uint8)
    step = events.time * num_steps // (events.time.max() + 1)
    frames[step, events.polarity, events.y, events.x] = 1
    return frames


def read_frames(files: Sequence[Path], read_events: Callable[[Path], Events], num_steps: int, size: int) -> Tensor:
    """Return the binary frames of event files, uint8 [N, T, 2, size, size], from the cache when possible.

    The name in the cache follows from every file (path, size, time) and every parameter, so that another
    split, another T or a changed file never finds old frames.

    Raises:
        CorruptDataError: a file cannot be read, is empty, or has an event off the sensor or back in time.
    """
    shape = (len(files), num_steps, 2, size, size)
    key = fingerprint(files, "frames 1", read_events.__name__, num_steps, size)
    target = cache_dir("frames") / f"{key}.npy"
    if target.is_file():
        bits = np.load(target, allow_pickle=False)
        return torch.from_numpy(np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape))
    frames = np.empty(shape, np.uint8)
    for index, file in enumerate(files):
        events = read_events(file)
        _check(file, events, size)
        frames[index] = bin_events(events, num_steps, size)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        part = Path(scratch, target.name)
        np.save(part, np.packbits(frames), allow_pickle=False)
        os.replace(part, target)
    return torch.from_numpy(frames)


def _check(file: Path, events: Events, size: int) -> None:
    if len(events.time) == 0:
        raise CorruptDataError(f"The event file {file} holds no events.")
    if min(events.x.min(), events.y.min()) < 0 or max(events.x.max(), events.y.max()) >= size:
        raise CorruptDataError(f"The event file {file} is corrupt: an event lies off the {size}×{size} sensor.")
    if events.time[0] < 0 or (np.diff(events.time) < 0).any():
        raise CorruptDataError(f"The event file {file} is corrupt: its times go back.")
    if not np.isin(events.polarity, (0, 1)).all():
        raise CorruptDataError(f"The event file {file} is corrupt: a polarity is neither 0 nor 1.")
