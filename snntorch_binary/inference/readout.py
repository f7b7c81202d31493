"""From what a spiking network puts out to class scores: the readout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor

from snntorch_binary._errors import expected

ReadoutName = Literal["rate", "membrane"]
Readout = ReadoutName | Callable[[Any], Tensor]


def check_readout(readout: Readout) -> Readout:
    """Return the readout, or say what a readout is.

    Raises:
        ValueError: it is neither a known name nor callable.
    """
    if readout not in ("rate", "membrane") and not callable(readout):
        raise ValueError(expected("readout", "'rate', 'membrane' or a function of the network's output", repr(readout)))
    return readout


def logits(output: Any, readout: Readout = "rate", scale: float | None = None) -> Tensor:
    """Return class scores [B, C] from a network's output over all time steps.

    Args:
        output: [T, B, C], or a tuple ``(spikes, ..., membrane potential)`` of such, as snnTorch's models return.
        readout: ``"rate"`` reads the first tensor, ``"membrane"`` the last; a function of the output replaces both.
        scale: scores are scale · (mean over time). By default T for ``"rate"``, which makes them spike counts (what
            ``snntorch.functional.ce_count_loss`` takes), and 1 for ``"membrane"``.

    Raises:
        ValueError: the readout is unknown, or the tensor it reads is not [T, B, C].

    Example:
        >>> import torch
        >>> logits(torch.ones(25, 2, 10)).shape, float(logits(torch.ones(25, 2, 10))[0, 0])
        (torch.Size([2, 10]), 25.0)
    """
    check_readout(readout)
    if not isinstance(readout, str):
        return readout(output)
    if isinstance(output, (tuple, list)):
        output = output[0] if readout == "rate" else output[-1]
    if not isinstance(output, Tensor) or output.dim() != 3 or output.shape[0] == 0:
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(expected("output", "of shape [T, B, C] with T >= 1", got))
    if scale is None:
        scale = float(output.shape[0]) if readout == "rate" else 1.0
    return output.mean(0) * scale
