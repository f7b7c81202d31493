"""Logs of packages below this one, kept off the terminal where its user cannot act on them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def errors_only(*names: str, level: int = logging.ERROR) -> Iterator[None]:
    """Let loggers say nothing below an error as long as the context lasts.

    Args:
        names: of the loggers.
        level: the least that is said.
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
