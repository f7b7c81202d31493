"""Annealing: the temperature of the relaxed sample, and the weight of the KL term, as functions of training time."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import lightning as L
from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary.lightning.hyperparameters import has_temperature, set_temperature_
from snntorch_binary.weights import binary_layers

Shape = Literal["linear", "cosine", "exponential"]
Interval = Literal["epoch", "step"]


def annealed(start: float, end: float, progress: float, shape: Shape) -> float:
    """Return the value at a progress in [0, 1]: ``start`` at 0, ``end`` at 1."""
    if shape == "exponential":
        return start ** (1 - progress) * end**progress
    if shape == "cosine":
        progress = (1 - math.cos(math.pi * progress)) / 2
    return (1 - progress) * start + progress * end


class _Anneal(L.Callback):
    """Sets a value before every epoch or training batch; the value is a function of how many came before."""

    def __init__(self, start: float, end: float, shape: Shape, interval: Interval, duration: int | None) -> None:
        if shape not in get_args(Shape):
            raise ValueError(expected("shape", f"one of {list(get_args(Shape))}", repr(shape)))
        if interval not in get_args(Interval):
            raise ValueError(expected("interval", f"one of {list(get_args(Interval))}", repr(interval)))
        if duration is not None and not duration >= 1:
            raise ValueError(expected("duration", "an integer of at least 1 or None", duration))
        self.start = start
        self.end = end
        self.shape: Shape = shape
        self.interval: Interval = interval
        self.duration = duration

    def _set(self, trainer: L.Trainer, pl_module: L.LightningModule, value: float) -> None:
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Return the duration that was settled when training started, so that a longer run goes on as planned."""
        return {"duration": self.duration}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the plan of the run that made the checkpoint, where no other was asked for."""
        if self.duration is None:
            self.duration = state_dict["duration"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Settle the duration."""
        if self.duration is None:
            epochs = trainer.max_epochs
            if epochs is None or epochs < 1:
                raise ValueError(expected("duration", "an integer where max_epochs is not given", None))
            self.duration = max(1, epochs * self._intervals_per_epoch(trainer) - 1)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the value that holds from this batch on."""
        assert self.duration is not None
        done = trainer.current_epoch * self._intervals_per_epoch(trainer)
        if self.interval == "step":
            done += batch_idx
        self._set(trainer, pl_module, annealed(self.start, self.end, min(1.0, done / self.duration), self.shape))

    def _intervals_per_epoch(self, trainer: L.Trainer) -> int:
        if self.interval == "epoch":
            return 1
        batches = trainer.num_training_batches
        if not math.isfinite(batches):
            raise ValueError(expected("interval", "'epoch' where the number of batches is unknown", "'step'"))
        return int(batches)


class AnnealTau(_Anneal):
    r"""Anneals the temperature τ of the relaxed sample, for networks of ``Bernoulli(estimator="gumbel")`` weights.

    At a high τ the gradient has little variance and much bias, at a low one the reverse; so training starts high.

    Args:
        start: τ of the first epoch or training batch, positive.
        end: τ from ``duration`` epochs or batches on, positive.
        shape: the way from one to the other: ``"exponential"`` (τ falls by equal factors), ``"linear"`` or
            ``"cosine"``.
        interval: whether τ changes with every ``"epoch"`` or every training batch (``"step"``).
        duration: number of epochs or batches after which ``end`` is reached; by default in the last one of training.

    Raises:
        ValueError: an argument is out of its range; at the start of training, no weight has a temperature, or no
            duration is known.

    Example:
        >>> from snntorch_binary.lightning.annealing import AnnealTau
        >>> callback = AnnealTau(2.0, 0.2, duration=50)  # for lightning.Trainer(callbacks=[...])
    """

    def __init__(
        self,
        start: float,
        end: float,
        shape: Shape = "exponential",
        interval: Interval = "epoch",
        duration: int | None = None,
    ) -> None:
        for name, value in (("start", start), ("end", end)):
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(expected(name, "a positive float", value))
        super().__init__(start, end, shape, interval, duration)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Settle the duration, and make sure that there is a temperature.

        Raises:
            ValueError: there is none.
        """
        if not any(has_temperature(layer.rule) for layer in binary_layers(pl_module).values()):
            raise ValueError(
                expected("pl_module", 'a module with Bernoulli(estimator="gumbel") weights', type(pl_module).__name__)
            )
        super().on_train_start(trainer, pl_module)

    def _set(self, trainer: L.Trainer, pl_module: nn.Module, value: float) -> None:
        set_temperature_(pl_module, value)


class AnnealRho(_Anneal):
    r"""Anneals the weight ρ of the KL term in :class:`snntorch_binary.optim.BayesBiSNN`.

    From zero up to Bayes' rule (1 / number of training examples) it lets the network fit before the prior pulls at it;
    from larger values down it is simulated annealing of the posterior's width.

    Args:
        start: ρ of the first epoch or training batch, at least 0.
        end: ρ from ``duration`` epochs or batches on, at least 0.
        shape: the way from one to the other: ``"linear"``, ``"cosine"``, or ``"exponential"``, which needs both
            positive.
        interval: whether ρ changes with every ``"epoch"`` or every training batch (``"step"``).
        duration: number of epochs or batches after which ``end`` is reached; by default in the last one of training.

    Raises:
        ValueError: an argument is out of its range; at the start of training, no optimizer has a ρ, or no duration is
            known.

    Example:
        >>> from snntorch_binary.lightning.annealing import AnnealRho
        >>> callback = AnnealRho(0.0, 1 / 60_000, duration=10)  # for lightning.Trainer(callbacks=[...])
    """

    def __init__(
        self,
        start: float,
        end: float,
        shape: Shape = "linear",
        interval: Interval = "epoch",
        duration: int | None = None,
    ) -> None:
        least = "a positive float" if shape == "exponential" else "a float of at least 0"
        for name, value in (("start", start), ("end", end)):
            if not (value >= 0 and math.isfinite(value)) or (shape == "exponential" and value == 0):
                raise ValueError(expected(name, least, value))
        super().__init__(start, end, shape, interval, duration)

    @staticmethod
    def _groups(trainer: L.Trainer) -> list[dict[str, Any]]:
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        return [group for group in groups if group.get("bayesian")]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Settle the duration, and make sure that there is a ρ.

        Raises:
            ValueError: no optimizer has one.
        """
        if not self._groups(trainer):
            raise ValueError(
                expected(
                    "pl_module",
                    "a module whose optimizer is snntorch_binary.optim.BayesBiSNN",
                    type(pl_module).__name__,
                )
            )
        super().on_train_start(trainer, pl_module)

    def _set(self, trainer: L.Trainer, pl_module: L.LightningModule, value: float) -> None:
        for group in self._groups(trainer):
            group["rho"] = value
