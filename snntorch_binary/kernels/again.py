"""The gradients of a hand-written backward pass by autograd, which can differentiate them again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def gradients(
    function: Callable[..., Sequence[Tensor]],
    inputs: Sequence[Any],
    needed: Sequence[bool],
    grads: Sequence[Tensor | None],
) -> tuple[Tensor | None, ...]:
    """Return the gradients of all inputs, ``None`` of those that are not needed.

    Args:
        function: the same by operations of torch.
        inputs: its arguments.
        needed: of each whether a gradient is asked for.
        grads: the gradients of its outputs.
    """
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        leaves = list(inputs)
        if not again:
            pairs_of = zip(inputs, needed, strict=False)
            leaves = [each.detach().requires_grad_(of) if isinstance(each, Tensor) else each for each, of in pairs_of]
        pairs = [pair for pair in zip(function(*leaves), grads, strict=True) if pair[1] is not None]
        wanted = [index for index in range(len(leaves)) if needed[index]]
        found = torch.autograd.grad(
            [output for output, _ in pairs],
            [leaves[index] for index in wanted],
            [grad for _, grad in pairs],
            create_graph=again,
            allow_unused=True,
        )
    by_index = dict(zip(wanted, found, strict=True))
    return tuple(by_index.get(index) for index in range(len(inputs)))
