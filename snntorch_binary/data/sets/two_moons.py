"""Two moons: two interleaved half circles, the smallest set on which a posterior can be looked at."""

from __future__ import annotations

import torch

from snntorch_binary._errors import require
from snntorch_binary.data.description import Description, Request, register
from snntorch_binary.data.encoders import PopulationEncoder
from snntorch_binary.data.splits import Source

_TRAIN, _VALIDATION, _TEST = 200, 200, 1000


def read(asked: Request) -> Source:
    """Return 200 training, 200 validation and 1,000 test points, each coordinate scaled to [0, 1].

    All points are generated at once (scikit-learn's make_moons, noise 0.1) and scaled together, because the
    training points alone would map the test points outside of [0, 1].
    """
    total = _TRAIN + _VALIDATION + _TEST
    points, labels = require("sklearn.datasets", "lightning").make_moons(total, noise=0.1, random_state=0)
    values = torch.from_numpy(points)
    low, high = values.aminmax(dim=0)
    values = ((values - low) / (high - low)).float()
    index = torch.arange(total)
    return Source(
        labels=torch.from_numpy(labels),
        test=index >= _TRAIN + _VALIDATION,
        validation=(index >= _TRAIN) & (index < _TRAIN + _VALIDATION),
        read=lambda indices, num_steps: values[indices],
        class_names=("upper", "lower"),
    )


register(
    Description(
        name="two-moons",
        place=10,
        num_classes=2,
        num_steps=100,
        spikes="population code",
        features=(20,),
        needs="scikit-learn",
        read=read,
        encoder=PopulationEncoder(num_units=10, width=1.0),
    )
)
