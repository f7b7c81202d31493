"""What is compared on split MNIST: the tasks, the rules, and the settings they are learned with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from snntorch_binary._errors import expected, misspelt

DATASET = "split-mnist"
TASKS: tuple[tuple[int, int], ...] = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))


@dataclass(frozen=True)
class SplitRule:
    """What a network learns by, and whether elastic weight consolidation holds it.

    Attributes:
        learns_by: the rule.
        consolidated: the name of its strength in :class:`SplitRecipe`, or ``None``.
        weight_bits: bits a weight.
    """

    learns_by: str
    consolidated: str | None = None
    weight_bits: int = 1


RULES: dict[str, SplitRule] = {
    "full-precision": SplitRule("full-precision", weight_bits=32),
    "full-precision-ewc": SplitRule("full-precision", "strength", 32),
    "st": SplitRule("st"),
    "st-ewc": SplitRule("st", "st_strength"),
    "bayes": SplitRule("bayes"),
}


@dataclass(frozen=True)
class SplitRecipe:
    """How the tasks are learned; the rates of ST-BiSNN and Bayes-BiSNN, rho and λ were chosen on validation data.

    Attributes:
        hidden_size: neurons of the hidden layer.
        batch_size: examples per step.
        drive: start of the weights in full precision, see :class:`snntorch_binary.models.SpikingMLP`.
        binary_drive: the same under the binary rules.
        readout_scale: class scores are that many times the last layer's mean input current.
        lr: Adam's learning rate in full precision.
        base_lr: that of the real parameters under the binary rules.
        st_lr: that of ST-BiSNN's latents.
        bayes_lr: step of the Adam-normalised natural gradient.
        init_scale: ``|w_r|`` at the start.
        rho: weight of the KL term; ``None`` is 1 / (number of examples of a task and its coreset).
        strength: λ of elastic weight consolidation in full precision.
        st_strength: the same for ST-BiSNN's latents.
    """

    hidden_size: int = 400
    batch_size: int = 64
    drive: float = 3.0
    binary_drive: float = 6.0
    readout_scale: float = 5.0
    lr: float = 1e-3
    base_lr: float = 1e-3
    st_lr: float = 5e-3
    bayes_lr: float = 0.2
    init_scale: float = 3.0
    rho: float | None = 1e-6
    strength: float = 1e2
    st_strength: float = 1e3


@dataclass(frozen=True)
class SplitSettings:
    """What is compared on split MNIST. Equal settings mean equal results.

    Attributes:
        data_dir: folder with MNIST or archives of it.
        rules: some of :data:`RULES`.
        coreset: examples of each task that are learned again with every later one; 0 for none.
        limit_per_class: at most that many examples of each class and part.
        epochs: passes over each task and the coreset.
        seeds: one run of every rule each.
        download: let MNIST be downloaded.
        recipe: all other settings.
    """

    data_dir: str | None = None
    rules: tuple[str, ...] = tuple(RULES)
    coreset: int = 960
    limit_per_class: int | None = None
    epochs: int = 10
    seeds: tuple[int, ...] = (0, 1, 2)
    download: bool = False
    recipe: SplitRecipe = SplitRecipe()

    def __post_init__(self) -> None:
        for rule in self.rules:
            if rule not in RULES:
                raise ValueError(expected("rules", f"some of {', '.join(RULES)}", misspelt(rule, RULES)))
        if not self.rules or len(set(self.rules)) != len(self.rules):
            raise ValueError(expected("rules", "different rules, at least one", self.rules))
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(expected("seeds", "different integers of at least 0", self.seeds))
        if self.epochs < 1:
            raise ValueError(expected("epochs", "a positive integer", self.epochs))
        if self.coreset < 0:
            raise ValueError(expected("coreset", "an integer of at least 0", self.coreset))

    @property
    def num_epochs(self) -> int:
        """Passes over the training examples of all tasks."""
        return self.epochs * len(TASKS)

    def fingerprint(self) -> dict[str, Any]:
        """Return all that the result of one run depends on, as plain values."""
        one_run = {"dataset": DATASET, "limit_per_class": self.limit_per_class, "epochs": self.epochs}
        return {**one_run, "coreset": self.coreset, **asdict(self.recipe)}
