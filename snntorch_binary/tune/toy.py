"""The paper's toy: a quadratic that no fixed hyper-parameters of the two workers can maximise."""

from __future__ import annotations

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from snntorch_binary.lightning.hyperparameters import (
    Group,
    Hyperparameter,
    at_least_zero,
    learning_rate,
    of_objects,
)
from snntorch_binary.lightning.plain_checkpoints import LoadsPlainly

_MAXIMUM = 1.2
_START = 0.9


class Quadratic(LoadsPlainly, L.LightningModule):
    r"""Learns θ by the surrogate :math:`\hat Q = 1.2 - h_0 \theta_0^2 - h_1 \theta_1^2`; logged is the true Q.

    .. math:: Q(\theta) = 1.2 - \theta_0^2 - \theta_1^2

    From θ = (0.9, 0.9), a worker with h = (1, 0) comes to Q = 0.39 and no further, and so does one with h = (0, 1);
    the maximum is 1.2, and needs both. The hyper-parameters are ``h0``, ``h1`` and ``lr``.

    Args:
        h0: weight of the first coordinate, at least 0.
        h1: weight of the second coordinate, at least 0.
        lr: learning rate of plain gradient ascent.
        steps: steps an epoch.

    Example:
        >>> from snntorch_binary.tune import Quadratic
        >>> round(Quadratic().value().item(), 2)
        -0.42

    References:
        Jaderberg et al., *Population Based Training of Neural Networks*, arXiv 1711.09846.
    """

    def __init__(self, h0: float = 1.0, h1: float = 0.0, lr: float = 0.01, steps: int = 4) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.h0, self.h1, self.lr, self.steps = h0, h1, lr, steps
        self.theta = nn.Parameter(torch.full((2,), _START))

    def value(self) -> Tensor:
        """Return Q, a scalar."""
        return _MAXIMUM - self.theta.square().sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return plain gradient descent."""
        return torch.optim.SGD([self.theta], lr=self.lr)

    def hyperparameters(self, optimizer: torch.optim.Optimizer) -> dict[str, Hyperparameter]:
        """Return what may change during training by name."""
        groups: list[Group] = optimizer.param_groups
        found = {name: of_objects([self], name, at_least_zero, "a float of at least 0") for name in ("h0", "h1")}
        return {**found, "lr": learning_rate(groups)}

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Return minus the surrogate."""
        weights = self.theta.new_tensor([self.h0, self.h1])
        return (weights * self.theta.square()).sum() - _MAXIMUM

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Log Q and both coordinates."""
        self.log("Q", self.value())
        self.log("theta0", self.theta[0])
        self.log("theta1", self.theta[1])

    def train_dataloader(self) -> DataLoader[int]:
        """Return something for every step; no data are needed."""
        return DataLoader(range(self.steps), batch_size=1)  # type: ignore[arg-type]

    def val_dataloader(self) -> DataLoader[int]:
        """Return something for one evaluation."""
        return DataLoader(range(1), batch_size=1)  # type: ignore[arg-type]
