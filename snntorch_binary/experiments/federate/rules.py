"""The rule of FedSNN's clients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from snntorch_binary.experiments.rules import Rule, register_rule
from snntorch_binary.federated.fedsnn import FedSNN
from snntorch_binary.lightning.spiking_module import SpikingModule


@register_rule
@dataclass(frozen=True)
class FedSNNRule(Rule):
    """Real weights by SGD with momentum; for the attributes see :class:`snntorch_binary.federated.fedsnn.FedSNN`."""

    name: ClassVar[str] = "fedsnn"
    title: ClassVar[str] = "FedSNN"
    weight_bits: ClassVar[int] = 32

    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0

    def module(self, net: nn.Module, num_classes: int | None, **options: Any) -> SpikingModule:
        """Return the LightningModule that trains a float network by this rule; see :meth:`Rule.module`."""
        return FedSNN(net, num_classes, self.lr, self.momentum, self.weight_decay, **options)
