"""What a loader gives: inputs of a network, one or several, and targets."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.inference.arguments import Inputs


def inputs_of(x: Any) -> Inputs | None:
    """Return a network's input, or its arguments in a tuple, of which a loader makes a list; else ``None``."""
    if isinstance(x, list):
        x = tuple(x)
    first = x[0] if isinstance(x, tuple) and x else x
    return x if isinstance(first, Tensor) else None


def on_device(x: Inputs, device: torch.device) -> Inputs:
    """Return inputs on a device."""
    if isinstance(x, Tensor):
        return x.to(device)
    return tuple(value.to(device) if isinstance(value, Tensor) else value for value in x)


def pair(batch: Any, several: bool) -> tuple[Inputs, Tensor]:
    """Return the inputs and targets of a batch.

    Args:
        batch: what a loader gives.
        several: whether the network may take several arguments.

    Raises:
        TypeError: it is no such pair; the message says what it is.
    """
    if isinstance(batch, (tuple, list)) and len(batch) == 2 and isinstance(batch[1], Tensor):
        x = inputs_of(batch[0])
        if isinstance(x, Tensor) or (several and x is not None):
            return x, batch[1]
    what = "a pair (x, targets) of tensors"
    if several:
        what += ", or ((x, ...), targets) where the network takes several arguments"
    what += "; make it of what the loader gives in a `collate_fn`"
    raise TypeError(expected("batch", what, described(batch)))


def described(batch: Any) -> str:
    """Return what a batch is made of."""
    if isinstance(batch, (tuple, list)):
        return f"a {type(batch).__name__} of {', '.join(type(part).__name__ for part in batch) or 'nothing'}"
    return f"a {type(batch).__name__}"
