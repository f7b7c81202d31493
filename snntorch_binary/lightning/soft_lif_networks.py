"""The shipped rate networks of soft LIF neurons, which run in spikes after :func:`snntorch_binary.to_spiking`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary.nn.soft_lif import SoftLIF
from snntorch_binary.nn.time_first import TimeFirst


class SoftLIFConvNet(nn.Sequential):
    """A convolutional network of soft LIF neurons for images, time-first.

    For each of ``channels`` a 5x5 convolution, neurons and 2x2 average pooling; then a fully connected layer of
    neurons, dropout, and the classes. An image is a sequence of one time step. As it stands the network is that of the
    paper for MNIST, with 12,544 + 12,544 + 2,000 neurons. Weights start normal with standard deviation 0.1 in
    convolutions and 0.01 in fully connected layers, biases at 0.

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
            convolution = _started(nn.Conv2d(planes, size, 5, padding=2), 0.1)
            modules += [TimeFirst(convolution), SoftLIF(**constants), TimeFirst(nn.AvgPool2d(2))]
            planes, height, width = size, height // 2, width // 2
        hidden = _started(nn.Linear(planes * height * width, hidden_size), 0.01)
        output = _started(nn.Linear(hidden_size, num_classes), 0.01)
        super().__init__(*modules, nn.Flatten(2), hidden, SoftLIF(**constants), nn.Dropout(dropout), output)


def _started(layer: Any, deviation: float) -> Any:
    nn.init.normal_(layer.weight, 0.0, deviation)
    nn.init.zeros_(layer.bias)
    return layer
