"""MNIST-DVS by its name: scale 4, in bins of 5 ms."""

from __future__ import annotations

from snntorch_binary.data.description import Description, Request, register
from snntorch_binary.data.errors import DataNotFoundError
from snntorch_binary.data.splits import Source


def read(asked: Request) -> Source:
    """Return MNIST-DVS at scale 4 in bins of 5 ms, 26×26 pixels and 2 polarities.

    Raises:
        DataNotFoundError: there are fewer than three recordings of a class.
    """
    from snntorch_binary.data.mnist_dvs import MNISTDVS

    everything = MNISTDVS(asked.data_dir, train=None)
    counts = everything.labels.bincount(minlength=10)
    few = [digit for digit in sorted(asked.classes) if counts[digit] < 3]
    if few:
        raise DataNotFoundError(
            f"MNIST-DVS in {asked.data_dir} has too few recordings (scale 4) of the digits {few}: a training, "
            "validation and test part need at least 3 of each."
        )
    return Source(
        labels=everything.labels,
        test=everything.test,
        read=lambda indices, num_steps: everything.frames(
            indices.tolist(), dt=5.0, duration=5.0 * num_steps, one_symbol=asked.one_symbol
        ),
        class_names=tuple(map(str, range(10))),
    )


register(
    Description(
        name="mnist-dvs",
        place=220,
        num_classes=10,
        num_steps=400,
        spikes="recorded, bins of 5 ms",
        features=(2, 26, 26),
        needs="the event files",
        read=read,
        polarities=True,
        foldable=True,
    )
)
