"""Hyper-parameters by epoch: what population based training has found, or an annealing, in any training."""

from __future__ import annotations

from collections.abc import Mapping

import lightning as L

from snntorch_binary._errors import expected
from snntorch_binary.lightning.hyperparameters import check_names, hyperparameters


class HyperparameterSchedule(L.Callback):
    """Sets hyper-parameters by epoch: as population based training has found them, or to anneal.

    To anneal, the temperature of ``Bernoulli(estimator="gumbel")`` starts high, where the gradient has little variance
    and much bias, and falls by equal factors (see the example); or ``rho`` grows from 0 to Bayes' rule, so that the
    network fits before the prior pulls at it.

    It takes all that a module's ``hyperparameters`` names: learning rates, ``rho``, ``clip``, ``limit``, ``tau``,
    ``noise`` and others. Where learning rates fall along a cosine, a learning rate is the height of the curve.

    Args:
        schedule: by the epoch from which they hold, counted from 0, values of hyper-parameters by name; one that is
            not named keeps its value.

    Raises:
        ValueError: an epoch is negative, or there is none; at the start of training, the module lacks a
            hyper-parameter, or a value is out of its range.

    Example:
        >>> from snntorch_binary.lightning import HyperparameterSchedule
        >>> callback = HyperparameterSchedule({0: {"lr": 0.3, "rho": 0.0}, 20: {"rho": 1e-5}})
        >>> callback.at(30)
        {'lr': 0.3, 'rho': 1e-05}
        >>> annealing = HyperparameterSchedule({epoch: {"tau": 2.0 * 0.1 ** (epoch / 49)} for epoch in range(50)})
        >>> annealing.at(0), annealing.at(99)
        ({'tau': 2.0}, {'tau': 0.2})
    """

    def __init__(self, schedule: dict[int, dict[str, float]]) -> None:
        if not schedule or any(epoch < 0 for epoch in schedule):
            raise ValueError(expected("schedule", "given by epochs of at least 0, at least one", list(schedule)))
        self.schedule: Mapping[int, Mapping[str, float]] = dict(sorted(schedule.items()))

    def at(self, epoch: int) -> dict[str, float]:
        """Return the values that hold in an epoch."""
        values: dict[str, float] = {}
        for begin, of_epoch in self.schedule.items():
            if begin <= epoch:
                values.update(of_epoch)
        return values

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Make sure that there is all that will be set."""
        there = hyperparameters(trainer, pl_module)
        for of_epoch in self.schedule.values():
            check_names("schedule", of_epoch, there, pl_module)
            for name, value in of_epoch.items():
                if not there[name].valid(value):
                    raise ValueError(expected(name, there[name].what, value))

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Set what holds in this epoch, whatever a checkpoint's optimizer has brought."""
        there = hyperparameters(trainer, pl_module)
        for name, value in self.at(trainer.current_epoch).items():
            there[name].set(name, value)
