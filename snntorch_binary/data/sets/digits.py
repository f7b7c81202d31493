"""The 8×8 digits that come with scikit-learn: real images without any file to fetch."""

from __future__ import annotations

import torch

from snntorch_binary._errors import require
from snntorch_binary.data.description import Description, Request, register
from snntorch_binary.data.encoders import RateEncoder
from snntorch_binary.data.splits import Source, hold_out


def read(asked: Request) -> Source:
    """Return the 1,797 images as values in [0, 1], shape [N, 64]; a fifth of each class is the test part."""
    digits = require("sklearn.datasets", "lightning").load_digits()
    values = torch.from_numpy(digits.data).float() / 16
    labels = torch.from_numpy(digits.target).long()
    everything = torch.ones(len(labels), dtype=torch.bool)
    return Source(
        labels=labels,
        test=hold_out(labels, everything, 0.2, key="digits test"),
        read=lambda indices, num_steps: values[indices],
        class_names=tuple(map(str, range(10))),
    )


register(
    Description(
        name="digits",
        place=0,
        num_classes=10,
        num_steps=10,
        spikes="Bernoulli rates",
        features=(64,),
        needs="scikit-learn",
        read=read,
        encoder=RateEncoder(),
        foldable=True,
    )
)
