"""The shipped rate networks of soft LIF neurons, which run in spikes after :func:`snntorch_binary.to_spiking`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.nn.locally_connected import LocallyConnected2d
from snntorch_binary.nn.neurons.soft_lif import SoftLIF
from snntorch_binary.nn.time_first import TimeFirst


class SoftLIFConvNet(nn.Sequential):
    """A convolutional network of soft LIF neurons for images, time-first.

    For each of ``channels`` a 5x5 convolution, neurons and 2x2 average pooling; then a fully connected layer of
    neurons, dropout, and the classes. An image is a sequence of one time step. As it stands the network is that of the
    paper for MNIST, with 12,544 + 12,544 + 2,000 neurons. Weights start normal, biases at 0: with standard deviation
    0.1 in convolutions, but 0.3 in the first (for pixels in [-1, 1]; with 0.1 the first epochs are lost in the noise of
    the neurons), and with 0.56 / sqrt(fan_in) in fully connected layers, the paper's 0.01 before its 2,000 neurons.

    Source: Hunsberger and Eliasmith, arXiv 1510.08829 and 1611.05141.

    Args:
        image_shape: channels, height and width of an image; height and width can be halved for each convolution.
        num_classes: outputs C.
        channels: output channels of the convolutions.
        hidden_size: neurons of the fully connected layer.
        dropout: probability of a neuron of that layer to be left out in training.
        **constants: of the neurons, see :class:`snntorch_binary.nn.SoftLIF`.

    Shape:
        images [T, B, C, H, W] or flat [T, B, C H W] -> class scores [T, B, num_classes].

    Raises:
        ValueError: a size is not positive, or an image cannot be halved so often.

    Example:
        >>> import torch
        >>> net = SoftLIFConvNet((1, 8, 8), 10, channels=(4, 8), hidden_size=32, noise=10.0)
        >>> net(torch.rand(1, 2, 64)).shape
        torch.Size([1, 2, 10])
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 10,
        channels: Sequence[int] = (16, 64),
        hidden_size: int = 2000,
        dropout: float = 0.5,
        **constants: Any,
    ) -> None:
        planes, height, width = image_shape
        if min(*image_shape, num_classes, hidden_size, *channels) < 1:
            raise ValueError(expected("sizes", "positive integers", (*image_shape, num_classes, *channels)))
        if height % 2 ** len(channels) or width % 2 ** len(channels):
            what = f"with sides that can be halved {len(channels)} times"
            raise ValueError(expected("image_shape", what, tuple(image_shape)))
        modules: list[nn.Module] = [nn.Flatten(2), nn.Unflatten(2, tuple(image_shape))]
        for size in channels:
            convolution = _started(nn.Conv2d(planes, size, 5, padding=2), 0.3 if len(modules) == 2 else 0.1)
            modules += [TimeFirst(convolution), SoftLIF(**constants), TimeFirst(nn.AvgPool2d(2))]
            planes, height, width = size, height // 2, width // 2
        size = planes * height * width
        hidden = _started(nn.Linear(size, hidden_size), 0.56 / math.sqrt(size))
        output = _started(nn.Linear(hidden_size, num_classes), 0.56 / math.sqrt(hidden_size))
        super().__init__(*modules, nn.Flatten(2), hidden, SoftLIF(**constants), nn.Dropout(dropout), output)


def _started(layer: Any, deviation: float) -> Any:
    nn.init.normal_(layer.weight, 0.0, deviation)
    nn.init.zeros_(layer.bias)
    return layer


class SoftLIFLocalNet(nn.Sequential):
    """The paper's network of soft LIF neurons for CIFAR-10, time-first, with locally connected layers.

    5x5 convolutions with 64 channels, each with neurons and 3x3 average pooling of stride 2; then two locally connected
    3x3 layers with 64 and 32 channels, and the classes. On the 24x24 pixels in the middle of an image these are
    36,864 + 9,216 + 2,304 + 1,152 neurons. Weights start normal with standard deviations of 1e-4, 0.01, 0.04, 0.04 and
    0.01 for pixels from -127.5 to 127.5, as published: inputs are multiplied by 127.5.

    Source: Hunsberger and Eliasmith, arXiv 1510.08829 and 1611.05141.

    Args:
        num_classes: outputs C.
        crop: side of the square that is seen, a multiple of 4.
        channels: of the two convolutions and the two locally connected layers.
        **constants: of the neurons, see :class:`snntorch_binary.nn.SoftLIF`; those for CIFAR-10 by default.

    Shape:
        images [T, B, 3, H, W] in [-1, 1], with sides of at least ``crop`` -> class scores [T, B, num_classes].

    Raises:
        ValueError: a size is out of its range.

    Example:
        >>> import torch
        >>> net = SoftLIFLocalNet(channels=(4, 4, 4, 2), crop=8)
        >>> net(torch.rand(1, 2, 3, 32, 32)).shape
        torch.Size([1, 2, 10])
    """

    def __init__(
        self, num_classes: int = 10, crop: int = 24, channels: Sequence[int] = (64, 64, 64, 32), **constants: Any
    ) -> None:
        if crop < 4 or crop % 4:
            raise ValueError(expected("crop", "a positive multiple of 4", crop))
        if len(channels) != 4 or min(*channels, num_classes) < 1:
            raise ValueError(expected("channels", "four positive integers", channels))
        constants = {"tau_ref": 0.001, "tau_rc": 0.05, "gain": 0.825, **constants}
        first, second, third, fourth = channels
        side = crop // 4

        def pool() -> TimeFirst:
            return TimeFirst(nn.AvgPool2d(3, stride=2, ceil_mode=True))

        super().__init__(
            _Middle(crop),
            TimeFirst(_started(nn.Conv2d(3, first, 5, padding=2), 1e-4)),
            SoftLIF(**constants),
            pool(),
            TimeFirst(_started(nn.Conv2d(first, second, 5, padding=2), 0.01)),
            SoftLIF(**constants),
            pool(),
            TimeFirst(_started(LocallyConnected2d(second, third, (side, side), 3, padding=1), 0.04)),
            SoftLIF(**constants),
            TimeFirst(_started(LocallyConnected2d(third, fourth, (side, side), 3, padding=1), 0.04)),
            SoftLIF(**constants),
            nn.Flatten(2),
            _started(nn.Linear(fourth * side * side, num_classes), 0.01),
        )


class _Middle(nn.Module):
    """The middle of images in [-1, 1], on the scale of their bytes around the mean."""

    def __init__(self, crop: int) -> None:
        super().__init__()
        self.crop = crop

    def forward(self, x: Tensor) -> Tensor:
        top, left = ((size - self.crop) // 2 for size in x.shape[-2:])
        if min(top, left) < 0:
            raise ValueError(expected("x", f"images with sides of at least {self.crop}", list(x.shape)))
        return 127.5 * x[..., top : top + self.crop, left : left + self.crop]
