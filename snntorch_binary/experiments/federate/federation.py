"""What a federation is: network, data, clients, and the methods that are compared; the same in Python and in YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from snntorch_binary._errors import expected
from snntorch_binary.experiments.data import LoadedData, ShippedData, Source, data_of
from snntorch_binary.experiments.description import READING
from snntorch_binary.experiments.experiment import Experiment, as_plain, check_method_name
from snntorch_binary.experiments.federate.rules import FedSNNRule as FedSNNRule  # which a method may name
from snntorch_binary.experiments.named import Named, typed
from snntorch_binary.experiments.rules import Rule, rules_of
from snntorch_binary.federated.aggregation import Aggregation
from snntorch_binary.federated.partition import Partition
from snntorch_binary.federated.protection import FEWEST_SUMMED, MOST_SUMMED, LocalPrivacy, SecureAggregation
from snntorch_binary.inference.readout import DEFAULT_READOUT, ReadoutName
from snntorch_binary.lightning.spiking_module import Credit

ENGINES = ("in-process", "ray")
_COUNTS = (
    "num_clients",
    "clients_per_round",
    "num_rounds",
    "local_epochs",
    "batch_size",
    "evaluate_every",
    "evaluation_batch_size",
)


@dataclass(frozen=True)
class Method:
    """One way to learn the network federatedly.

    Attributes:
        rule: what clients learn by, with its hyper-parameters.
        aggregation: makes the :class:`snntorch_binary.federated.Aggregation`.
        data: ``num_steps`` and ``encoder`` of a shipped data set, where this method's differ from the others'.
    """

    rule: Rule
    aggregation: Named = field(default_factory=lambda: Named("snntorch_binary.federated.Average"))
    data: Mapping[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        rule = {self.rule.name: self.rule.plain()}
        return as_plain({"rule": rule, "aggregation": self.aggregation.plain(), "data": dict(self.data)})


@dataclass(frozen=True)
class Federation:
    """A federation. Equal federations mean equal results.

    Attributes:
        network: makes the float network, as of :class:`snntorch_binary.experiments.Experiment`.
        data: its training part is spread over the clients, the others are the server's.
        methods: what is compared, by name.
        name: what the results are called.
        partition: makes the :class:`snntorch_binary.federated.Partition`.
        num_clients: clients K.
        clients_per_round: of which so many learn in a round.
        num_rounds: rounds.
        local_epochs: passes over its examples that a client makes in a round.
        batch_size: examples per step.
        drop_last: leave out a client's last, smaller batch.
        uniform: let every client count the same, whatever its number of examples.
        stragglers: probability that a client answers too late to count.
        gradient_noise: σ of the noise on updates, see :func:`snntorch_binary.federated.with_noise`.
        lr_drops: rounds after which all learning rates are divided by ``lr_drop``.
        lr_drop: their divisor.
        label_shift: let each client's loss take account of its own shares of the classes, see
            :mod:`snntorch_binary.federated.label_shift`.
        temperature: of posteriors whose rule has ``rho=None``.
        evaluate_every: rounds from one look at the validation data to the next.
        evaluation_batch_size: examples whose answer is computed at once; fewer need less memory.
        seeds: one run of every method each.
        engine: ``"in-process"``, or ``"ray"`` for Flower's simulation engine.
        local_privacy: Flower's local differential privacy, or ``None``.
        secure_aggregation: Flower's secure aggregation, or ``None``.
        credit: ``"through-time"`` or ``"local"``; this and what follows as of an experiment.
        readout: see :func:`snntorch_binary.inference.logits`; so are the next three.
        readout_scale: scores are that many times the mean over time.
        step: whether the network takes one time step at a time.
        time_dim: dimension of time in the network's outputs.
    """

    network: Named
    data: Source
    methods: Mapping[str, Method]
    name: str
    partition: Named = field(default_factory=lambda: Named("snntorch_binary.federated.IID"))
    num_clients: int = 10
    clients_per_round: int = 2
    num_rounds: int = 30
    local_epochs: int = 1
    batch_size: int = 32
    drop_last: bool = False
    uniform: bool = False
    stragglers: float = 0.0
    gradient_noise: float = 0.0
    lr_drops: tuple[int, ...] = ()
    lr_drop: float = 5.0
    label_shift: bool = False
    temperature: float = 1.0
    evaluate_every: int = 1
    evaluation_batch_size: int = 500
    seeds: tuple[int, ...] = (0, 1, 2)
    engine: str = "in-process"
    local_privacy: LocalPrivacy | None = None
    secure_aggregation: SecureAggregation | None = None
    credit: Credit = "through-time"
    readout: ReadoutName = DEFAULT_READOUT
    readout_scale: float | None = None
    step: bool | None = None
    time_dim: int | None = None

    def __post_init__(self) -> None:
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise ValueError(expected(name, "a positive integer", getattr(self, name)))
        if self.clients_per_round > self.num_clients:
            what = f"at most {self.num_clients}, the number of clients"
            raise ValueError(expected("clients_per_round", what, self.clients_per_round))
        if not 0 <= self.stragglers <= 1:
            raise ValueError(expected("stragglers", "a float in [0, 1]", self.stragglers))
        for name in ("gradient_noise", "temperature"):
            if not getattr(self, name) >= 0:
                raise ValueError(expected(name, "a float of at least 0", getattr(self, name)))
        if not self.lr_drop > 0:
            raise ValueError(expected("lr_drop", "a positive float", self.lr_drop))
        if not self.methods:
            raise ValueError(expected("methods", "at least one", "none"))
        if self.engine not in ENGINES:
            raise ValueError(expected("engine", f"one of {', '.join(ENGINES)}", repr(self.engine)))
        for name in self.methods:
            self.experiment(name)  # looks at what it shares with all experiments
        if self.secure_aggregation is not None:
            self._check_secure_aggregation()

    def _check_secure_aggregation(self) -> None:
        if not FEWEST_SUMMED <= self.clients_per_round <= MOST_SUMMED:
            what = f"from {FEWEST_SUMMED} to {MOST_SUMMED} with secure_aggregation"
            raise ValueError(expected("clients_per_round", what, self.clients_per_round))
        for name in ("stragglers", "gradient_noise"):
            if getattr(self, name):
                what = "0 with secure_aggregation, where the server sees no single answer"
                raise ValueError(expected(name, what, getattr(self, name)))

    def experiment(self, method: str) -> Experiment:
        """Return what a method's federation has in common with all experiments: network, data, rule and readout.

        Raises:
            ValueError: there is no such method, or a value is out of its range.
        """
        if method not in self.methods:
            raise ValueError(expected("method", f"one of {', '.join(self.methods)}", repr(method)))
        of = self.methods[method]
        if "online" in (self.credit, of.rule.credit):
            what = "through-time or local, with a rule that learns a sequence at a time, where clients learn"
            raise ValueError(expected("credit", what, f"{of.rule.credit or self.credit} of {of.rule.name}"))
        shared = {name: getattr(self, name) for name in (*READING, "credit")}
        data = _changed(self.data, of.data)
        return Experiment(
            self.network, data, (of.rule,), self.name, batch_size=self.batch_size, seeds=self.seeds, **shared
        )

    def load(self, method: str, seed: int) -> LoadedData:
        """Return the data of a run.

        Raises:
            ValueError: they are none of classes, or cannot be read.
        """
        data = self.experiment(method).load(seed)
        if (data.num_classes or 0) < 2:
            got = f"{'the real targets' if data.num_classes is None else 'the only one'} of {self.data.label}"
            raise ValueError(expected("data", "data that have classes, at least two", got))
        return data

    def make_partition(self) -> Partition:
        """Return the partition."""
        return _made("partition", self.partition, Partition)  # type: ignore[type-abstract]  # to check against

    def make_aggregation(self, method: str) -> Aggregation:
        """Return a method's aggregation."""
        named = self.methods[method].aggregation
        return _made(f"methods.{method}.aggregation", named, Aggregation)  # type: ignore[type-abstract]  # as above

    def run(self, method: str, seed: int) -> tuple[str, dict[str, Any]]:
        """Return the name of a run, and all that its result depends on."""
        return f"{method}-seed{seed}", {**self.plain(), "method": self.methods[method].plain(), "seed": seed}

    def lr_factor(self, round: int) -> float:
        """Return what all learning rates are multiplied with in a round, from 1."""
        return self.lr_drop ** -sum(round > drop for drop in self.lr_drops)

    def plain(self) -> dict[str, Any]:
        """Return what all runs depend on as plain values: all but methods, seeds and what carries messages."""
        found = {"network": self.network.plain(), "data": self.data.plain(), "partition": self.partition.plain()}
        for name, value in vars(self).items():
            if name not in (*found, "methods", "name", "seeds", "engine"):
                found[name] = asdict(value) if isinstance(value, LocalPrivacy | SecureAggregation) else value
        return as_plain(found)


Kind = TypeVar("Kind")


def _made(argument: str, named: Named, kind: type[Kind]) -> Kind:
    made = named.call(argument)
    if not isinstance(made, kind):
        raise ValueError(expected(argument, f"a {kind.__name__} of snntorch_binary.federated", type(made).__name__))
    return made


def _changed(data: Source, changes: Mapping[str, Any]) -> Source:
    if not changes:
        return data
    if not isinstance(data, ShippedData):
        raise ValueError(expected("methods", "without data, where all learn from data of your own", dict(changes)))
    return replace(data, **changes)


def _own_data(num_steps: int | None = None, encoder: str | None = None) -> None:
    """What of the data may be a method's own."""


def make_method(name: Any, given: Any, folder: str | None = None) -> Method:
    """Return a method of what a user writes: ``rule``, ``aggregation`` and ``data``.

    Raises:
        ValueError: the name cannot be that of a folder, or a value is unknown or out of its range.
    """
    check_method_name(name)
    if isinstance(given, Method):
        return given
    known = ("rule", "aggregation", "data")
    if not isinstance(given, Mapping) or not {"rule"} <= given.keys() <= set(known):
        got = ", ".join(map(str, given)) if isinstance(given, Mapping) else repr(given)
        raise ValueError(expected(f"methods.{name}", f"with rule, and perhaps {known[1]} and {known[2]}", got or "{}"))
    rules = rules_of(given["rule"] if isinstance(given["rule"], Mapping) else [given["rule"]])
    if len(rules) != 1:
        raise ValueError(expected(f"methods.{name}.rule", "one rule", ", ".join(rule.name for rule in rules)))
    aggregation = given.get("aggregation") or "snntorch_binary.federated.Average"
    own = given.get("data") or {}
    own = {key: value for key, value in typed(f"methods.{name}.data", _own_data, own).items() if key in own}
    return Method(rules[0], Named.of(f"methods.{name}.aggregation", aggregation, folder), own)


def make_federation(
    network: Any,
    data: Any,
    methods: Any,
    name: str | None = None,
    partition: Any = "snntorch_binary.federated.IID",
    lr_drops: Sequence[int] = (),
    seeds: Sequence[int] = (0, 1, 2),
    local_privacy: Any = None,
    secure_aggregation: Any = None,
    folder: str | None = None,
    **more: Any,
) -> Federation:
    """Return a federation of what a user writes; see :class:`Federation`.

    Args:
        network: as of :func:`snntorch_binary.experiments.experiment.make_experiment`.
        data: see there.
        methods: by name, each with ``rule`` (a rule's name, or with hyper-parameters), ``aggregation`` (a class of
            :mod:`snntorch_binary.federated`, its name, or a mapping of ``class_path`` and ``init_args``) and perhaps
            ``data``.
        name: what the results are called.
        partition: a class, its name, or a mapping of ``class_path`` and ``init_args``.
        lr_drops: see :class:`Federation`.
        seeds: one run of every method each.
        local_privacy: values of :class:`LocalPrivacy`, or ``None``.
        secure_aggregation: values of :class:`SecureAggregation`, or ``None``.
        folder: where the YAML file lies, beside which modules and files are looked for.
        **more: the other attributes of a federation.

    Raises:
        ValueError: a value is unknown or out of its range.
    """
    if not isinstance(methods, Mapping):
        raise ValueError(expected("methods", "methods by name", repr(methods)))
    source = data_of(data, folder)
    return Federation(
        Named.of("network", network, folder),
        source,
        {key: make_method(key, given, folder) for key, given in methods.items()},
        source.label if name is None else name,
        Named.of("partition", partition, folder),
        lr_drops=tuple(lr_drops),
        seeds=tuple(seeds),
        local_privacy=_protection("local_privacy", LocalPrivacy, local_privacy),
        secure_aggregation=_protection("secure_aggregation", SecureAggregation, secure_aggregation),
        **more,
    )


def _protection(argument: str, kind: type[Kind], given: Any) -> Kind | None:
    if given is None or isinstance(given, kind):
        return given
    if not isinstance(given, Mapping):
        raise ValueError(expected(argument, "with settings, such as {}, or not to be there", repr(given)))
    return kind(**typed(argument, kind, given))
