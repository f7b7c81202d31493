"""Where hyper-parameters are looked for."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from snntorch_binary._errors import expected
from snntorch_binary.tune.checks import is_number

Scale = Literal["linear", "log"]


@dataclass(frozen=True)
class Range:
    """The range of one hyper-parameter: its first values come from there, and perturbed ones are clipped to it.

    Attributes:
        low: the least value.
        high: the largest value, above ``low``.
        scale: ``"linear"`` draws uniformly, ``"log"`` uniformly in the logarithm, for which ``low`` must be positive.

    Raises:
        ValueError: the range is reversed, empty or not finite, or the scale does not fit.

    Example:
        >>> from snntorch_binary.tune import Range
        >>> Range(1e-3, 1.0, "log").clip(1.2)
        1.0
    """

    low: float
    high: float
    scale: Scale = "linear"

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            if not is_number(value := getattr(self, name)):
                raise ValueError(expected(name, "a finite float", repr(value)))
        if not self.low < self.high:
            raise ValueError(expected("high", f"above low = {self.low}", self.high))
        if self.scale not in get_args(Scale):
            raise ValueError(expected("scale", f"one of {', '.join(get_args(Scale))}", repr(self.scale)))
        if self.scale == "log" and not self.low > 0:
            raise ValueError(expected("low", "positive where scale is 'log'", self.low))

    def clip(self, value: float) -> float:
        """Return the nearest value in the range."""
        return float(min(max(value, self.low), self.high))

    def draw(self, source: Any = random) -> float:
        """Return a random value; ``source`` has the functions of Python's ``random``, by default its global ones."""
        if self.scale == "log":
            return self.clip(math.exp(source.uniform(math.log(self.low), math.log(self.high))))
        return float(source.uniform(self.low, self.high))


Space = Mapping[str, Range]
"""The ranges of hyper-parameters by name."""


def read_space(given: Mapping[str, Any]) -> dict[str, Range]:
    """Return a space from plain values: ``{"lr": {"low": 0.01, "high": 1.0, "scale": "log"}}``.

    Raises:
        ValueError: a range is no range; the sentence says whose.
    """
    if not isinstance(given, Mapping) or not given:
        raise ValueError(expected("space", "ranges of hyper-parameters by name, at least one", given))
    space = {}
    for name, of_name in given.items():
        try:
            space[name] = of_name if isinstance(of_name, Range) else Range(**of_name)
        except TypeError:
            raise ValueError(expected(f"space.{name}", "of low, high and perhaps scale", of_name)) from None
        except ValueError as error:
            raise ValueError(str(error).replace("argument `", f"argument `space.{name}.")) from None
    return space


def first_values(space: Space, start: list[dict[str, float]], population: int, seed: int) -> list[dict[str, float]]:
    """Return the values that members begin with: those of ``start`` for the first ones, drawn ones for the rest.

    They depend on the seed only, so that fixed settings can begin with the same.
    """
    source = random.Random(seed)
    drawn = [{name: of_name.draw(source) for name, of_name in space.items()} for _ in range(population)]
    return [{**of_member, **given} for of_member, given in zip(drawn, start + [{}] * population, strict=False)]
