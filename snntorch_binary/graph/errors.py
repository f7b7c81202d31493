"""What is said where a network is no graph over time: one sentence with the line of the user's file."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """Where in the user's files something happens."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}" if self.line else self.file


class NotAGraphError(ValueError):
    """A network does not fold into a graph over time; the message says why, and names the line.

    Args:
        reason: what happens, a clause after "the network".
        place: where.
    """

    page = "docs/guide/fast_and_small.md"

    def __init__(self, reason: str, place: Place | None = None) -> None:
        self.reason, self.place = reason, place
        where = f" ({place})" if place is not None else ""
        super().__init__(f"The network does not fold over time: {reason}{where}.")


class LaterStepError(NotAGraphError):
    """A graph of the first time steps is not what the network does at later ones."""
