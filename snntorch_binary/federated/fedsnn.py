"""How FedSNN's clients learn: plain SGD with momentum."""

from __future__ import annotations

import torch
from torch import nn

from snntorch_binary._errors import expected, require

require("lightning", "lightning")  # one clear sentence before the imports that need it

from snntorch_binary.inference.readout import DEFAULT_READOUT, ReadoutName  # noqa: E402  # after the check above
from snntorch_binary.lightning.spiking_module import Credit, SpikingModule  # noqa: E402  # after the check above


class FedSNN(SpikingModule):
    """Local training of FedSNN: cross-entropy of the mean potential, SGD with momentum.

    Source: Venkatesha, Kim, Tassiulas and Panda, "Federated Learning with Spiking Neural Networks", IEEE Transactions
    on Signal Processing 69, 2021, arXiv 2106.06579.

    Args:
        net: the network, such as :class:`snntorch_binary.models.SpikingVGG9` or its twin ``VGG9``.
        num_classes: number of classes C.
        lr: learning rate.
        momentum: of SGD, in [0, 1); the paper has 0.95, its published code 0.9.
        weight_decay: of SGD, at least 0.
        readout: as in :class:`snntorch_binary.lightning.SpikingModule`; so is what follows.
        readout_scale: see there.
        step: see there.
        credit: see there.
        time_dim: see there.
        fuse: see there.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> from snntorch_binary.models import VGG9
        >>> FedSNN(VGG9(width=0.125), num_classes=10)(torch.zeros(1, 4, 3, 32, 32)).shape
        torch.Size([4, 10])
    """

    def __init__(
        self,
        net: nn.Module,
        num_classes: int | None,
        lr: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        readout: ReadoutName = DEFAULT_READOUT,
        readout_scale: float | None = None,
        step: bool | None = None,
        credit: Credit = "through-time",
        time_dim: int | None = None,
        fuse: bool = True,
    ) -> None:
        if not 0.0 <= momentum < 1.0:
            raise ValueError(expected("momentum", "a float in [0, 1)", momentum))
        if not weight_decay >= 0.0:
            raise ValueError(expected("weight_decay", "a float of at least 0", weight_decay))
        super().__init__(
            net, num_classes, lr, readout, readout_scale, step, credit=credit, time_dim=time_dim, fuse=fuse
        )
        self.momentum = momentum
        self.weight_decay = weight_decay

    def configure_optimizer(self) -> torch.optim.Optimizer:
        """Return SGD with momentum."""
        return torch.optim.SGD(self.net.parameters(), self.lr, momentum=self.momentum, weight_decay=self.weight_decay)
