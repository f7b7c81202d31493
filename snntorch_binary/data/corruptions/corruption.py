"""What a corruption is, the list of them, and what all of them refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from numbers import Real
from typing import Literal, get_args

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.data.encoders import check_values

Corrupt = Callable[[Tensor, float, torch.Generator], Tensor]
"""Degrades an input by a strength, with a source of noise."""
Kind = Literal["spikes", "images"]
"""What is degraded: spikes, or the values of images before spikes are made of them."""
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Corruption:
    """One way in which a sensor degrades.

    Attributes:
        name: under which it is registered.
        kind: ``"spikes"`` [T, B, ...] or ``"images"`` [N, (C,) H, W].
        unit: what a strength says.
        strengths: five of them, which are compared by default; lengths are those in images of 28 pixels.
        low: the least strength.
        high: the largest.
        whole: whether a strength is a whole number.
        of_sensor: whether what is drawn is of the sensor, so that a generator in the same state degrades all examples
            alike.
        length: whether a strength is a length in an image.
        apply: the function.
    """

    name: str
    kind: Kind
    unit: str
    strengths: tuple[float, ...]
    low: float
    high: float
    whole: bool
    of_sensor: bool
    length: bool
    apply: Corrupt

    @property
    def title(self) -> str:
        """What tables and pictures call it."""
        return self.name.replace("_", " ")

    def in_image(self, width: int) -> Corruption:
        """Return the same with strengths for images of so many pixels in a row.

        Example:
            >>> from snntorch_binary.data.corruptions import CORRUPTIONS
            >>> CORRUPTIONS["translation"].in_image(14).strengths
            (0.5, 1.0, 1.5, 2.0, 3.0)
        """
        if not self.length:
            return self
        scaled = (min(round(width / 28 * strength, 3), self.high) for strength in self.strengths)
        return replace(self, strengths=tuple(scaled))

    def check(self, strength: float) -> None:
        """Refuse what is no strength of this corruption.

        Raises:
            ValueError: it is no number in its range, or should be a whole one.
        """
        number = isinstance(strength, Real) and not isinstance(strength, bool) and math.isfinite(strength)
        if not number or not self.low <= strength <= self.high or (self.whole and strength != int(strength)):
            kind = "a whole number" if self.whole else "a number"
            what = f"{kind} from {self.low:g} to {self.high:g} ({self.unit}) for {self.name}"
            raise ValueError(expected("strength", what, strength))


CORRUPTIONS: dict[str, Corruption] = {}
"""The corruptions by name, those of spikes before those of images."""


def corruption(
    kind: Kind,
    unit: str,
    strengths: tuple[float, ...],
    *,
    low: float = 0.0,
    high: float = 1.0,
    whole: bool = False,
    of_sensor: bool = False,
    length: bool = False,
) -> Callable[[Corrupt], Corrupt]:
    """Register a function of bool spikes [T, B, ...] or float images [N, C, H, W]; see :class:`Corruption`.

    What users call takes spikes of any type, images with or without a dimension of colours, and refuses the rest. At
    strength 0 it gives back what it got.
    """

    def register(function: Corrupt) -> Corrupt:
        @wraps(function)
        def checked(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
            described.check(strength)
            if not isinstance(generator, torch.Generator):
                raise TypeError(expected("generator", "a torch.Generator", type(generator).__name__))
            if kind == "spikes":
                on = _as_bool(x)
                return x if strength == 0 else function(on, strength, generator).to(x.dtype)
            images = _with_colours(x)
            return x if strength == 0 else function(images, strength, generator).view_as(x)

        described = Corruption(function.__name__, kind, unit, strengths, low, high, whole, of_sensor, length, checked)
        CORRUPTIONS[described.name] = described
        return checked

    return register


def _as_bool(spikes: Tensor) -> Tensor:
    if not isinstance(spikes, Tensor) or spikes.dim() < 3:
        got = list(spikes.shape) if isinstance(spikes, Tensor) else type(spikes).__name__
        raise ValueError(expected("spikes", "a tensor of shape [T, B, ...]", got))
    on = spikes != 0
    if spikes.is_complex() or not torch.equal(on.to(spikes.dtype), spikes):
        raise ValueError(expected("spikes", "0 or 1", "other values"))
    return on


def _with_colours(images: Tensor) -> Tensor:
    if not isinstance(images, Tensor) or images.dim() not in (3, 4) or 0 in images.shape[1:]:
        got = list(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(expected("images", "a tensor of shape [N, H, W] or [N, C, H, W]", got))
    check_values(images)
    return images if images.dim() == 4 else images.unsqueeze(1)


def uniform(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    """Return numbers in [0, 1) on the device of a tensor, wherever the generator is."""
    return torch.rand(shape, generator=generator, device=generator.device).to(like.device)


def normal(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    """Return normal numbers on the device of a tensor, wherever the generator is."""
    return torch.randn(shape, generator=generator, device=generator.device).to(like.device)
