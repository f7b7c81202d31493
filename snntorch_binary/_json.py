"""JSON that a stranger may have written: what Python's reader takes in silence is refused in a sentence."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any, NoReturn

MAX_DEPTH = 64
"""Values within values within values: no file of this package has more."""


def parse_json(text: str | bytes, finite: bool = True) -> Any:
    """Return the value of a JSON text.

    Args:
        text: the text.
        finite: refuse NaN and infinite numbers, which are none of JSON, and which Python writes.

    Raises:
        ValueError: it is no JSON, is nested more than 64 deep, has a key twice in one object, or a number that is too
            large or, where ``finite``, no number.

    Example:
        >>> parse_json('{"scale": 1e999}')
        Traceback (most recent call last):
            ...
        ValueError: the number 1e999 is too large
    """
    try:
        constant = _no_number if finite else None
        value = json.loads(
            text, object_pairs_hook=_unique, parse_int=_integer, parse_float=_float, parse_constant=constant
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inside for outer in level for inside in _inside(outer)]
        if not level:
            return value
    raise ValueError("it is nested too deeply")


def _inside(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {twice[:80]!r} stands twice in one object")
    return found


def _integer(digits: str) -> int:
    if len(digits) > 300:  # the largest float has 309 digits
        raise ValueError(f"the number {digits[:20]}... is too large")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:40]} is too large")
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
