"""Noise of torch's own that a resumed training meets again."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch

from snntorch_binary._errors import expected
from snntorch_binary.kernels.noise import mix


class SeededSteps(L.Callback):
    """Starts torch's own noise (dropout, ...) anew in each batch, so that an interrupted training goes on bit for bit.

    Draws of binary weights are in every checkpoint; the state of torch's random numbers is not. The order of the data
    must be a function of the epoch, too, as it is in ``SpikeDataModule``.

    Args:
        seed: of the noise, at least 0: a function of seed, fold, number of the batch and process.
        fold: of a cross-validation.

    Raises:
        ValueError: a number is negative.

    Example:
        >>> import lightning as L
        >>> from snntorch_binary.lightning import SeededSteps
        >>> trainer = L.Trainer(max_epochs=5, callbacks=[SeededSteps(seed=0)], logger=False)
    """

    def __init__(self, seed: int, fold: int = 0) -> None:
        for name, value in (("seed", seed), ("fold", fold)):
            if value < 0:
                raise ValueError(expected(name, "an integer of at least 0", value))
        self._seed, self._fold = seed, fold

    def on_train_batch_start(self, trainer: L.Trainer, *args: Any) -> None:
        """Start it anew."""
        place = [trainer.fit_loop.total_batch_idx]  # not the number of the step, which several batches may make
        if trainer.global_rank:
            place.append(trainer.global_rank)
        seed = mix(self._seed, self._fold, *place) >> 1
        if trainer.strategy.root_device.type == "cpu":
            # torch.manual_seed keeps a note for each kind of device that is not in use yet, at every call.
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)
