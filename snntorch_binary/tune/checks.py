"""What values are: in a YAML file anything may stand anywhere, and Python takes truth for a number."""

from __future__ import annotations

import math
from typing import TypeGuard


def is_integer(value: object) -> TypeGuard[int]:
    """Say whether a value is an integer and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Say whether a value is a finite number and no truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
