"""`tune`: population based training of any network and data, beside as many fixed settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from snntorch_binary.experiments.tune.populations import run
from snntorch_binary.experiments.tune.tuning import Tuning, make_tuning
from snntorch_binary.tune.population import Population


def tune(
    network: Any,
    rule: Any,
    data: Any,
    space: Any,
    *,
    out: str | Path | None = None,
    console: Console | None = None,
    **settings: Any,
) -> dict[str, list[Population]]:
    """Train a population whose worse members copy better ones and change their hyper-parameters; print tables.

    Interrupted, the same call goes on.

    Args:
        network: a class or function that makes the float network, or its name; see
            :func:`snntorch_binary.experiments.compare`.
        rule: the rule's name, or a mapping of it to hyper-parameters.
        data: a function that returns a training, a validation and a test part, or the name of a data set; see there.
        space: the range of each hyper-parameter by name: ``low``, ``high`` and perhaps ``scale``.
        out: the folder of results; by default ``results`` and the name of the data.
        console: where tables go.
        **settings: ``metric``, ``mode``, ``epochs``, ``interval`` and others; see
            :func:`snntorch_binary.experiments.tune.tuning.make_tuning`.

    Raises:
        ValueError: before anything is trained, where it cannot be.
        OutputError: the folder cannot be written to, or holds results of another call.

    Example:
        >>> from snntorch_binary.models import SpikingMLP
        >>> found = tune(  # doctest: +SKIP
        ...     "snntorch_binary.models.SpikingMLP", "st", "digits", {"latent_lr": {"low": 1e-3, "high": 0.1}},
        ...     metric="val_single_nll", mode="min", epochs=20, interval=5,
        ... )
    """
    tuning = make_tuning(space, network, rule, data, **settings)
    return run(tuning, Path("results") / tuning.name if out is None else Path(out), console)


__all__ = ["Tuning", "make_tuning", "run", "tune"]
