"""What is on disk after each round: a killed federation goes on from there, bit for bit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from snntorch_binary.federated.averaging import State

_LAST = "last.pt"


class RoundCheckpoint:
    """The server's state and every client's memory in a folder, tensors and plain values only.

    A client's memory is written when it has changed, to a file that names the round; what the server's file does not
    name is of a round that was not finished, or old, and is removed. The server's file takes its place whole.

    Args:
        folder: where.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._memories: dict[int, str] = {}

    def save(self, server: Mapping[str, Any], round: int, changed: Mapping[int, State]) -> None:
        """Write the state after a round.

        Args:
            server: all that the server needs.
            round: number of the round.
            changed: memories of the clients that took part, by client.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for client, memory in changed.items():
            name = f"client{client}-round{round}.pt"
            self._write(memory, name)
            self._memories[client] = name
        self._write({**server, "round": round, "memories": self._memories}, _LAST)
        for path in self.folder.glob("client*-round*.pt"):
            if path.name not in self._memories.values():
                path.unlink()

    def load(self) -> tuple[dict[str, Any], dict[int, State]] | None:
        """Return what :meth:`save` wrote last, and all memories; ``None`` where there is nothing."""
        path = self.folder / _LAST
        if not path.exists():
            return None
        server = torch.load(path, weights_only=True)
        self._memories = dict(server.pop("memories"))
        memories = {
            client: torch.load(self.folder / name, weights_only=True) for client, name in self._memories.items()
        }
        return server, memories

    def _write(self, what: Mapping[Any, Any], name: str) -> None:
        temporary = self.folder / f".{name}"
        torch.save(dict(what), temporary)
        os.replace(temporary, self.folder / name)
