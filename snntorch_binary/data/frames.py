"""From the events of a recording to binary frames, kept in the cache."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from snntorch_binary.data.errors import CorruptDataError
from snntorch_binary.data.events import Events
from snntorch_binary.data.folders import cache_dir, fingerprint
from snntorch_binary.data.packed_spikes import PackedSpikes

Array = np.ndarray[Any, np.dtype[Any]]
_LONGEST = 2**40  # microseconds, which are 12 days
log = logging.getLogger("snntorch_binary.data")


def bin_events(events: Events, num_steps: int, size: int, dt: int | None = None, one_symbol: bool = False) -> Array:
    """Return binary frames, uint8 [T, 2, size, size]: 1 where a pixel had such an event in the bin.

    Args:
        events: the events, which must lie on the sensor.
        num_steps: number T of bins.
        size: pixels in a row or column of the sensor.
        dt: length of a bin in microseconds; events after T · dt are left out. None divides [0, last event]
            equally: bin = floor(T · time / (last + 1)). (Tonic's ``ToFrame(n_time_bins)`` rounds the length of a
            bin down to whole microseconds instead and so loses the last events of a recording.)
        one_symbol: let a pixel have one polarity only in a bin: that of most of its events there, or in a tie that of
            the last one.

    Example:
        >>> import numpy as np
        >>> two = np.array([0, 1])
        >>> bin_events(Events(x=two, y=two, time=10 * two, polarity=two), num_steps=2, size=2)[1, 1]
        array([[0, 0],
               [0, 1]], dtype=uint8)
    """
    frames = np.zeros((num_steps, 2, size, size), np.uint8)
    step = events.time // dt if dt is not None else events.time * num_steps // (events.time.max() + 1)
    within = step < num_steps
    step, polarity, y, x = (values[within] for values in (step, events.polarity, events.y, events.x))
    if not one_symbol:
        frames[step, polarity, y, x] = 1
        return frames
    place = (step * size + y) * size + x
    balance = np.bincount(place, 2 * polarity - 1, minlength=num_steps * size * size)
    last = np.zeros(len(balance), np.int64)
    last[place] = polarity  # of events at one place the last one stays
    winner = np.where(balance[place] == 0, last[place], balance[place] > 0)
    frames[step, winner, y, x] = 1
    return frames


def read_frames(
    files: Sequence[Path],
    read_events: Callable[[Path], Events],
    num_steps: int,
    size: int,
    dt: int | None = None,
    one_symbol: bool = False,
) -> PackedSpikes:
    """Return the binary frames [N, T, 2, size, size] of event files, from the cache when possible.

    The name in the cache follows from every file (path, size, time) and every parameter, so that another
    split, another T or a changed file never finds old frames. A file in the cache that is not what was written is made
    again.

    Raises:
        CorruptDataError: a file cannot be read, is empty, or has an event off the sensor or back in time.
    """
    binning = "one symbol 2" if one_symbol else "frames 3"

    def spikes_of(file: Path) -> Array:
        events = read_events(file)
        check_events(file, events, size)
        return bin_events(events, num_steps, size, dt, one_symbol)

    made_with = (binning, read_events.__name__, num_steps, size, dt)
    return kept_spikes(files, (num_steps, 2, size, size), spikes_of, *made_with)


def kept_spikes(
    files: Sequence[Path], shape: tuple[int, ...], spikes_of: Callable[[Path], Array], *made_with: object
) -> PackedSpikes:
    """Return binary spikes [N, *shape] of files, from the cache when possible.

    The name in the cache follows from every file (path, size, time) and what the spikes are made with. A file in the
    cache that is not what was written is made again.

    Args:
        files: one a recording.
        shape: of the spikes of one.
        spikes_of: reads them, uint8 in {0, 1}.
        made_with: all else that they depend on.
    """
    target = cache_dir("frames") / f"{fingerprint(files, *made_with)}.npy"
    width = -(-math.prod(shape) // 8)
    if (kept := _read_cache(target, (len(files), width))) is not None:
        return PackedSpikes(torch.from_numpy(kept), shape)
    bits = np.empty((len(files), width), np.uint8)
    for index, file in enumerate(files):
        bits[index] = np.packbits(spikes_of(file))
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        part = Path(scratch, target.name)
        with part.open("wb") as opened:
            np.save(opened, bits, allow_pickle=False)
            opened.write(_seal(target, bits))
        os.replace(part, target)
    return PackedSpikes(torch.from_numpy(bits), shape)


def _read_cache(target: Path, shape: tuple[int, int]) -> Array | None:
    """Return the frames in a file of the cache, or None where there is none or it is not what was written."""
    if not target.is_file():
        return None
    try:
        # By its length, before anything believes what a header says of a size.
        if target.stat().st_size <= math.prod(shape) + 2**12:
            with target.open("rb") as opened:
                bits = np.load(opened, allow_pickle=False)
                if bits.dtype == np.uint8 and bits.shape == shape and opened.read() == _seal(target, bits):
                    return np.asarray(bits)
    except (ValueError, EOFError, MemoryError, AttributeError):
        pass
    log.warning("%s is damaged or was not written here: its frames are made again.", target)
    return None


def _seal(target: Path, bits: Array) -> bytes:
    """Return the sum that stands behind frames in the cache, of them and of the name they were made for."""
    digest = hashlib.sha256(target.name.encode())
    digest.update(np.ascontiguousarray(bits).data)
    return digest.digest()


def check_events(file: Path, events: Events, size: int) -> None:
    """Raise CorruptDataError unless `events`, read from `file`, are some, on the sensor and in the order of time."""
    if len(events.time) == 0:
        raise CorruptDataError(f"The event file {file} holds no events.")
    if min(events.x.min(), events.y.min()) < 0 or max(events.x.max(), events.y.max()) >= size:
        raise CorruptDataError(f"The event file {file} is corrupt: an event lies off the {size}×{size} sensor.")
    if events.time[0] < 0 or (events.time[1:] < events.time[:-1]).any():
        raise CorruptDataError(f"The event file {file} is corrupt: its times go back.")
    if events.time[-1] >= _LONGEST:  # whose product with the number of bins would not fit 64 bits
        raise CorruptDataError(f"The event file {file} is corrupt: it would last for more than 12 days.")
    if not np.isin(events.polarity, (0, 1)).all():
        raise CorruptDataError(f"The event file {file} is corrupt: a polarity is neither 0 nor 1.")
