"""VGG9 for images of 32 x 32 pixels: FedSNN's spiking network, and its twin of real numbers."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary.nn.batch_norm import BatchNormThroughTime
from snntorch_binary.nn.neurons.soft_reset import SoftReset
from snntorch_binary.nn.time_first import TimeFirst

_STAGES = ((64, 64), (128, 128), (256, 256, 256))  # an average pooling after each
_HIDDEN = 1024
_PIXELS_LEFT = 4 * 4

Units = Callable[[int, bool], list[tuple[str, nn.Module]]]  # of (size, whether images) to what follows a layer


class SpikingVGG9(nn.Sequential):
    r"""The spiking VGG9 of FedSNN: batch norm through time, soft reset, and the mean potential as its answer.

    Seven 3 x 3 convolutions of 64, 64, 128, 128, 256, 256, 256 channels, an average pooling of spikes after the
    second, fourth and seventh, and fully connected layers of 1024 neurons and ``num_classes`` outputs, none with a
    bias. Each but the last is followed by :class:`~snntorch_binary.nn.BatchNormThroughTime` and
    :class:`~snntorch_binary.nn.SoftReset` neurons. The outputs neither leak nor fire: their potential after T steps,
    divided by T, is the mean over time of the currents given here, which the readout ``"membrane"`` takes. Weights
    start Xavier-uniform with gain 2. Images lie channels-last in memory, which halves the time on a CPU.

    Source: Venkatesha, Kim, Tassiulas and Panda, "Federated Learning with Spiking Neural Networks", IEEE Transactions
    on Signal Processing 69, 2021, arXiv 2106.06579, and its published code.

    Args:
        num_classes: outputs C.
        num_steps: time steps T; each has a batch norm of its own.
        width: factor of all sizes but those of input and output; 1 is the published network.
        beta: decay of the membrane potential per time step.
        threshold: firing threshold.

    Shape:
        input spikes [T, B, 3, 32, 32] -> currents [T, B, C].

    Raises:
        ValueError: an argument is not positive, or a decay is out of range.

    Example:
        >>> import torch
        >>> net = SpikingVGG9(num_steps=2, width=0.125)
        >>> net(torch.zeros(2, 3, 3, 32, 32)).shape
        torch.Size([2, 3, 10])
    """

    def __init__(
        self,
        num_classes: int = 10,
        num_steps: int = 20,
        width: float = 1.0,
        beta: float = 0.95,
        threshold: float = 1.0,
    ) -> None:
        def units(size: int, images: bool) -> list[tuple[str, nn.Module]]:
            return [("norm", BatchNormThroughTime(size, num_steps)), ("neurons", SoftReset(beta, threshold))]

        super().__init__(_layers(num_classes, width, units))
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.xavier_uniform_(layer.weight, gain=2.0)
        _channels_last_(self)


class VGG9(nn.Sequential):
    """The twin of :class:`SpikingVGG9` with real numbers: the same weights, batch norm and ReLU, one time step.

    FedSNN compares with a larger network; this one has the spiking network's sizes. Weights start Kaiming-normal.

    Args:
        num_classes: outputs C.
        width: factor of all sizes but those of input and output.

    Shape:
        images [1, B, 3, 32, 32] in [-1, 1] -> outputs [1, B, C]; of more time steps, each by itself.

    Raises:
        ValueError: an argument is not positive.

    Example:
        >>> import torch
        >>> VGG9(width=0.125)(torch.zeros(1, 3, 3, 32, 32)).shape
        torch.Size([1, 3, 10])
    """

    def __init__(self, num_classes: int = 10, width: float = 1.0) -> None:
        def units(size: int, images: bool) -> list[tuple[str, nn.Module]]:
            norm = nn.BatchNorm2d(size) if images else nn.BatchNorm1d(size)
            return [("norm", TimeFirst(norm)), ("relu", nn.ReLU())]

        super().__init__(_layers(num_classes, width, units))
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        _channels_last_(self)


def _channels_last_(net: nn.Module) -> None:
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)


def _layers(num_classes: int, width: float, units: Units) -> OrderedDict[str, nn.Module]:
    """Return the layers by name, each with its units behind it."""
    if not isinstance(num_classes, int) or num_classes < 1:
        raise ValueError(expected("num_classes", "a positive integer", num_classes))
    if not 0.0 < width < math.inf:
        raise ValueError(expected("width", "a positive float", width))
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels, number = 3, 0
    for stage, sizes in enumerate(_STAGES, 1):
        for size in (max(1, round(width * size)) for size in sizes):
            number += 1
            layers[f"conv{number}"] = TimeFirst(nn.Conv2d(channels, size, 3, padding=1, bias=False))
            layers |= {f"{name}{number}": unit for name, unit in units(size, True)}
            channels = size
        layers[f"pool{stage}"] = TimeFirst(nn.AvgPool2d(2))
    hidden = max(1, round(width * _HIDDEN))
    layers["flatten"] = nn.Flatten(2)
    layers["fc1"] = nn.Linear(channels * _PIXELS_LEFT, hidden, bias=False)
    layers |= {f"{name}{number + 1}": unit for name, unit in units(hidden, False)}
    layers["fc2"] = nn.Linear(hidden, num_classes, bias=False)
    return layers
