"""Whether two networks of one architecture differ in nothing but their parameters and buffers."""

from __future__ import annotations

from types import CellType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn

_TENSORS_AND_MODULES = ("_parameters", "_buffers", "_modules")


def differ_in_tensors_only(one: nn.Module, other: nn.Module) -> bool:
    """Say whether all else that modules have is equal: numbers, flags, words, functions, and lists of such.

    These are part of the graph of a network and not of the modules that it calls. What cannot be compared counts as
    another.
    """
    pairs = zip(one.modules(), other.modules(), strict=True)
    seen: set[tuple[int, int]] = set()
    return all(type(mine) is type(theirs) and _equal(_own(mine), _own(theirs), seen) for mine, theirs in pairs)


def _own(module: nn.Module) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if name not in _TENSORS_AND_MODULES}


def _equal(one: Any, other: Any, seen: set[tuple[int, int]]) -> bool:
    if one is other or (id(one), id(other)) in seen:
        return True
    if type(one) is not type(other):
        return False
    seen.add((id(one), id(other)))  # what refers to itself is compared once
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(_equal(*pair, seen) for pair in zip(one, other, strict=True))
    if isinstance(one, dict):
        return list(one) == list(other) and all(_equal(one[key], other[key], seen) for key in one)
    if isinstance(one, FunctionType):
        parts = ("__code__", "__defaults__", "__kwdefaults__", "__closure__", "__globals__")
        return all(_equal(getattr(one, part), getattr(other, part), seen) for part in parts)
    if isinstance(one, CellType):
        return _equal(one.cell_contents, other.cell_contents, seen)
    if type(one).__eq__ is object.__eq__:
        return hasattr(one, "__dict__") and _equal(vars(one), vars(other), seen)
    try:
        return bool(one == other)
    except (TypeError, ValueError, RuntimeError):  # such as arrays, which are compared number by number
        return False
