"""Losses of local readouts, each with its derivative: the error that a layer learns from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from snntorch_binary._errors import expected

LossName = Literal["cross-entropy", "binary-cross-entropy", "squared-error"]
Loss = LossName | Callable[[Tensor, Tensor], Tensor]
"""A name, or a function of readouts [B, C] and targets that returns the mean loss of the batch."""


def _as_outputs(readout: Tensor, target: Tensor) -> Tensor:
    """Return real targets in the shape of the readout [B, C]; [B] stands for [B, 1]."""
    return target.to(readout.dtype).reshape(readout.shape)


def _cross_entropy_error(readout: Tensor, target: Tensor) -> Tensor:
    return (readout.softmax(-1) - F.one_hot(target, readout.shape[-1])) / len(readout)


def _binary_cross_entropy_error(readout: Tensor, target: Tensor) -> Tensor:
    return (readout.sigmoid() - _as_outputs(readout, target)) / readout.numel()


def _squared_error_error(readout: Tensor, target: Tensor) -> Tensor:
    return 2 * (readout - _as_outputs(readout, target)) / readout.numel()


_VALUES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross-entropy": F.cross_entropy,
    "binary-cross-entropy": lambda r, y: F.binary_cross_entropy_with_logits(r, _as_outputs(r, y)),
    "squared-error": lambda r, y: F.mse_loss(r, _as_outputs(r, y)),
}
_ERRORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross-entropy": _cross_entropy_error,
    "binary-cross-entropy": _binary_cross_entropy_error,
    "squared-error": _squared_error_error,
}


def loss_value(loss: Loss) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the mean loss of a batch as a function of readouts [B, C] and targets.

    ``"cross-entropy"`` takes class labels int64 [B]; ``"binary-cross-entropy"`` takes targets in [0, 1] and
    ``"squared-error"`` real ones, of the readouts' shape or [B] where C = 1.

    Raises:
        ValueError: the name is unknown.
    """
    if callable(loss):
        return loss
    if loss not in _VALUES:
        raise ValueError(expected("loss", f"one of {', '.join(_VALUES)}, or a function", repr(loss)))
    return _VALUES[loss]


def kernel_targets(loss: Loss, targets: Tensor, readout: Tensor) -> tuple[str, Tensor, Tensor] | None:
    """Return how a compiled kernel takes a loss: its name there, labels [B] and targets [B, C], of which one is empty.

    ``None`` where it cannot: the loss is a function of the user's, or the targets are such that the loss itself says
    what is wrong with them.
    """
    if not isinstance(loss, str):
        return None
    nothing = readout.new_empty(0)
    if loss != "cross-entropy":
        if targets.numel() != readout.numel():
            return None
        return loss.replace("-", "_").upper(), nothing.long(), _as_outputs(readout, targets).contiguous()
    if targets.dtype != torch.int64 or targets.shape != readout.shape[:1]:
        return None
    if bool(((targets < 0) | (targets >= readout.shape[1])).any()):
        return None
    return "CROSS_ENTROPY", targets.clone(), nothing.view(0, 0)  # which nobody changes after they were looked at


def loss_error(loss: Loss) -> Callable[[Tensor, Tensor], Tensor]:
    """Return dL/dr [B, C] of the mean loss L as a function of readouts r [B, C] and targets.

    Raises:
        ValueError: the name is unknown.

    Example:
        >>> loss_error("cross-entropy")(torch.zeros(1, 2), torch.tensor([0])).tolist()
        [[-0.5, 0.5]]
    """
    value = loss_value(loss)
    if isinstance(loss, str):
        return _ERRORS[loss]

    def error(readout: Tensor, target: Tensor) -> Tensor:
        with torch.enable_grad():
            readout = readout.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(value(readout, target), readout)
        return gradient

    return error
