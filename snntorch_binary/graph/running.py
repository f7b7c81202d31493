"""What a graph over time calls beside layers and operations of torch: functions of sequences [T, ...]."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary.kernels.norm import normalized, normalized_and_repeated
from snntorch_binary.nn.neurons.known import to_rest


def entries_of(x: Tensor, index: Any, position: int, reverse: bool = False) -> Tensor:
    """Return ``x[index]`` with the dimension of time, which is at ``position``, first."""
    found = x[index].movedim(position, 0)
    return found.flip(0) if reverse else found


def at_every_step(x: Tensor, steps: int) -> Tensor:
    """Return what is the same at every step as a sequence."""
    return x.unsqueeze(0).expand(steps, *x.shape)


def step_numbers(start: int, steps: int, device: torch.device) -> Tensor:
    """Return the numbers of the steps [T]."""
    return torch.arange(start, start + steps, device=device)


def one_step_later(x: Tensor, initial: Any, steps: int) -> Tensor:
    """Return a sequence one step later, with something else at the first step."""
    return torch.cat([_like(initial, x[:1]), x])[:steps]


def running_sum(x: Tensor, initial: Any) -> Tensor:
    """Return the sums of the steps until each, on top of what there was before."""
    total = x.cumsum(0)
    return total if not isinstance(initial, Tensor) and not initial else total + initial


def joined(x: Tensor, dim: int, merged: bool) -> Tensor:
    """Return a sequence with time at another dimension; merged into the one that is there."""
    if not merged:
        return x.movedim(0, dim)
    dim %= x.dim() - 1
    return x.movedim(0, dim).flatten(dim, dim + 1)


def as_list(x: Tensor) -> list[Tensor]:
    """Return the steps of a sequence."""
    return list(x.unbind(0))


def as_batch(x: Tensor) -> Tensor:
    """Return all steps of a sequence [T, B, ...] as one batch."""
    return x.flatten(0, 1)


def as_steps(y: Tensor, x: Tensor) -> Tensor:
    """Return a batch as the sequence that it was made of: T and B are those of ``x``."""
    return y.unflatten(0, x.shape[:2])


def aligned(x: Tensor, dims: int) -> Tensor:
    """Return a sequence with more dimensions behind that of time, as broadcasting adds them to each step."""
    return x.reshape(x.shape[0], *(1,) * dims, *x.shape[1:])


def norm_over_time(norm: nn.Module, x: Tensor, steps: int | None = None) -> Tensor:
    """Apply a batch norm as at every step by itself: its statistics in training are those of a step, not of all.

    Args:
        norm: a batch norm.
        x: a sequence [T, B, ...]; with ``steps`` [B, ...], the same at every one of them.
        steps: number of steps.
    """
    uses_batch = norm.training or norm.running_mean is None
    if uses_batch:
        return normalized(norm, x) if steps is None else normalized_and_repeated(norm, x, steps)
    return as_steps(norm(as_batch(x)), x) if steps is None else at_every_step(norm(x), steps)


def call(module: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a module."""
    return module(*args, **kwargs)


def call_at_rest(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """Call neurons that keep their state from call to call, from rest."""
    rest = to_rest(module)
    if rest is not None:
        rest()
    return module(*args, **kwargs)


def attribute(x: Any, name: str) -> Any:
    """Return an attribute, such as ``T`` of a tensor, or the state that a module keeps."""
    return getattr(x, name)


def step_by_step(
    step: Callable[..., Any],
    steps: int,
    sequences: tuple[Any, ...],
    others: tuple[Any, ...],
    carried: tuple[Any, ...],
    stateful: tuple[nn.Module, ...] = (),
) -> tuple[Tensor, ...]:
    """Run what depends on itself one step before, one step after the other.

    Args:
        step: ``step(*sequences at t, *others, *carried)`` returns what it gives, and what it carries to the next step.
        steps: number of steps.
        sequences: what is another at every step, tensors [T, ...] or T modules.
        others: what is the same at every step.
        carried: what the first step takes.
        stateful: modules that keep a state and start at rest.
    """
    for module in stateful:
        rest = to_rest(module)
        if rest is not None:
            rest()
    gave = []
    for row in _rows(sequences, steps):
        given, carried = step(*row, *others, *carried)
        gave.append(given)
    return tuple(torch.stack(row) for row in zip(*gave, strict=True))


def all_steps_at_once(
    step: Callable[..., Any], sequences: tuple[Tensor, ...], others: tuple[Any, ...]
) -> tuple[Tensor, ...]:
    """Run what remembers nothing at all steps together, by ``torch.vmap`` over time."""
    dims = (*(0 for _ in sequences), *(None for _ in others))
    return torch.vmap(step, dims)(*sequences, *others)[0]


def _rows(sequences: tuple[Any, ...], steps: int) -> Iterable[tuple[Any, ...]]:
    if not sequences:
        return [()] * steps
    return zip(*(each.unbind(0) if isinstance(each, Tensor) else each for each in sequences), strict=True)


def _like(initial: Any, first: Tensor) -> Tensor:
    if initial is None:
        return torch.zeros_like(first)
    if not isinstance(initial, Tensor):
        return torch.full_like(first, initial)
    return torch.zeros_like(first) if initial.numel() == 0 else initial.expand_as(first[0])[None].to(first)
