"""A convolutional network of leaky neurons, as a plain float module; a rule makes it binary."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary.kernels.surrogates import ArcTan
from snntorch_binary.models.start import check_sizes, uniform_linear
from snntorch_binary.nn.neurons.leaky import Leaky
from snntorch_binary.nn.time_first import TimeFirst


class SpikingConvNet(nn.Sequential):
    """A convolutional time-first network of leaky neurons whose last layer is read out as input current.

    For each of ``channels`` a convolution, 2x2 max pooling and neurons; then the classes. With its defaults, the
    layers are those of snnTorch's tutorial on event data for N-MNIST (12C5-MP2-32C5-MP2-10).

    Args:
        input_shape: channels, height and width in one time step.
        num_classes: outputs C.
        channels: output channels of the convolutions.
        kernel_size: of the convolutions.
        padding: of the convolutions.
        beta: decay of the membrane potential per time step, in [0, 1].
        threshold: firing threshold.
        drive: weights start uniform in ±drive/sqrt(fan_in).
        reset_mechanism: of the membrane potential after a spike, ``"subtract"``, ``"zero"`` or ``"none"``.

    Shape:
        spikes or values [T, B, C, H, W] -> currents [T, B, num_classes].

    Raises:
        ValueError: a size or the drive is not positive, or an image is too small for so many layers.

    Example:
        >>> import torch
        >>> net = SpikingConvNet((2, 34, 34), 10)
        >>> net(torch.ones(3, 4, 2, 34, 34)).shape
        torch.Size([3, 4, 10])
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int,
        channels: Sequence[int] = (12, 32),
        kernel_size: int = 5,
        padding: int = 0,
        beta: float = 0.5,
        threshold: float = 1.0,
        drive: float = 3.0,
        reset_mechanism: str = "subtract",
    ) -> None:
        if len(input_shape) != 3:
            raise ValueError(expected("input_shape", "channels, height and width", tuple(input_shape)))
        check_sizes([*input_shape, *channels, num_classes, kernel_size], drive)
        planes, height, width = input_shape
        modules: list[nn.Module] = []
        for size in channels:
            convolution = nn.Conv2d(planes, size, kernel_size, padding=padding)
            bound = drive / math.sqrt(planes * kernel_size**2)
            nn.init.uniform_(convolution.weight, -bound, bound)
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]  # there is one
            neurons = Leaky(beta, threshold, ArcTan(), reset_mechanism=reset_mechanism)
            modules += [TimeFirst(convolution), TimeFirst(nn.MaxPool2d(2)), neurons]
            planes, height, width = size, *((side + 2 * padding - kernel_size + 1) // 2 for side in (height, width))
            if min(height, width) < 1:
                what = f"an image large enough for {len(channels)} convolutions of {kernel_size} pixels and poolings"
                raise ValueError(expected("input_shape", what, tuple(input_shape)))
        super().__init__(*modules, nn.Flatten(2), uniform_linear(planes * height * width, num_classes, drive))
