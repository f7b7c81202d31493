"""One experiment: a network, data, the rules it learns by, and how long; the same in Python and in a YAML file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from snntorch_binary._errors import expected, in_one_line
from snntorch_binary.data import describe
from snntorch_binary.experiments.data import LoadedData, ShippedData, Source, UserData, data_of
from snntorch_binary.experiments.description import READING, RunDescription, has_numbers, weights_of
from snntorch_binary.experiments.named import Named, make_network
from snntorch_binary.experiments.rules import Rule, rules_of
from snntorch_binary.inference.readout import DEFAULT_READOUT, ReadoutName, check_readout, check_time_dim
from snntorch_binary.lightning.spiking_module import CREDITS, Credit, SpikingModule


@dataclass(frozen=True)
class Experiment:
    """What is trained and tested. Equal experiments mean equal results.

    Attributes:
        network: makes the float network; parameters of it named ``input_shape``, ``input_size``, ``num_steps``,
            ``num_classes`` or ``num_outputs`` that are not given are those of the data, and ``seed`` that of a run.
        data: what it learns from.
        rules: what it learns by.
        name: what the results are called.
        epochs: passes over the training part.
        batch_size: examples per step.
        seeds: one run of every rule each.
        num_folds: cross-validate with so many folds.
        credit: ``"through-time"``, ``"local"`` or ``"online"``, see :class:`SpikingModule`.
        readout: see :func:`snntorch_binary.inference.logits`; so are the next three.
        readout_scale: scores are that many times the mean over time.
        step: whether the network takes one time step at a time.
        time_dim: dimension of time in the network's outputs.
        pictures: further pictures by name.
        fuse: train a network that goes step by step with all time steps at once, where it folds.
    """

    network: Named
    data: Source
    rules: tuple[Rule, ...]
    name: str
    epochs: int = 20
    batch_size: int = 50
    seeds: tuple[int, ...] = (0, 1, 2)
    num_folds: int | None = None
    credit: Credit = "through-time"
    readout: ReadoutName = DEFAULT_READOUT
    readout_scale: float | None = None
    step: bool | None = None
    time_dim: int | None = None
    pictures: tuple[str, ...] = ()
    fuse: bool = True

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(expected(name, "a positive integer", value))
        check_seeds(self.seeds)
        if self.credit not in CREDITS:
            raise ValueError(expected("credit", f"one of {', '.join(CREDITS)}", repr(self.credit)))
        if self.readout_scale is not None and not self.readout_scale > 0:
            raise ValueError(expected("readout_scale", "a positive float", self.readout_scale))
        check_readout(self.readout)
        check_time_dim(self.time_dim, self.step)

    def load(self, seed: int, fold: int = 0) -> LoadedData:
        """Return the data of one run."""
        return self.data.load(seed, fold, self.num_folds)

    def rule(self, name: str) -> Rule:
        """Return one of the rules by its name."""
        return next(rule for rule in self.rules if rule.name == name)

    def network_of(self, rule: Rule) -> Named:
        """Return the network that a rule starts from."""
        if "class_path" in rule.network:
            return Named.of(f"rules.{rule.name}.network", rule.network, self.network.folder)
        return self.network.with_arguments(rule.network)

    def make_network(self, rule: Rule, data: LoadedData, seed: int, fold: int = 0) -> nn.Module:
        """Return the float network of a run; the same for all rules, up to what a rule has otherwise.

        Raises:
            ValueError: it cannot be made, or is no module.
        """
        torch.manual_seed(1_000 * seed + fold)
        return make_network(self.network_of(rule), {**data.offered, "seed": seed})

    def make_module(self, rule: Rule, data: LoadedData, seed: int, fold: int = 0) -> SpikingModule:
        """Return the LightningModule of a run, untrained."""
        options = self.options(rule, data)
        return rule.module(self.make_network(rule, data, seed, fold), data.num_classes, **options)

    def options(self, rule: Rule, data: LoadedData) -> dict[str, Any]:
        """Return what the LightningModules of all rules are told beside their hyper-parameters."""
        found: dict[str, Any] = {name: getattr(self, name) for name in (*READING, "credit", "fuse")}
        if rule.sees_symbols:
            found["polarities"] = len(data.input_shape) == 3 and data.input_shape[0] == 2
        return found

    def describe(self, rule: Rule, data: LoadedData, net: nn.Module, seed: int, fold: int = 0) -> RunDescription:
        """Return what is written beside the weights of a run, whose network is given."""
        return RunDescription(
            self.network_of(rule).filled("network", {**data.offered, "seed": seed}),
            rule.name,
            weights_of(net),
            data.num_classes,
            data.class_names,
            self.data.plain(),
            data.input_shape,
            data.num_steps,
            {name: getattr(self, name) for name in READING},
            getattr(rule, "num_members", 1),
            {"seed": seed, "fold": fold, "num_folds": self.num_folds},
            has_numbers(next(iter(data.validation()))[0]),
        )

    @torch.no_grad()
    def try_network(self, rule: Rule, data: LoadedData, module: SpikingModule) -> None:
        """Answer two examples with an untrained network.

        Raises:
            ValueError: it does not take the data, or returns what no readout reads.
        """
        x, _ = next(iter(data.validation()))
        few = x[:, :2] if getattr(self.data, "time", "first") == "first" else x[:2]
        training = module.training
        try:
            answers = module.eval().answers(few, final=False)
        except Exception as error:  # whatever a user's network does with data that do not fit it
            what = f"a network that takes the data, {list(few.shape)}, and returns what a readout reads"
            why = in_one_line(f"{self.network_of(rule).class_path}: {type(error).__name__}: {error}", 400)
            raise ValueError(expected("network", what, why)) from error
        module.train(training)
        time = getattr(self.data, "time", "first")
        examples, answered = few.shape[time == "first"], len(next(iter(answers.values())))
        if examples != answered:
            what = f"data whose `time` says where their time steps are, for {examples} answers to {examples} examples"
            raise ValueError(expected("data", what, f"{answered} answers with time: {time}"))

    def try_out(self) -> None:
        """Answer two examples with each rule's untrained network.

        Raises:
            ValueError: the network cannot be made, does not take the data, or returns what no readout reads.
        """
        seed = self.seeds[0]
        data = self.load(seed)
        for rule in self.rules:
            module = self.make_module(rule, data, seed)
            if not any(parameter.requires_grad for parameter in module.net.parameters()):
                what = "a module with parameters to learn"
                raise ValueError(expected("network", what, self.network_of(rule).class_path))
            self.try_network(rule, data, module)
            rule.check(module.net)

    def places(self) -> list[dict[str, Any]]:
        """Return which runs there are: ``rule``, ``seed`` and ``fold`` of each, seed by seed."""
        folds = range(self.num_folds or 1)
        return [
            {"rule": rule.name, "seed": seed, "fold": fold}
            for seed in self.seeds
            for fold in folds
            for rule in self.rules
        ]

    def run(self, rule: str, seed: int, fold: int) -> tuple[str, dict[str, Any]]:
        """Return what the folder of a run is called, and what its result depends on, as plain values."""
        of_fold = "" if self.num_folds is None else f"-fold{fold}"
        depends_on = {**self.plain(), "rule": self.rule(rule).plain(), "seed": seed, "fold": fold}
        return f"{rule}-seed{seed}{of_fold}", as_plain(depends_on)

    def settings(self) -> dict[str, Any]:
        """Return what is written in the folder of results, as plain values."""
        return as_plain({**self.plain(), "rules": {rule.name: rule.plain() for rule in self.rules}})

    def plain(self) -> dict[str, Any]:
        """Return what all runs depend on as plain values: all but rules and seeds, of which there can be more later."""
        shared = ("epochs", "batch_size", "num_folds", "credit", "fuse", *READING)
        found = {"network": self.network.plain(), "data": self.data.plain()}
        source = self.network.source("network")
        if isinstance(self.data, UserData):
            source |= self.data.named.source("data")
        if source:
            found["code"] = source
        return as_plain({**found, **{name: getattr(self, name) for name in shared}})

    def with_changes(self, **changes: Any) -> Experiment:
        """Return the same experiment with other values, where they are not ``None``."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})


def make_experiment(
    network: Any,
    data: Any,
    rules: Any = None,
    name: str | None = None,
    epochs: int = 20,
    batch_size: int = 50,
    seeds: Sequence[int] = (0, 1, 2),
    num_folds: int | None = None,
    credit: str = "through-time",
    readout: str = DEFAULT_READOUT,
    readout_scale: float | None = None,
    step: bool | None = None,
    time_dim: int | None = None,
    pictures: Sequence[str] = (),
    fuse: bool = True,
    folder: str | None = None,
) -> Experiment:
    """Return an experiment from what a user writes; see :class:`Experiment`.

    ``network`` is a class or function, its name, or a mapping of ``class_path`` and ``init_args``; for ``data`` see
    :func:`snntorch_binary.experiments.data.data_of`, for ``rules``
    :func:`snntorch_binary.experiments.rules.rules_of`. ``folder`` is where the YAML file lies, beside which modules and
    files are looked for. The other arguments are those of :class:`Experiment`.

    Raises:
        ValueError: a value is unknown or out of its range.
    """
    source = data_of(data, folder)
    chosen = rules_of(rules)
    if isinstance(source, ShippedData) and any(rule.sees_symbols for rule in chosen):
        source = replace(source, one_symbol=describe(source.name).polarities)  # every rule sees what VOWEL sees
    named = Named.of("network", network, folder)
    return Experiment(
        named,
        source,
        chosen,
        source.label if name is None else name,
        epochs,
        batch_size,
        tuple(seeds),
        num_folds,
        credit,  # type: ignore[arg-type]  # the constructor looks at it
        readout,  # type: ignore[arg-type]  # as above
        readout_scale,
        step,
        time_dim,
        tuple(pictures),
        fuse,
    )


def check_seeds(seeds: Sequence[int]) -> None:
    """Raise the house sentence unless these are seeds of different runs."""
    whole = all(type(seed) is int and seed >= 0 for seed in seeds)
    if not seeds or not whole or len(set(seeds)) != len(seeds):
        raise ValueError(expected("seeds", "different integers of at least 0", seeds))


_METHOD = re.compile(r"\w[\w.-]*")


def check_method_name(name: Any) -> None:
    """Raise the house sentence unless a method's name can be that of a folder."""
    if not isinstance(name, str) or not _METHOD.fullmatch(name):
        raise ValueError(expected("methods", "with names of letters, digits and - _ .", repr(name)))


def as_plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain values as they are after they were written and read.

    Raises:
        ValueError: one of them is none.
    """
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(values)))
    except (TypeError, ValueError) as error:
        raise ValueError(expected("init_args", "numbers, words, and lists and mappings of them", error)) from None
    return found


__all__ = ["Experiment", "UserData", "as_plain", "make_experiment"]
