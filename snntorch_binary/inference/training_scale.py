"""The scale by which a network's outputs were read in training, which is that of its answers to any number of steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class TrainingScales:
    """The scales of the outputs that training has seen."""

    def __init__(self) -> None:
        self._seen: set[float] = set()

    def one_of(self, scale: float | None) -> float | None:
        """Take up the scale of a batch; return the one of all batches, or ``None`` where there are several or none."""
        if scale is not None:
            self._seen.add(scale)
        return next(iter(self._seen)) if len(self._seen) == 1 else None


def scale_in(checkpoint: Mapping[str, Any]) -> float | None:
    """Return the scale that a checkpoint says, or ``None`` where it says none that can be one."""
    said = checkpoint.get("snntorch_binary")
    scale = said.get("readout_scale") if isinstance(said, Mapping) else None
    if not isinstance(scale, (int, float)) or isinstance(scale, bool) or not 0 < scale < 1e30:
        return None
    return float(scale)
