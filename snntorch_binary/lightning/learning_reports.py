"""Reports of how a binary network learns, epoch by epoch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_info

from snntorch_binary.inference.arguments import Inputs
from snntorch_binary.lightning.batches import inputs_of
from snntorch_binary.metrics.learning_report import LearningReport, blocked_gradients, learning_report
from snntorch_binary.plots.learning_report import learning_reports


class LearningReports(L.Callback):
    """Takes a report at the end of every epoch, on its last batch; says the last one when training ends.

    Training is the same with it and without, bit for bit.

    Args:
        path: where the picture of all reports is written when training ends; its suffix is the format. ``None`` draws
            none.

    Attributes:
        reports: by epoch, counted from 1; see :func:`snntorch_binary.metrics.learning_report`.

    Example:
        >>> import lightning as L
        >>> from snntorch_binary.lightning import LearningReports
        >>> reports = LearningReports("learning.png")
        >>> trainer = L.Trainer(callbacks=[reports], logger=False)  # doctest: +SKIP
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = path
        self.reports: dict[int, LearningReport] = {}
        self._x: Inputs | None = None
        self._blocked: dict[str, float] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take note of the signs to begin with."""
        self._last = learning_report(pl_module.net)  # type: ignore[arg-type]

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any) -> None:
        """Look at gradients before the last step of an epoch, after which they are gone."""
        if trainer.is_last_batch:
            self._blocked = blocked_gradients(pl_module.net)  # type: ignore[arg-type]

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the last input of an epoch."""
        if trainer.is_last_batch:
            self._x = inputs_of(batch[0] if isinstance(batch, (tuple, list)) else batch)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the report of an epoch."""
        step = getattr(pl_module, "step", None)
        step = step if isinstance(step, bool) else None  # a method of that name is somebody else's
        found = learning_report(pl_module.net, self._x, self._last, step)  # type: ignore[arg-type]
        layers = tuple(replace(layer, blocked=self._blocked.get(layer.name)) for layer in found.layers)
        self._last = self.reports[trainer.current_epoch + 1] = replace(found, layers=layers)
        self._x = None

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say the last report, and draw all of them."""
        if self.reports and trainer.is_global_zero:
            rank_zero_info("How it learned, in the last epoch:\n%s", self._last)
            if self.path is not None:
                learning_reports(self.reports, self.path)
