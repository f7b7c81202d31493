"""The rules a network can learn by in an experiment: what each makes of a float network, and with what settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary.experiments.named import typed
from snntorch_binary.lightning.bayes_bisnn import BayesBiSNN
from snntorch_binary.lightning.spiking_module import SpikingModule
from snntorch_binary.lightning.st_bisnn import STBiSNN
from snntorch_binary.lightning.vowel import VOWEL
from snntorch_binary.nn import WTANetwork
from snntorch_binary.weights import Bernoulli

Scale = Literal["fan_in", "channel"] | float


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
    credit: ClassVar[str | None] = None
    """How weights learn of the error under this rule, whatever the experiment says."""
    sees_symbols: ClassVar[bool] = False
    """Whether a pixel of an event camera must have one polarity only in a time step."""
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

    def bits(self, prediction: str) -> float:
        """Return the bits a weight that a prediction needs."""
        return float(self.weight_bits)

    def plain(self) -> dict[str, Any]:
        """Return the hyper-parameters as plain values."""
        return {key: value for key, value in asdict(self).items() if value is not None and value != {}}


RULES: dict[str, type[Rule]] = {}
"""The rules by name, in the order of tables."""


def register_rule(rule: type[Rule]) -> type[Rule]:
    """Let an experiment name a rule."""
    rule.order = len(RULES)
    RULES[rule.name] = rule
    return rule


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


@register_rule
@dataclass(frozen=True)
class Bayes(Rule):
    """Bayes-BiSNN.

    Attributes:
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
    predictions: ClassVar[tuple[str, ...]] = ("mode", "ensemble")

    lr: float = 0.15
    base_lr: float = 1e-3
    rho: float | None = 0.0
    init_scale: float = 3.0
    limit: float = 30.0
    num_members: int = 10
    scale: Scale = "channel"

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

    def bits(self, prediction: str) -> float:
        """Return the bits a weight that a prediction needs; each member has weights of its own."""
        return float(self.num_members if prediction == "ensemble" else 1)


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


DEFAULT_RULES = ("full-precision", "st", "bayes")
"""The rules that are compared unless an experiment says otherwise."""
IN_SPIKES = "spiking"


def in_spikes(prediction: str) -> str:
    """Return what a prediction is called when its network runs in spikes."""
    return IN_SPIKES if prediction == "single" else f"{IN_SPIKES} {prediction}"


def rules_of(given: Any) -> tuple[Rule, ...]:
    """Return the rules that a user lists, by name or with hyper-parameters.

    Args:
        given: a list of names and of mappings of a name to hyper-parameters; a mapping of names to hyper-parameters;
            or ``None`` for :data:`DEFAULT_RULES`.

    Raises:
        ValueError: a rule or a hyper-parameter is unknown, out of range, or a rule is there twice.

    Example:
        >>> [rule.name for rule in rules_of(["st", {"bayes": {"lr": 0.3}}])]
        ['st', 'bayes']
    """
    given = DEFAULT_RULES if given is None else given
    pairs: list[tuple[Any, Any]] = []
    if isinstance(given, Mapping):
        pairs = list(given.items())
    elif isinstance(given, Sequence) and not isinstance(given, str):
        for each in given:
            pairs += list(each.items()) if isinstance(each, Mapping) else [(each, None)]
    names = [name.name if isinstance(name, Rule) else name for name, _ in pairs]
    if not names or len(set(map(str, names))) != len(names):
        raise ValueError(expected("rules", "different rules, at least one", given))
    return tuple(name if isinstance(name, Rule) else make_rule(name, settings) for name, settings in pairs)


def make_rule(name: Any, settings: Any = None) -> Rule:
    """Return a rule with some of its hyper-parameters.

    Raises:
        ValueError: it or a hyper-parameter is unknown, or out of range.
    """
    if not isinstance(name, str) or name not in RULES:
        raise ValueError(expected("rules", f"some of {', '.join(RULES)}", repr(name)))
    if settings is not None and not isinstance(settings, Mapping):
        raise ValueError(expected(f"rules.{name}", "hyper-parameters by name", repr(settings)))
    given = dict(settings or {})
    network = given.pop("network", None) or {}  # whose arguments are looked at where it is made
    if not isinstance(network, Mapping):
        raise ValueError(expected(f"rules.{name}.network", "arguments of the network by name", repr(network)))
    return RULES[name](**{**typed(f"rules.{name}", RULES[name], given), "network": dict(network)})
