"""What a data set says of itself, and the list of those that did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike

from snntorch_binary._errors import expected
from snntorch_binary.data.encoders import Encoder
from snntorch_binary.data.splits import Source


@dataclass(frozen=True)
class Request:
    """What the reader of a data set is asked for.

    Attributes:
        data_dir: as `load`.
        classes: the labels that are wanted.
        pooled: folds will take the place of the set's own parts.
        download: as `load`.
        one_symbol: as `load`.
    """

    data_dir: str | PathLike[str] | None
    classes: tuple[int, ...]
    pooled: bool = False
    download: bool = False
    one_symbol: bool = False


@dataclass(frozen=True)
class Description:
    """What a data set is.

    Attributes:
        name: under which :func:`snntorch_binary.data.load` knows it.
        place: among the names, smaller first: below 100 sets that need no file, below 200 images, then recordings.
        num_classes: number C of classes; 1 for a regression.
        num_steps: time steps T unless told otherwise.
        spikes: what they are, in words.
        features: shape of an example in one time step.
        needs: packages and files, in words.
        read: reads the set. What it needs beside torch it imports by itself.
        encoder: makes spikes of its values; None for recordings, which are spikes.
        polarities: whether it was recorded by an event camera, whose spikes have one of two polarities.
        foldable: whether cross-validation may mix its training and test part.
        regression: whether its labels are float32 targets.
    """

    name: str
    place: int
    num_classes: int
    num_steps: int
    spikes: str
    features: tuple[int, ...]
    needs: str
    read: Callable[[Request], Source]
    encoder: Encoder | None = None
    polarities: bool = False
    foldable: bool = False
    regression: bool = False

    def __str__(self) -> str:
        labels = "float32 targets" if self.regression else f"{self.num_classes} classes"
        return f"{self.name}: {self.spikes}, {self.num_steps} x {self.features}, {labels}; needs {self.needs}"


_REGISTERED: dict[str, Description] = {}


def register(described: Description) -> None:
    """Have `load` know a data set.

    Raises:
        ValueError: there is another one of its name.
    """
    if described.name in _REGISTERED:
        raise ValueError(expected("name", "that of no other data set", repr(described.name)))
    _REGISTERED[described.name] = described


def registered() -> tuple[Description, ...]:
    """Return the data sets that were registered, in the order of their places."""
    return tuple(sorted(_REGISTERED.values(), key=lambda described: (described.place, described.name)))
