"""Values of options that are lists."""

from __future__ import annotations

import argparse


def words(text: str) -> tuple[str, ...]:
    """Return words that are separated by commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def integers(text: str) -> tuple[int, ...]:
    """Return integers that are separated by commas."""
    try:
        found = tuple(int(word) for word in words(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected integers separated by commas, but got {text!r}") from None
    if not found:
        raise argparse.ArgumentTypeError(f"expected integers separated by commas, but got {text!r}")
    return found


def labels(text: str) -> tuple[int, ...] | str:
    """Return class labels, or ``"all"``."""
    return text if text == "all" else integers(text)
