"""The events of a recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from snntorch_binary._moved import moved

if TYPE_CHECKING:
    import numpy as np

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


_READERS = {
    "read_nmnist_events": "snntorch_binary.data.sets.nmnist",
    "read_poker_events": "snntorch_binary.data.sets.poker_dvs",
}
__getattr__ = moved(__name__, _READERS)
