"""`snntorch-binary tune CONFIG`: a configuration of `fit` with a section `tune`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import yaml
from jsonargparse import ArgumentError, ArgumentParser

from snntorch_binary._errors import expected
from snntorch_binary.lightning.command import sentence
from snntorch_binary.lightning.data import SpikeDataModule
from snntorch_binary.tune.engine import Resources
from snntorch_binary.tune.plan import SEED, Plan, is_seed
from snntorch_binary.tune.space import Range, read_space

_SECTIONS = ("seed_everything", "model", "data", "trainer", "tune")
_OF_PLAN = [field.name for field in dataclasses.fields(Plan) if field.name not in ("epochs", "seed", "perturb")]
_OF_RESOURCES = [field.name for field in dataclasses.fields(Resources)]
_TUNE = (*_OF_PLAN, *_OF_RESOURCES, "space", "seeds", "fixed")


def shipped_configs() -> dict[str, Path]:
    """Return the configurations that ship with the package, by name."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "configs").glob("*.yaml"))}


@dataclass(frozen=True)
class ModuleOf:
    """Makes the module of a configuration's section ``model``; picklable.

    Attributes:
        section: ``class_path`` and ``init_args``, as in a configuration of ``fit``.
    """

    section: Mapping[str, Any]

    def __call__(self) -> L.LightningModule:
        """Return a new module.

        Raises:
            ValueError: there is no such class, or an argument is wrong.
        """
        parser = ArgumentParser(exit_on_error=False)
        parser.add_subclass_arguments(L.LightningModule, "model", required=True)
        return _instantiated(parser, "model", self.section)


def data_of(section: Mapping[str, Any] | None) -> SpikeDataModule | None:
    """Return the data of a configuration's section ``data``, if there is one.

    Raises:
        ValueError: an argument is wrong.
    """
    if section is None:
        return None
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(SpikeDataModule, "data")
    return _instantiated(parser, "data", section)


def _instantiated(parser: ArgumentParser, name: str, section: Mapping[str, Any]) -> Any:
    try:
        parsed = parser.parse_object({name: section})
        # Its name before jsonargparse 4.49.
        instantiate = parser.instantiate if hasattr(parser, "instantiate") else parser.instantiate_classes
        return instantiate(parsed)[name]
    except ArgumentError as error:
        raise ValueError(f"{name}: {sentence(error)}") from None


@dataclass(frozen=True)
class TuneSettings:
    """What a configuration asks for.

    Attributes:
        name: of the configuration.
        config: its sections ``model`` and ``data`` as plain values.
        space: where hyper-parameters are looked for.
        plan: what a population does, with the first seed.
        seeds: a population for each.
        fixed: also train as many fixed settings, the first ones of each population, with the same budget.
        resources: where trials run.
    """

    name: str
    config: dict[str, Any]
    space: dict[str, Range]
    plan: Plan
    seeds: tuple[int, ...]
    fixed: bool
    resources: Resources

    def config_of(self, seed: int) -> dict[str, Any]:
        """Return the sections ``model`` and ``data`` of a seed, which the data's order and noise follow."""
        if "data" not in self.config:
            return self.config
        return {**self.config, "data": {**self.config["data"], "seed": seed}}


def read_settings(config: str, changed: Mapping[str, Any]) -> TuneSettings:
    """Read a configuration.

    Args:
        config: path of a YAML file, or the name of one that ships.
        changed: values in place of those of the section ``tune``, and ``epochs`` and ``data_dir``; ``None`` changes
            nothing.

    Raises:
        ValueError: the file or a value is not what it should be.
    """
    path = Path(config) if Path(config).is_file() else shipped_configs().get(config)
    if path is None:
        raise ValueError(expected("CONFIG", f"a YAML file or one of {', '.join(shipped_configs())}", repr(config)))
    try:
        found = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML file: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict) or not {"model", "trainer", "tune"} <= found.keys():
        raise ValueError(expected("CONFIG", "a file with sections model, trainer and tune", str(path)))
    for name in ("data", "trainer", "tune"):
        if name in found and not isinstance(found[name], dict):
            raise ValueError(expected(name, "a section of values by name", repr(found[name])))
    for names, known, where in (
        (found, _SECTIONS, "CONFIG"),
        (found["tune"], _TUNE, "tune"),
        (found["trainer"], ("max_epochs",), "trainer"),
    ):
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(expected(where, f"of {', '.join(known)}", repr(unknown[0])))
    given = {name: value for name, value in changed.items() if value is not None}
    of_tune = {**found["tune"], **{name: value for name, value in given.items() if name in _TUNE}}
    sections = {name: found[name] for name in ("model", "data") if name in found}
    if "data_dir" in given and "data" in sections:
        sections["data"] = {**sections["data"], "data_dir": given["data_dir"]}
    for name in ("space", "metric", "mode", "interval"):
        if name not in of_tune:
            raise ValueError(expected("tune", f"given with {name}", sorted(of_tune)))
    seeds = _seeds_of(of_tune.get("seeds", [found.get("seed_everything", 0)]))
    if not isinstance(fixed := of_tune.get("fixed", True), bool):
        raise ValueError(expected("fixed", "true or false", repr(fixed)))
    epochs = given.get("epochs", found["trainer"].get("max_epochs"))
    of_plan = {name: of_tune[name] for name in _OF_PLAN if name in of_tune}
    return TuneSettings(
        name=path.stem,
        config=sections,
        space=read_space(of_tune["space"]),
        plan=Plan(**of_plan, epochs=epochs, seed=seeds[0]),
        seeds=seeds,
        fixed=fixed,
        resources=Resources(**{name: of_tune[name] for name in _OF_RESOURCES if name in of_tune}),
    )


def _seeds_of(given: Any) -> tuple[int, ...]:
    if isinstance(given, (list, tuple)):
        for seed in given:
            if not is_seed(seed):
                raise ValueError(expected("seeds", f"of {SEED} each", repr(seed)))
        if given and len(set(given)) == len(given):
            return tuple(given)
    raise ValueError(expected("seeds", "a list of different integers, at least one", repr(given)))
