"""From what a spiking network puts out to class scores: the readout, and the defaults of all that answers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary._numbers import is_number
from snntorch_binary.inference.find_form import form_of
from snntorch_binary.inference.form import Form
from snntorch_binary.inference.run import run_as
from snntorch_binary.inference.structure import tensors_in_order

ReadoutName = Literal["auto", "rate", "membrane"]
Readout = ReadoutName | Callable[[Any], Tensor]

DEFAULT_READOUT: ReadoutName = "auto"
"""Spike counts where a network returns spikes first, else the mean of what it returns first.

Counts need no scale, and networks that return spikes only have nothing else. They do not learn better everywhere: of a
64-128-10 network of (spikes, membrane potentials) on digits, validation accuracy after 8 epochs, three seeds, was
.937 ± .007 by counts and .935 ± .011 by mean potentials with ST-BiSNN, .855 ± .059 and .916 ± .000 with Bayes-BiSNN
(``python tests/benchmarks/defaults.py readout``).
"""
NUM_SAMPLES = 10
"""Networks drawn from a posterior for an answer, unless said otherwise."""


def check_readout(readout: Readout) -> Readout:
    """Return the readout, or say what a readout is.

    Raises:
        ValueError: it is neither a known name nor callable.
    """
    if readout not in ("auto", "rate", "membrane") and not callable(readout):
        what = "'auto', 'rate', 'membrane' or a function of the network's output"
        raise ValueError(expected("readout", what, repr(readout)))
    return readout


def check_readout_scale(scale: float | None, name: str = "readout_scale") -> float | None:
    """Return the scale of scores, or say what one can be.

    Raises:
        ValueError: it is no positive number.
    """
    if scale is not None and not (is_number(scale) and 0 < scale < math.inf):
        raise ValueError(expected(name, "a positive float, or None for that of the readout", scale))
    return None if scale is None else float(scale)


def check_time_dim(time_dim: int | None, step: bool | None) -> int | None:
    """Return the dimension of time in a network's outputs, or say what it can be.

    Raises:
        ValueError: it is no dimension of [T, B, C], or not that in which single steps are put together.
    """
    if time_dim is not None and (isinstance(time_dim, bool) or time_dim not in (0, 1, 2)):
        raise ValueError(expected("time_dim", "0, 1 or 2, or None to find out", time_dim))
    if step and time_dim:
        raise ValueError(expected("time_dim", "0 or None for a network of single time steps", time_dim))
    return time_dim


def class_scores(
    net: nn.Module,
    x: Tensor | tuple[Any, ...],
    readout: Readout = DEFAULT_READOUT,
    scale: float | None = None,
    step: bool | None = None,
    time_dim: int | None = None,
) -> Tensor:
    """Return class scores [B, C] of a network for a new sequence.

    Of a network that reads itself out over time, whose output is [B, C], ``"auto"`` takes that, ``scale`` times.

    Args:
        net: the network, as :func:`run` takes it.
        x: its input, or a tuple of its arguments.
        readout: see :func:`logits`.
        scale: see :func:`logits`.
        step: whether a call is one time step; see :func:`run`.
        time_dim: dimension of time in the network's outputs; by default as seen in a few runs.

    Raises:
        TypeError: the readout needs another output.
        ValueError: the same, or ``step`` or ``time_dim`` has to be given.
    """
    return scores_as(form_of(net, x, step, time_dim), net, x, readout, scale)


def scores_as(form: Form, net: nn.Module, x: Any, readout: Readout, scale: float | None) -> Tensor:
    """Return class scores [B, C] of a network for a new sequence, as :func:`class_scores`, where its form is known."""
    return read_as(form, run_as(form, net, x), readout, scale)


def read_as(form: Form, output: Any, readout: Readout, scale: float | None) -> Tensor:
    """Return class scores [B, C] from the output of a network of this form."""
    if form.scored and readout == "auto":
        return tensors_in_order(output)[0] * (1.0 if scale is None else scale)
    if isinstance(readout, str) and form.time_dim is None:
        what = "the dimension of time in the network's output, as a run does not tell which it is"
        raise ValueError(expected("time_dim", what, None))
    return logits(output, readout, scale, form.time_dim or 0)


def logits(output: Any, readout: Readout = DEFAULT_READOUT, scale: float | None = None, time_dim: int = 0) -> Tensor:
    """Return class scores [B, C] from a network's output over all time steps.

    Args:
        output: [T, B, C], or a tuple ``(spikes, ..., membrane potential)`` of such, as snnTorch's models return.
        readout: ``"auto"`` and ``"rate"`` read the first tensor, ``"membrane"`` the last, which must not be spikes. A
            function of the output replaces them.
        scale: scores are scale · (mean over time). By default T for spikes (all 0 or 1) and for ``"rate"``, which makes
            them spike counts (what ``snntorch.functional.ce_count_loss`` takes), else 1. Counts of a network that is
            shown more or fewer steps than it learned from are surer or less sure than they should be: give the number
            of steps in training, as the LightningModules do by themselves.
        time_dim: dimension of time, 0 in [T, B, C].

    Raises:
        TypeError: the output holds more than tensors, so that only a function can read it.
        ValueError: the readout is unknown or finds spikes only, or the tensor it reads is not [T, B, C].

    Example:
        >>> import torch
        >>> logits(torch.ones(25, 2, 10)).shape, float(logits(torch.ones(25, 2, 10))[0, 0])
        (torch.Size([2, 10]), 25.0)
    """
    check_readout(readout)
    check_readout_scale(scale, "scale")
    if not isinstance(readout, str):
        return readout(output)
    read = _read(output, readout, time_dim)
    return read.mean(time_dim) * (_default_scale(read, readout, time_dim) if scale is None else scale)


def scale_of(form: Form, output: Any, readout: Readout) -> float | None:
    """Return the number of time steps with which counts are read; ``None`` of potentials, or where nothing spiked."""
    if not isinstance(readout, str) or (form.scored and readout == "auto") or form.time_dim is None:
        return None
    read = _read(output, readout, form.time_dim)
    return float(read.shape[form.time_dim]) if readout == "rate" or are_spikes(read) else None


def _default_scale(read: Tensor, readout: ReadoutName, time_dim: int) -> float:
    return float(read.shape[time_dim]) if readout == "rate" or are_spikes(read) else 1.0


def _read(output: Any, readout: ReadoutName, time_dim: int) -> Tensor:
    """Return the tensor of an output that is read."""
    tensors = tensors_in_order(output)
    if not tensors:
        raise ValueError(expected("output", "of shape [T, B, C] with T >= 1", "no tensor"))
    read = tensors[-1 if readout == "membrane" else 0]
    if read.dim() != 3 or read.shape[time_dim] == 0:
        form = ["B", "C"]
        form.insert(time_dim, "T")
        what = f"of shape [{', '.join(form)}] with T >= 1, or `readout` a function of it"
        raise ValueError(expected("output", what, tuple(read.shape)))
    if readout == "membrane" and are_spikes(read):
        what = "'rate' or a function of the network's output, whose last tensor holds nothing but spikes"
        raise ValueError(expected("readout", what, repr(readout)))
    return read


def are_spikes(values: Tensor) -> bool:
    """Say whether values are 0 or 1, and some 1: of zeros all scores are 0, whatever they are."""
    return bool(((values == 0) | (values == 1)).all() & (values == 1).any())
