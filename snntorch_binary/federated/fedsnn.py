"""How FedSNN's clients learn: plain SGD with momentum, at a rate that falls in steps over the rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from snntorch_binary._errors import expected, require

require("lightning", "lightning")

from snntorch_binary.inference.readout import ReadoutName  # noqa: E402
from snntorch_binary.lightning import SpikingModule  # noqa: E402


class FedSNN(SpikingModule):
    """Local training of FedSNN: cross-entropy of the mean potential, SGD with momentum.

    Source: Venkatesha, Kim, Tassiulas and Panda, "Federated Learning with Spiking Neural Networks", IEEE Transactions
    on Signal Processing 69, 2021, arXiv 2106.06579.

    Args:
        net: the network, such as :class:`SpikingVGG9` or its twin :class:`VGG9`.
        num_classes: number of classes C.
        lr: learning rate.
        momentum: of SGD, in [0, 1); the paper has 0.95, its published code 0.9.
        weight_decay: of SGD, at least 0.
        readout: as in :class:`snntorch_binary.lightning.SpikingModule`.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> from snntorch_binary.federated.vgg9 import VGG9
        >>> FedSNN(VGG9(width=0.125), num_classes=10)(torch.zeros(1, 4, 3, 32, 32)).shape
        torch.Size([4, 10])
    """

    def __init__(
        self,
        net: nn.Module,
        num_classes: int,
        lr: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        readout: ReadoutName = "membrane",
    ) -> None:
        if not 0.0 <= momentum < 1.0:
            raise ValueError(expected("momentum", "a float in [0, 1)", momentum))
        if not weight_decay >= 0.0:
            raise ValueError(expected("weight_decay", "a float of at least 0", weight_decay))
        super().__init__(net, num_classes, lr, readout)
        self.momentum = momentum
        self.weight_decay = weight_decay

    def configure_optimizer(self) -> torch.optim.Optimizer:
        """Return SGD with momentum."""
        return torch.optim.SGD(self.net.parameters(), self.lr, momentum=self.momentum, weight_decay=self.weight_decay)


def rate_in_steps(
    num_rounds: int, after: Sequence[float] = (0.4, 0.6, 0.8), factor: float = 0.2
) -> Callable[[int], float]:
    """Return what maps a round, from 1, to the factor on its learning rate: FedSNN's fifth after each step.

    Args:
        num_rounds: rounds in all.
        after: the steps, as shares of all rounds that lie behind, in (0, 1).
        factor: of each step, in (0, 1].

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> rate = rate_in_steps(100)
        >>> [round(rate(number), 3) for number in (1, 40, 41, 61, 100)]
        [1.0, 1.0, 0.2, 0.04, 0.008]
    """
    if num_rounds < 1:
        raise ValueError(expected("num_rounds", "a positive integer", num_rounds))
    if not all(0 < share < 1 for share in after):
        raise ValueError(expected("after", "shares of the rounds in (0, 1)", tuple(after)))
    if not 0 < factor <= 1:
        raise ValueError(expected("factor", "a float in (0, 1]", factor))
    return lambda number: factor ** sum(number > share * num_rounds for share in after)
