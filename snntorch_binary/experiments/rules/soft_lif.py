"""Rate networks of soft LIF neurons, which also run in spikes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from snntorch_binary.experiments.rules.real_and_binary import Bayes, FullPrecision, StraightThrough
from snntorch_binary.experiments.rules.rule import IN_SPIKES, Presentation, register_rule


@register_rule
@dataclass(frozen=True)
class SoftLIF(FullPrecision):
    """A rate network of soft LIF neurons in full precision, which also runs in spikes."""

    name: ClassVar[str] = "softlif"
    title: ClassVar[str] = "soft LIF"

    spiking: Presentation | None = field(default_factory=Presentation)


@register_rule
@dataclass(frozen=True)
class SoftLIFStraightThrough(StraightThrough):
    """The same with binary weights by ST-BiSNN."""

    name: ClassVar[str] = "softlif-st"
    title: ClassVar[str] = "soft LIF, ST-BiSNN"

    spiking: Presentation | None = field(default_factory=Presentation)


@register_rule
@dataclass(frozen=True)
class SoftLIFBayes(Bayes):
    """The same with binary weights by Bayes-BiSNN."""

    name: ClassVar[str] = "softlif-bayes"
    title: ClassVar[str] = "soft LIF, Bayes-BiSNN"

    spiking: Presentation | None = field(default_factory=Presentation)

    def bits(self, prediction: str) -> float:
        """Return the bits a weight that a prediction needs, in rates or in spikes."""
        return super().bits(prediction.removeprefix(IN_SPIKES).strip())
