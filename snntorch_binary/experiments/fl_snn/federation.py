"""What a federation of online devices is: data, network, rule, and how devices exchange what they learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

from snntorch_binary._errors import expected
from snntorch_binary.experiments.data import Source, data_of
from snntorch_binary.experiments.experiment import as_plain, check_method_name, check_seeds
from snntorch_binary.experiments.named import typed
from snntorch_binary.federated.fl_snn.device import CountedSince
from snntorch_binary.federated.fl_snn.selective import num_selected
from snntorch_binary.nn import RaisedCosine
from snntorch_binary.nn.wta.network import Feedback

NUM_BASIS = RaisedCosine().num


@dataclass(frozen=True)
class ExchangeMethod:
    """How devices exchange what they learn.

    Attributes:
        tau: local steps between two exchanges; 0 for devices that never meet.
        rate: weights per synapse and local step, see :func:`snntorch_binary.federated.num_selected`.
        counted_since: see :class:`snntorch_binary.federated.OnlineDevice`.
    """

    tau: int = 0
    rate: float = 1.0
    counted_since: CountedSince = "sent"

    def __post_init__(self) -> None:
        if self.tau != 0:
            num_selected(self.tau, self.rate, NUM_BASIS)
        if self.counted_since not in get_args(CountedSince):
            raise ValueError(expected("counted_since", "'sent' or 'exchange'", repr(self.counted_since)))

    @property
    def num_selected(self) -> int:
        """How many of the basis functions an exchange has room for."""
        return num_selected(self.tau, self.rate, NUM_BASIS) if self.tau else 0


@dataclass(frozen=True)
class OnlineFederation:
    """Devices that see one class each. Equal federations mean equal results.

    Attributes:
        data: spikes, 0 or 1, of at least two classes.
        methods: what is compared, by name.
        name: what the results are called.
        num_local_steps: local steps of each device, at least any tau.
        hidden: hidden circuits.
        window: time steps in a local step.
        lr: learning rate.
        kappa: smoothing of eligibility and learning signal.
        feedback: see :class:`snntorch_binary.nn.WTANetwork`.
        join: join so many time steps of the data to one, in which a pixel spikes where it did in any of them.
        num_samples: free runs in the ensemble.
        curves: which methods form a line of the picture, by its name.
        seeds: one run of every method each.
    """

    data: Source
    methods: Mapping[str, ExchangeMethod]
    name: str
    num_local_steps: int = 2000
    hidden: int = 0
    window: int = 1
    lr: float = 0.01
    kappa: float = 0.05
    feedback: Feedback = "none"
    join: int = 1
    num_samples: int = 10
    curves: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        for name in ("num_local_steps", "window", "join", "num_samples"):
            if getattr(self, name) < 1:
                raise ValueError(expected(name, "a positive integer", getattr(self, name)))
        if self.hidden < 0:
            raise ValueError(expected("hidden", "an integer of at least 0", self.hidden))
        if not self.methods:
            raise ValueError(expected("methods", "at least one", "none"))
        for name, method in self.methods.items():
            if method.tau > self.num_local_steps:
                what = f"at most num_local_steps = {self.num_local_steps}"
                raise ValueError(expected(f"methods.{name}.tau", what, method.tau))
        check_seeds(self.seeds)

    def plain(self) -> dict[str, Any]:
        """Return what all runs depend on as plain values: all but methods, seeds and the lines of the picture."""
        found: dict[str, Any] = {"data": self.data.plain()}
        for name, value in vars(self).items():
            if name not in ("data", "methods", "name", "curves", "seeds"):
                found[name] = value
        return as_plain(found)

    def run(self, method: str, seed: int) -> tuple[str, dict[str, Any]]:
        """Return the name of a run, and all that its result depends on."""
        return f"{method}-seed{seed}", {**self.plain(), "method": asdict(self.methods[method]), "seed": seed}


def make_online_federation(
    data: Any,
    methods: Mapping[str, Any],
    name: str | None = None,
    curves: Mapping[str, Sequence[str]] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    folder: str | None = None,
    **more: Any,
) -> OnlineFederation:
    """Return a federation of what a user writes; see :class:`OnlineFederation`.

    Args:
        data: as of :func:`snntorch_binary.experiments.experiment.make_experiment`.
        methods: values of :class:`ExchangeMethod` by name.
        name: what the results are called.
        curves: see :class:`OnlineFederation`.
        seeds: one run of every method each.
        folder: where the YAML file lies, beside which modules and files are looked for.
        **more: the other attributes.

    Raises:
        ValueError: a value is unknown or out of its range.
    """
    source = data_of(data, folder)
    made = {}
    for key, given in methods.items():
        check_method_name(key)
        made[key] = ExchangeMethod(**typed(f"methods.{key}", ExchangeMethod, given or {}))
    return OnlineFederation(
        source, made, source.label if name is None else name, curves=dict(curves or {}), seeds=tuple(seeds), **more
    )
