"""What a rule of an experiment is, and the list of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary.convert import SpikingNetwork, to_spiking
from snntorch_binary.lightning.spiking_module import SpikingModule


@dataclass(frozen=True)
class Presentation:
    """How a network of soft LIF neurons runs in spikes.

    Attributes:
        tau_syn: time constant of the synapses, in seconds.
        scoring: when outputs begin to count, in seconds.
        presentation: how long an image is shown, in seconds.
    """

    tau_syn: float = 0.002
    scoring: float = 0.04
    presentation: float = 0.1

    def in_spikes(self, net: nn.Module) -> SpikingNetwork:
        """Return a network in spikes, as it is shown images.

        Raises:
            ValueError: it is none of soft LIF neurons.
        """
        return to_spiking(net, tau_syn=self.tau_syn, presentation=self.presentation, scoring=self.scoring)


@dataclass(frozen=True)
class Rule:
    """A rule, and its hyper-parameters. A subclass is registered by :func:`register_rule`.

    Attributes:
        network: arguments of the network that differ under this rule, or another network as class_path and init_args.
        spiking: how its networks also run in spikes, where they are of soft LIF neurons.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    predictions: ClassVar[tuple[str, ...]] = ("single",)
    weight_bits: ClassVar[int] = 1
    bayesian: ClassVar[bool] = False
    """Whether it learns a posterior over weights, whose opponents are the rules that do not."""
    credit: ClassVar[str | None] = None
    """How weights learn of the error under this rule, whatever the experiment says."""
    sees_symbols: ClassVar[bool] = False
    """Whether a pixel of an event camera must have one polarity only in a time step."""
    fits_any_network: ClassVar[bool] = False
    """Whether its defaults are meant for any network, so that an experiment need not have settings for it."""
    order: ClassVar[int]
    """Its place in tables."""

    network: Mapping[str, Any] = field(default_factory=dict)
    spiking: Presentation | None = None

    def module(self, net: nn.Module, num_classes: int | None, **options: Any) -> SpikingModule:
        """Return the LightningModule that trains a float network by this rule.

        Args:
            net: the network, which becomes binary.
            num_classes: classes C, or ``None`` for real targets.
            **options: what all rules share: ``readout``, ``readout_scale``, ``step``, ``time_dim``, ``credit``.
        """
        raise NotImplementedError

    @property
    def learns_alone(self) -> bool:
        """Whether no other rule learns before it, whatever the number of epochs."""
        return True

    def first(self, epochs: int) -> tuple[Rule, int] | None:
        """Return the rule that learns first, from whose network this one goes on, and for how many of all epochs."""
        return None

    def check(self, net: nn.Module) -> None:
        """Look whether an untrained network can give all predictions.

        Raises:
            ValueError: it cannot.
        """
        if self.spiking is not None:
            self.spiking.in_spikes(net)

    def bits(self, prediction: str) -> float:
        """Return the bits a weight that a prediction needs."""
        return float(self.weight_bits)

    def plain(self) -> dict[str, Any]:
        """Return the hyper-parameters as plain values."""
        return {key: value for key, value in asdict(self).items() if value is not None and value != {}}


def alone(rule: Rule, where: str) -> Rule:
    """Return a rule, which learns from the first epoch on.

    Raises:
        ValueError: another would learn before it.
    """
    if not rule.learns_alone:
        first = rule.plain().get("from_st")
        raise ValueError(expected(f"rules.{rule.name}.from_st", f"left out in {where}", first))
    return rule


RULES: dict[str, type[Rule]] = {}
"""The rules by name, in the order of tables."""


def register_rule(rule: type[Rule]) -> type[Rule]:
    """Let an experiment name a rule."""
    rule.order = len(RULES)
    RULES[rule.name] = rule
    return rule


IN_SPIKES = "spiking"


def in_spikes(prediction: str) -> str:
    """Return what a prediction is called when its network runs in spikes."""
    return IN_SPIKES if prediction == "single" else f"{IN_SPIKES} {prediction}"
