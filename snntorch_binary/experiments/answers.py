"""The one loop that answers a loader."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


@torch.no_grad()
def answers(
    batches: Iterable[tuple[Tensor, Tensor]], answer: Callable[[Tensor], dict[str, Tensor]], dim: int = 0
) -> dict[str, Tensor]:
    """Return what a function answers to all batches, by name, and their ``"labels"`` [N].

    Args:
        batches: pairs ``(x, labels)``.
        answer: maps x to tensors by name.
        dim: dimension of the batch in them.
    """
    kept: dict[str, Tensor] = {}
    end, size = 0, getattr(batches, "dataset", None)
    total = len(size) if size is not None else 0
    for x, labels in batches:
        begin, end = end, end + len(labels)
        found = {name: (value.cpu(), dim) for name, value in answer(x).items()}
        for name, (values, along) in {"labels": (labels, 0), **found}.items():
            if name not in kept:  # all at once: a small tensor kept in a hole of the heap costs the hole, every batch
                shape = list(values.shape)
                shape[along] = max(total, end)
                kept[name] = values.new_empty(shape)
            if kept[name].shape[along] < end:
                shape = list(values.shape)
                shape[along] = end - kept[name].shape[along]
                kept[name] = torch.cat([kept[name], values.new_empty(shape)], along)
            kept[name].narrow(along, begin, end - begin).copy_(values)
    return {name: values.narrow(0 if name == "labels" else dim, 0, end) for name, values in kept.items()}
