"""What a tuning is: a network under a rule and its data, where hyper-parameters are looked for, and how."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snntorch_binary._errors import expected
from snntorch_binary.experiments.data import Source, data_of
from snntorch_binary.experiments.experiment import Experiment, check_seeds, make_experiment
from snntorch_binary.experiments.named import Named
from snntorch_binary.experiments.rules import alone
from snntorch_binary.experiments.tune.members import DataOf, ModelOf, ModuleOf, fit_has_words
from snntorch_binary.tune.engine import Resources
from snntorch_binary.tune.plan import Plan
from snntorch_binary.tune.space import Range, read_space

_OF_PLAN = [field.name for field in dataclasses.fields(Plan) if field.name not in ("seed", "perturb")]
_OF_RESOURCES = [field.name for field in dataclasses.fields(Resources)]


@dataclass(frozen=True)
class Tuning:
    """What is tuned. Equal tunings mean equal results.

    Attributes:
        name: what the results are called.
        experiment: the network, its one rule and its data; ``None`` where there is a model.
        model: makes a LightningModule of anybody's, in place of network and rule.
        data: what it learns from; ``None`` where a model has data of its own.
        batch_size: examples a step.
        space: where hyper-parameters are looked for.
        plan: what a population does, with the first seed.
        seeds: a population for each.
        fixed: also train as many fixed settings, the first ones of each population, with the same budget.
        resources: where trials run.
    """

    name: str
    experiment: Experiment | None
    model: Named | None
    data: Source | None
    batch_size: int
    space: dict[str, Range]
    plan: Plan
    seeds: tuple[int, ...]
    fixed: bool
    resources: Resources

    def __post_init__(self) -> None:
        check_seeds(self.seeds)
        for seed in self.seeds:  # the last one is looked at before the first has begun
            dataclasses.replace(self.plan, seed=seed)

    def data_of(self, seed: int) -> DataOf | None:
        """Return the data of a seed, which their order and noise follow."""
        return None if self.data is None else DataOf(self.data, self.batch_size, seed)

    def modules(self, data: DataOf | None) -> ModuleOf | ModelOf:
        """Return what makes the modules of members.

        Raises:
            ValueError: the data cannot be read.
        """
        if self.model is not None:
            return ModelOf(self.model)
        assert self.experiment is not None
        assert data is not None  # an experiment has some
        rule, loaded = self.experiment.rules[0], data.loaded
        network = self.experiment.network_of(rule).filled("network", loaded.offered)
        return ModuleOf(network, rule, loaded.num_classes, self.experiment.options(rule, loaded))

    @property
    def replayable(self) -> bool:
        """Whether ``fit`` can hold the schedule that is found."""
        experiment = self.experiment
        network = None if experiment is None else experiment.network_of(experiment.rules[0])
        return fit_has_words(network, self.data)

    def plain(self, seed: int) -> dict[str, Any]:
        """Return the model and the data of a seed as plain values, which results depend on."""
        data: dict[str, Any] = {}
        if self.data is not None:
            data = {"data": {**self.data.plain(), "batch_size": self.batch_size, "seed": seed}}
        if self.experiment is None:
            assert self.model is not None  # one of the two
            return {"model": self.model.plain(), **data}
        rule = self.experiment.rules[0]
        shared = {name: value for name, value in self.experiment.plain().items() if name not in ("data", "epochs")}
        return {"model": {**shared, "rule": {rule.name: rule.plain()}}, **data}


def make_tuning(
    space: Mapping[str, Any],
    network: Any = None,
    rule: Any = None,
    data: Any = None,
    model: Any = None,
    name: str | None = None,
    batch_size: int = 50,
    seeds: Sequence[int] = (0,),
    fixed: bool = True,
    folder: str | None = None,
    **more: Any,
) -> Tuning:
    """Return a tuning of what a user writes; see :class:`Tuning`.

    Args:
        space: the range of each hyper-parameter by name: ``low``, ``high`` and perhaps ``scale``.
        network: as of :func:`snntorch_binary.experiments.experiment.make_experiment`.
        rule: the rule's name, or a mapping of it to hyper-parameters.
        data: as of :func:`snntorch_binary.experiments.experiment.make_experiment`.
        model: a LightningModule in place of network and rule: a class, its name, or ``class_path`` and ``init_args``.
        name: what the results are called.
        batch_size: examples a step.
        seeds: a population for each.
        fixed: see :class:`Tuning`.
        folder: where the YAML file lies, beside which modules and files are looked for.
        **more: ``metric``, ``mode``, ``epochs``, ``interval`` and others of :class:`snntorch_binary.tune.Plan` and
            :class:`snntorch_binary.tune.Resources`; ``credit``, ``readout``, ``readout_scale``, ``step`` and
            ``time_dim`` of an experiment.

    Raises:
        ValueError: a value is unknown or out of its range.
    """
    if (network is None) == (model is None):
        given = "both" if network is not None else "neither"
        raise ValueError(expected("network", "given with a rule, or a model in its place", given))
    if model is None and (rule is None or data is None):
        raise ValueError(expected("rule" if rule is None else "data", "given with a network", "none"))
    if model is not None and rule is not None:
        raise ValueError(expected("rule", "left out with a model, which has one", repr(rule)))
    plan = Plan(**{key: more.pop(key) for key in _OF_PLAN if key in more}, seed=seeds[0] if seeds else 0)
    resources = Resources(**{key: more.pop(key) for key in _OF_RESOURCES if key in more})
    experiment = None
    if model is None:
        rules = rule if isinstance(rule, Mapping) else [rule]
        experiment = make_experiment(network, data, rules, name, plan.epochs, batch_size, folder=folder, **more)
        if len(experiment.rules) != 1:
            raise ValueError(expected("rule", "one rule", ", ".join(rules)))
        alone(experiment.rules[0], "a search for hyper-parameters")
    source = experiment.data if experiment is not None else None if data is None else data_of(data, folder)
    label = "population" if source is None else source.label
    return Tuning(
        label if name is None else name,
        experiment,
        None if model is None else Named.of("model", model, folder),
        source,
        batch_size,
        read_space(space),
        plan,
        tuple(seeds),
        fixed,
        resources,
    )
