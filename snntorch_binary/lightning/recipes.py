"""The settings of the shipped experiments, one recipe a data set, chosen on validation data only."""

from __future__ import annotations

from dataclasses import dataclass

RULES: tuple[str, ...] = ("full-precision", "st", "bayes")


@dataclass(frozen=True)
class Recipe:
    """How one data set is learned; network, signs it starts from, batches and epochs are every rule's.

    Attributes:
        hidden_sizes: neurons of the hidden layers.
        epochs: passes over the training part.
        batch_size: examples per step.
        drive: start of the weights in full precision, see :class:`SpikingMLP`.
        binary_drive: the same under both binary rules, where it sets the first gain (half of it).
        readout_scale: class scores are that many times the last layer's mean input current.
        lr: Adam's learning rate of all parameters in full precision, of the real ones under the binary rules.
        st_lr: Adam's learning rate of ST-BiSNN's latents.
        bayes_lr: step of the Adam-normalised natural gradient.
        init_scale: |w_r| at the start.
        rho: weight of the KL term; ``None`` is 1 / (number of training examples).
        num_folds: folds of the cross-validation, or ``None`` for the set's own split.
    """

    hidden_sizes: tuple[int, ...]
    epochs: int
    batch_size: int
    drive: float = 3.0
    binary_drive: float = 6.0
    readout_scale: float = 5.0
    lr: float = 1e-3
    st_lr: float = 3e-3
    bayes_lr: float = 0.15
    init_scale: float = 3.0
    rho: float | None = 0.0
    num_folds: int | None = None

    def start(self, rule: str) -> float:
        """Return the drive of the float network that a rule starts from."""
        return self.drive if rule == "full-precision" else self.binary_drive


RECIPES: dict[str, Recipe] = {
    "digits": Recipe((256,), epochs=60, batch_size=50, binary_drive=3.0, st_lr=1e-2, bayes_lr=0.3),
    "two-moons": Recipe((256, 256), epochs=60, batch_size=40),
    "mnist": Recipe((512, 512), epochs=25, batch_size=100, rho=1e-6),
    "fashion-mnist": Recipe((512, 512), epochs=15, batch_size=100, rho=5e-7),
    "nmnist": Recipe((512,), epochs=20, batch_size=50, bayes_lr=0.6, rho=1e-6),
    "poker-dvs": Recipe((512,), epochs=40, batch_size=10, bayes_lr=0.6, rho=1e-6, num_folds=5),
}


def recipe(dataset: str, classes: tuple[int, ...] | str) -> Recipe:
    """Return the recipe of a data set; all digits of N-MNIST, of which few are at hand, are cross-validated."""
    found = RECIPES[dataset]
    if dataset == "nmnist" and classes == "all":
        return Recipe(**{**found.__dict__, "num_folds": 5})
    return found
