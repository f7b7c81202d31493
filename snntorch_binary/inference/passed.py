"""The state of a network with fixed weights, its binary ones at one bit each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.kernels.bits import from_words, num_words, to_words

_SIZES: tuple[tuple[int, ...], ...] = ((), (0,), (1,))
"""Dimensions along which the magnitudes of ±1 weights may differ: of a layer, of outputs, of a transposed one's."""


@dataclass(frozen=True)
class Passed:
    """The state of a network that a training passed through.

    Attributes:
        tensors: by name; of tensors whose magnitudes are equal, all or those of each output, ``signs`` as words of 64
            and the ``size``.
    """

    tensors: Mapping[str, Any]

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Passed:
        """Return the state of a network, ``state_dict()``, on the CPU; values that are no tensors as they are."""
        return cls({name: _small(value) if isinstance(value, Tensor) else value for name, value in state.items()})

    def state(self, form: Mapping[str, Any]) -> dict[str, Any]:
        """Return the state as it was.

        Args:
            form: a state of the same network, for shapes and kinds.
        """
        return {name: _whole(value, form[name]) for name, value in self.tensors.items()}

    def check(self, form: Mapping[str, Any]) -> None:
        """Refuse what is no state of a network.

        Args:
            form: its state now.

        Raises:
            ValueError: names, shapes or kinds differ, or there are values that are no numbers.
        """
        if not isinstance(self.tensors, Mapping) or self.tensors.keys() != form.keys():
            raise ValueError(expected("state", "the tensors of this network", "others"))
        for name, value in self.tensors.items():
            if not _could_be(value, form[name]):
                raise ValueError(expected("state", f"{name} as in this network, of numbers", "another"))


def _small(value: Tensor) -> Tensor | dict[str, Tensor]:
    value = value.detach().cpu()
    if not value.is_floating_point() or value.dim() < 2 or value.numel() < 64:
        return value.clone()
    magnitudes = value.abs()
    for differ in _SIZES:
        size = magnitudes.amax([dim for dim in range(value.dim()) if dim not in differ], keepdim=True)
        if bool((magnitudes == size).all()) and bool((size > 0).all()):
            return {"signs": to_words((value > 0).view(1, -1, 1)).view(-1), "size": size.clone()}
    return value.clone()


def _whole(value: Any, like: Any) -> Any:
    if not isinstance(value, dict):
        return value
    positive = from_words(value["signs"], like.numel()).view(like.shape) > 0
    return torch.where(positive, value["size"], -value["size"])


def _could_be(value: Any, like: Any) -> bool:
    if not isinstance(like, Tensor):
        return not isinstance(value, (Tensor, dict)) and bool(value == like)
    if not isinstance(value, dict):
        alike = isinstance(value, Tensor) and value.shape == like.shape and value.dtype == like.dtype
        return alike and not bool(value.isnan().any())
    if value.keys() != {"signs", "size"} or not all(isinstance(part, Tensor) for part in value.values()):
        return False
    signs, size = value["signs"], value["size"]
    sizes = [tuple(n if dim in differ else 1 for dim, n in enumerate(like.shape)) for differ in _SIZES]
    if signs.dtype != torch.int64 or signs.shape != (num_words(like.numel()),) or size.dtype != like.dtype:
        return False
    return tuple(size.shape) in sizes and bool(size.isfinite().all())
