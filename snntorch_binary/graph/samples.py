"""Inputs like a sample: of other sizes, and fresh ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from snntorch_binary.graph.tree import leaves, mapped


def sizes_of(args: Any) -> tuple[int, ...]:
    """Return the first two dimensions of the first tensor of a sample."""
    return tuple(next(leaf for leaf in leaves(args) if isinstance(leaf, Tensor)).shape[:2])


def resized(args: Any, sizes: tuple[int, ...], generator: torch.Generator) -> Any:
    """Return a sample whose tensors have other first dimensions, their entries drawn from those that are there.

    Args:
        args: a tree of tensors; those that have the first dimensions of the first get the new ones.
        sizes: the new first dimensions.
        generator: where the draws come from.
    """
    before = sizes_of(args)

    def change(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        shape = [new if old == was else old for old, was, new in zip(leaf.shape, before, sizes, strict=False)]
        shape += leaf.shape[len(shape) :]
        flat = leaf.detach().flatten()
        if flat.numel() == 0:
            return leaf.detach()
        chosen = torch.randint(flat.numel(), tuple(shape), generator=generator)
        return flat[chosen.to(flat.device)]

    return mapped(args, change)


def with_size(args: Any, dims: Mapping[int, Sequence[int]], size: int, generator: torch.Generator) -> Any:
    """Return a sample whose tensors have another size in some dimensions, their entries drawn from those there are.

    Args:
        args: a tree of tensors.
        dims: the dimensions, by the place of a tensor among the tensors.
        size: their new size.
        generator: where the draws come from.
    """
    count = iter(range(len(leaves(args))))

    def change(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or not (chosen := dims.get(next(count), ())):
            return leaf
        shape = tuple(size if dim in chosen else old for dim, old in enumerate(leaf.shape))
        flat = leaf.detach().flatten()
        if flat.numel() == 0:
            return leaf.detach()
        return flat[torch.randint(flat.numel(), shape, generator=generator).to(flat.device)]

    return mapped(args, change)


def fresh(args: Any, real: bool, generator: torch.Generator) -> Any:
    """Return inputs of the same shapes: spikes of rate 0.4, or real numbers in [0, 1)."""

    def change(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or not leaf.is_floating_point():
            return leaf
        numbers = torch.rand(leaf.shape, generator=generator)
        return (numbers if real else (numbers < 0.4)).to(leaf)

    return mapped(args, change)


def are_spikes(args: Any) -> list[bool]:
    """Say of each tensor among some arguments whether it holds nothing but zeros and ones."""
    tensors = [leaf for leaf in leaves(args) if isinstance(leaf, Tensor)]
    return [leaf.is_floating_point() and bool(((leaf == 0) | (leaf == 1)).all()) for leaf in tensors]
