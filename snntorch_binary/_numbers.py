"""What counts as a number where one is asked for: Python's, and those of NumPy, but no truth value."""

from __future__ import annotations

from numbers import Real


def is_number(value: object) -> bool:
    """Say whether a value is a real number.

    >>> is_number(2), is_number(0.5), is_number(True), is_number("2")
    (True, True, False, False)
    """
    return isinstance(value, Real) and not isinstance(value, bool)
