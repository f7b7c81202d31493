"""Full precision, ST-BiSNN and Bayes-BiSNN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary.experiments.rules.rule import Rule, register_rule
from snntorch_binary.lightning.balanced_bayes import BalancedBayes as BalancedBayesModule
from snntorch_binary.lightning.balanced_trajectory import BalancedTrajectory
from snntorch_binary.lightning.bayes_bisnn import BayesBiSNN
from snntorch_binary.lightning.spiking_module import SpikingModule
from snntorch_binary.lightning.st_bisnn import STBiSNN
from snntorch_binary.optim.bayes_bisnn import DEFAULT_LR
from snntorch_binary.weights import BalancedBernoulli, BalancedSign, Bernoulli

Scale = Literal["fan_in", "channel", "latent"] | float


@register_rule
@dataclass(frozen=True)
class FullPrecision(Rule):
    """Real weights, the baseline.

    Attributes:
        lr: Adam's learning rate.
    """

    name: ClassVar[str] = "full-precision"
    title: ClassVar[str] = "full precision"
    weight_bits: ClassVar[int] = 32

    lr: float = 1e-3

    def module(self, net: nn.Module, num_classes: int | None, **options: Any) -> SpikingModule:
        """Return the LightningModule that trains a float network by this rule; see :meth:`Rule.module`."""
        return SpikingModule(net, num_classes, self.lr, **options)


@register_rule
@dataclass(frozen=True)
class StraightThrough(Rule):
    """ST-BiSNN.

    Attributes:
        latent_lr: Adam's learning rate of the latents.
        lr: that of real parameters.
        scale: of the binary weights, see :func:`snntorch_binary.binarize_`.
    """

    name: ClassVar[str] = "st"
    title: ClassVar[str] = "ST-BiSNN"

    latent_lr: float = 3e-3
    lr: float = 1e-3
    scale: Scale = "channel"

    def module(self, net: nn.Module, num_classes: int | None, **options: Any) -> SpikingModule:
        """Return the LightningModule that trains a float network by this rule; see :meth:`Rule.module`."""
        return STBiSNN(net, num_classes, self.lr, self.latent_lr, scale=self.scale, **options)


@dataclass(frozen=True)
class FromST:
    """What ST-BiSNN learns before a posterior begins at its network.

    Attributes:
        share: of all epochs, between 0 and 1, rounded to whole ones.
        latent_lr: Adam's learning rate of the latents.
        lr: that of real parameters.
    """

    share: float
    latent_lr: float = StraightThrough.latent_lr
    lr: float = StraightThrough.lr

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(expected("from_st.share", "between 0 and 1, both excluded", self.share))


@register_rule
@dataclass(frozen=True)
class Bayes(Rule):
    """Bayes-BiSNN.

    Attributes:
        from_st: what ST-BiSNN learns in the first epochs, or ``None``. The posterior takes over the signs, at
            ``init_scale``, and all real parameters.
        lr: step of the Adam-normalised natural gradient.
        base_lr: Adam's learning rate of real parameters.
        rho: weight of the KL term; ``None`` is 1 / (number of training examples).
        init_scale: ``|w_r|`` at the start.
        limit: bound on ``|w_r|``.
        num_members: members of the ensemble whose test results are reported.
        scale: of the binary weights, see :func:`snntorch_binary.binarize_`.
    """

    name: ClassVar[str] = "bayes"
    title: ClassVar[str] = "Bayes-BiSNN"
    predictions: ClassVar[tuple[str, ...]] = ("mode", "draw", "ensemble")
    bayesian: ClassVar[bool] = True

    from_st: FromST | None = None
    lr: float = DEFAULT_LR
    base_lr: float = 1e-3
    rho: float | None = 0.0
    init_scale: float = 3.0
    limit: float = 30.0
    num_members: int = 10
    scale: Literal["fan_in", "channel"] | float = "channel"

    def module(self, net: nn.Module, num_classes: int | None, **options: Any) -> SpikingModule:
        """Return the LightningModule that trains a float network by this rule; see :meth:`Rule.module`."""
        return BayesBiSNN(
            net,
            num_classes,
            self.lr,
            self.rho,
            self.base_lr,
            rule=Bernoulli(init_scale=self.init_scale),
            scale=self.scale,
            limit=self.limit,
            num_test_samples=self.num_members,
            **options,
        )

    @property
    def learns_alone(self) -> bool:
        """Whether no other rule learns before it."""
        return self.from_st is None

    def first(self, epochs: int) -> tuple[Rule, int] | None:
        """Return ST-BiSNN and its share of the epochs, where the posterior begins at its network."""
        count = 0 if self.from_st is None else min(round(self.from_st.share * epochs), epochs - 1)
        if self.from_st is None or count < 1:
            return None
        rule = StraightThrough(
            network=self.network, latent_lr=self.from_st.latent_lr, lr=self.from_st.lr, scale=self.scale
        )
        return rule, count

    def bits(self, prediction: str) -> float:
        """Return the bits a weight that a prediction needs; each member has weights of its own."""
        return float(self.num_members if prediction == "ensemble" else 1)


@register_rule
@dataclass(frozen=True)
class Balanced(Rule):
    """ST-BiSNN with :class:`snntorch_binary.BalancedSign`.

    Attributes:
        latent_lr: Adam's learning rate of the latents.
        lr: that of real parameters.
    """

    name: ClassVar[str] = "balanced"
    fits_any_network: ClassVar[bool] = True
    title: ClassVar[str] = "balanced ST"

    latent_lr: float = 3e-3
    lr: float = 1e-3

    def module(self, net: nn.Module, num_classes: int | None, **options: Any) -> SpikingModule:
        """Return the LightningModule that trains a float network by this rule; see :meth:`Rule.module`."""
        return STBiSNN(net, num_classes, self.lr, self.latent_lr, rule=BalancedSign(), **options)


@register_rule
@dataclass(frozen=True)
class BalancedBayes(Rule):
    """A posterior of real latents, :class:`snntorch_binary.BalancedBernoulli`.

    Attributes:
        latent_lr: Adam's learning rate of the latents.
        lr: that of real parameters.
        sharpness: mean ``|w_r|`` of a layer as torch initialises it.
        num_members: members of the ensemble whose test results are reported.
    """

    name: ClassVar[str] = "balanced-bayes"
    fits_any_network: ClassVar[bool] = True
    title: ClassVar[str] = "balanced Bayes"
    predictions: ClassVar[tuple[str, ...]] = ("mode", "draw", "ensemble")
    bayesian: ClassVar[bool] = True

    latent_lr: float = 3e-3
    lr: float = 1e-3
    sharpness: float = BalancedBernoulli.sharpness
    num_members: int = 10

    def module(self, net: nn.Module, num_classes: int | None, **options: Any) -> SpikingModule:
        """Return the LightningModule that trains a float network by this rule; see :meth:`Rule.module`."""
        rule = BalancedBernoulli(self.sharpness)
        return BalancedBayesModule(
            net, num_classes, self.lr, self.latent_lr, rule=rule, num_test_samples=self.num_members, **options
        )

    def bits(self, prediction: str) -> float:
        """Return the bits a weight that a prediction needs; each member has weights of its own."""
        return float(self.num_members if prediction == "ensemble" else 1)


@register_rule
@dataclass(frozen=True)
class TrajectoryRule(Rule):
    """Balanced ST at a rate that does not fall, whose networks of the last third of a training answer together.

    Attributes:
        latent_lr: Adam's learning rate of the latents.
        lr: that of real parameters.
        num_members: members of the ensemble whose test results are reported.
    """

    name: ClassVar[str] = "trajectory"
    fits_any_network: ClassVar[bool] = True
    title: ClassVar[str] = "balanced ST, trajectory"
    predictions: ClassVar[tuple[str, ...]] = ("single", "ensemble")

    latent_lr: float = 1e-2
    lr: float = 1e-3
    num_members: int = 10

    def module(self, net: nn.Module, num_classes: int | None, **options: Any) -> SpikingModule:
        """Return the LightningModule that trains a float network by this rule; see :meth:`Rule.module`."""
        return BalancedTrajectory(
            net, num_classes, self.lr, self.latent_lr, num_test_samples=self.num_members, **options
        )

    def bits(self, prediction: str) -> float:
        """Return the bits a weight that a prediction needs; each member has weights of its own."""
        return float(self.num_members if prediction == "ensemble" else 1)
