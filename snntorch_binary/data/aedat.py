"""AEDAT 2.0, the file format of jAER, as a DVS128 camera fills it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from snntorch_binary.data.errors import CorruptDataError
from snntorch_binary.data.events import Events

DVS128_SIZE = 128


def read_aedat2(file: Path) -> Events:
    """Read an AEDAT-2.0 recording of a DVS128.

    After comment lines that begin with ``#``, an event is two big-endian uint32: the address (bit 0 polarity with
    0 = ON, bits 1-7 column, bits 8-14 row) and the time in microseconds.

    Returns:
        The events, with times from the first one on. Only differences of the clock count, since it may start
        anywhere, count through negative numbers and wrap around after 2³² µs.

    Raises:
        CorruptDataError: the file is truncated, of another format or of another camera.
    """
    data = file.read_bytes()
    if not data.startswith(b"#!AER-DAT2.0"):
        raise CorruptDataError(f"The event file {file} is no AEDAT-2.0 file.")
    start = 0
    while data[start : start + 1] == b"#":
        start = data.find(b"\n", start) + 1 or len(data)
    if (len(data) - start) % 8:
        raise CorruptDataError(f"The event file {file} is truncated: {len(data) - start} bytes are not 8 an event.")
    address, clock = np.frombuffer(data, ">u4", offset=start).reshape(-1, 2).T.astype(np.uint32)
    if (address >> 15).any():
        raise CorruptDataError(
            f"The event file {file} is corrupt or not of a DVS128: an address has more than 15 bits."
        )
    address = address.astype(np.int64)
    elapsed = np.diff(clock, prepend=clock[:1]).astype(np.int32)  # modulo 2³², so it survives a wrap-around
    return Events(
        x=(address >> 1) & 127, y=(address >> 8) & 127, time=elapsed.cumsum(dtype=np.int64), polarity=1 - (address & 1)
    )
