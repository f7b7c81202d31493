"""What the members of a population are made of: modules that travel to other processes, and their data."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning as L

from snntorch_binary._errors import expected
from snntorch_binary.experiments.data import Batches, LoadedData, ShippedData, Source
from snntorch_binary.experiments.examples import in_seeded_order
from snntorch_binary.experiments.experiment import as_plain
from snntorch_binary.experiments.named import Named, make_network
from snntorch_binary.experiments.rules import Rule
from snntorch_binary.lightning.spiking_module import SpikingModule


@dataclass(frozen=True)
class ModuleOf:
    """Makes the module of a network under a rule, with new weights from torch's random numbers; picklable.

    Attributes:
        network: makes the float network.
        rule: what it learns by.
        num_classes: classes C, or ``None`` for real targets.
        options: what modules of all rules are told.
    """

    network: Named
    rule: Rule
    num_classes: int | None
    options: Mapping[str, Any]

    def __call__(self) -> SpikingModule:
        """Return a new module.

        Raises:
            ValueError: the network cannot be made.
        """
        return self.rule.module(make_network(self.network), self.num_classes, **self.options)


@dataclass(frozen=True)
class ModelOf:
    """Makes a LightningModule of anybody's; picklable.

    Attributes:
        model: names it.
    """

    model: Named

    def __call__(self) -> L.LightningModule:
        """Return a new module.

        Raises:
            ValueError: it cannot be made, or is no LightningModule.
        """
        made = self.model.call("model")
        if not isinstance(made, L.LightningModule):
            raise ValueError(expected("model", "a LightningModule", f"{type(made).__name__}"))
        return made


class DataOf(L.LightningDataModule):
    """The data of an experiment for Lightning, read once.

    Args:
        source: what a user names.
        batch_size: examples a step.
        seed: of the noise and the order of the training part.
    """

    def __init__(self, source: Source, batch_size: int, seed: int) -> None:
        super().__init__()
        self.source, self.batch_size, self.seed = source, batch_size, seed
        self._loaded: LoadedData | None = None
        self._datasets: list[Any] = []

    @property
    def loaded(self) -> LoadedData:
        """Return the data.

        Raises:
            ValueError: they cannot be read.
        """
        if self._loaded is None:
            self._loaded = self.source.load(self.seed)
            parts = (self._loaded.train(1, 0), self._loaded.validation(), self._loaded.test())
            self._datasets = [getattr(part, "dataset", None) for part in parts]  # to know how large they are
        return self._loaded

    def setup(self, stage: str | None = None) -> None:
        """Read the data."""
        _ = self.loaded

    def train_dataloader(self) -> Batches:
        """Return the training part, in an order that is a function of seed and epoch."""
        assert self.trainer is not None  # Lightning asks
        return in_seeded_order(self.loaded.train(self.batch_size, self.seed), self.seed, 0, self.trainer)

    def val_dataloader(self) -> Batches:
        """Return the validation part."""
        return self.loaded.validation()

    def test_dataloader(self) -> Batches:
        """Return the test part."""
        return self.loaded.test()


_OF_FIT = ("name", "data_dir", "num_steps", "classes", "limit_per_class", "one_symbol")


def fit_has_words(network: Named | None, data: Source | None) -> bool:
    """Say whether a configuration of ``fit`` can name a network, or a model of another kind, and its data."""
    named = network is None or (
        ":" not in network.class_path and network.target is None and inspect.isclass(network.find("network"))
    )
    return named and (data is None or (isinstance(data, ShippedData) and data.encoder is None))


def replayed(modules: ModuleOf | ModelOf, data: DataOf | None) -> dict[str, Any]:
    """Return the sections ``model`` and ``data`` of a configuration of ``fit``; none where it has no words for them."""
    network = modules.network if isinstance(modules, ModuleOf) else None
    if not fit_has_words(network, None if data is None else data.source):
        return {}
    sections: dict[str, Any] = {}
    if isinstance(modules, ModelOf):
        sections["model"] = modules.model.plain()
    else:
        module = modules()
        arguments = as_plain({"net": modules.network.plain(), **module.hparams})
        class_path = f"{type(module).__module__}.{type(module).__qualname__}"
        sections["model"] = {"class_path": class_path, "init_args": arguments}
    if data is not None:
        of_data = {name: getattr(data.source, name) for name in _OF_FIT}
        given = {name: value for name, value in of_data.items() if value is not None and value is not False}
        sections["data"] = as_plain({**given, "batch_size": data.batch_size, "seed": data.seed})
    return sections
