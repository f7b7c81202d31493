"""Logs of packages below this one, kept off the terminal where its user cannot act on them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def says_at_least(level: int, *names: str) -> Iterator[None]:
    """Let loggers say nothing below a level as long as the context lasts.

    Args:
        level: such as ``logging.ERROR``.
        names: of the loggers.
    """
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(level)
        yield
    finally:
        for logger, before in zip(loggers, levels, strict=True):
            logger.setLevel(before)
