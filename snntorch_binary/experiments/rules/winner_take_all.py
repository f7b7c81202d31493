"""VOWEL, of winner-take-all networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary.experiments.rules.rule import Rule, register_rule
from snntorch_binary.lightning.spiking_module import SpikingModule
from snntorch_binary.lightning.vowel import VOWEL
from snntorch_binary.nn import WTANetwork


@dataclass(frozen=True)
class _WinnerTakeAll(Rule):
    """VOWEL, of a network made by :func:`snntorch_binary.models.symbol_network`.

    Attributes:
        lr: Adam's learning rate of the outputs.
        hidden_lr: that of hidden circuits.
        kappa: see :class:`snntorch_binary.learning.VOWEL`; so are beta, gamma and silence.
        beta: decay of the baseline's averages.
        gamma: weight of the regulariser.
        silence: prior probability of silence.
        num_members: sampled runs of a network that are averaged.
    """

    predictions: ClassVar[tuple[str, ...]] = VOWEL.predictions
    weight_bits: ClassVar[int] = 32
    credit: ClassVar[str | None] = "online"
    sees_symbols: ClassVar[bool] = True

    lr: float = 0.02
    hidden_lr: float = 5e-4
    kappa: float = 0.2
    beta: float = 0.95
    gamma: float = 0.05
    silence: float = 0.5
    num_members: int = 10

    def module(self, net: nn.Module, num_classes: int | None, **options: Any) -> SpikingModule:
        """Return the LightningModule that trains a winner-take-all network; see :meth:`Rule.module`."""
        if not isinstance(net, WTANetwork) or num_classes is None:
            what = f"a winner-take-all network that decides between classes, for the rule {self.name}"
            raise ValueError(expected("network", what, type(net).__name__))
        return VOWEL(
            net,
            num_classes,
            self.lr,
            self.hidden_lr,
            kappa=self.kappa,
            beta=self.beta,
            gamma=self.gamma,
            silence=self.silence,
            polarities=options["polarities"],
            num_test_samples=self.num_members,
        )


@register_rule
@dataclass(frozen=True)
class VOWELWinnerTakeAll(_WinnerTakeAll):
    """VOWEL with the polarities of events as two symbols."""

    name: ClassVar[str] = "vowel-wta"
    title: ClassVar[str] = "VOWEL, signs as symbols"


@register_rule
@dataclass(frozen=True)
class VOWELBinary(_WinnerTakeAll):
    """VOWEL without the polarities of events."""

    name: ClassVar[str] = "vowel-binary"
    title: ClassVar[str] = "VOWEL, without signs"
