"""A fully connected network of leaky neurons, as a plain float module; a rule makes it binary."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from snntorch_binary.kernels.surrogates import ArcTan
from snntorch_binary.models.start import check_sizes, uniform_linear
from snntorch_binary.nn.neurons.leaky import Leaky


class SpikingMLP(nn.Sequential):
    """A fully connected time-first network of leaky neurons whose last layer is read out as input current.

    Args:
        input_size: features per time step; further feature dimensions are flattened.
        hidden_sizes: neurons of the hidden layers.
        num_classes: outputs C.
        beta: decay of the membrane potential per time step, in [0, 1].
        threshold: firing threshold.
        drive: weights start uniform in ±drive/sqrt(fan_in); torch's own start is 1, too little for neurons with
            a threshold of 1 to fire.
        reset_mechanism: of the membrane potential after a spike, ``"subtract"``, ``"zero"`` (which NIR can express) or
            ``"none"``.

    Shape:
        spikes [T, B, ...] -> currents [T, B, C].

    Raises:
        ValueError: a size or the drive is not positive.

    Example:
        >>> import torch
        >>> net = SpikingMLP(64, [32], 10)
        >>> net(torch.ones(10, 2, 64)).shape
        torch.Size([10, 2, 10])
    """

    def __init__(
        self,
        input_size: int,
        hidden_sizes: Sequence[int],
        num_classes: int,
        beta: float = 0.9,
        threshold: float = 1.0,
        drive: float = 3.0,
        reset_mechanism: str = "subtract",
    ) -> None:
        sizes = [input_size, *hidden_sizes, num_classes]
        check_sizes(sizes, drive)
        modules: list[nn.Module] = [nn.Flatten(2)]
        for index, (fan_in, size) in enumerate(pairwise(sizes)):
            modules.append(uniform_linear(fan_in, size, drive))
            if index < len(hidden_sizes):
                modules.append(Leaky(beta, threshold, ArcTan(), reset_mechanism=reset_mechanism))
        super().__init__(*modules)
