"""How a network answers: as it is told, else as the module that trained it, else as everybody does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.inference.predictions import Task
from snntorch_binary.inference.readout import (
    DEFAULT_READOUT,
    NUM_SAMPLES,
    Readout,
    check_readout,
    check_readout_scale,
    check_time_dim,
)


@dataclass(frozen=True)
class Answering:
    """A network and how it answers; the names are those of the arguments of :func:`snntorch_binary.predict`."""

    net: nn.Module
    num_samples: int
    readout: Readout
    readout_scale: float | None
    step: bool | None
    time_dim: int | None
    task: Task | None
    data: Sequence[Tensor] | None
    """Inputs that the module takes statistics of batch norms from."""
    members: Callable[[int], Mapping[int, nn.Module]] | None = None
    """Returns so many networks with fixed weights that answer together, where the module has such and no posterior."""


def answering(
    net: nn.Module,
    num_samples: int | None = None,
    readout: Readout | None = None,
    readout_scale: float | None = None,
    step: bool | None = None,
    time_dim: int | None = None,
    *,
    count: str = "num_samples",
) -> Answering:
    """Return how a network answers, or one inside a LightningModule of this package, which has a say of its own.

    Args:
        net: the network or the LightningModule.
        num_samples: networks drawn.
        readout: see :func:`snntorch_binary.inference.logits`.
        readout_scale: see there; a readout that is given does not take the module's scale.
        step: whether a call is one time step.
        time_dim: dimension of time in the outputs.
        count: what ``num_samples`` is called.

    Raises:
        ValueError: an argument is out of its range.
    """
    module = net if hasattr(net, "readout_scale") and isinstance(getattr(net, "net", None), nn.Module) else None
    if num_samples is None:
        num_samples = getattr(module, "num_test_samples", NUM_SAMPLES)
    if isinstance(num_samples, bool) or not isinstance(num_samples, int) or num_samples < 1:
        raise ValueError(expected(count, "an integer of at least 1", num_samples))
    if module is not None:
        net = module.net  # type: ignore[assignment]
        if readout is None:
            readout = module.readout  # type: ignore[assignment]
            readout_scale = module.readout_scale if readout_scale is None else readout_scale  # type: ignore[assignment]
        step = module.step if step is None else step  # type: ignore[assignment]
        time_dim = module.time_dim if time_dim is None else time_dim  # type: ignore[assignment]
    readout = check_readout(DEFAULT_READOUT if readout is None else readout)
    readout_scale = check_readout_scale(readout_scale)
    task: Task | None = None
    if module is not None and hasattr(module, "task"):
        task = "real" if module.task.score == "rmse" else "classes"  # type: ignore[union-attr]  # a module's task
    data: Any = getattr(getattr(module, "norms", None), "inputs", None)
    members: Any = getattr(module, "members", None)
    return Answering(
        net, num_samples, readout, readout_scale, step, check_time_dim(time_dim, step), task, data, members
    )
