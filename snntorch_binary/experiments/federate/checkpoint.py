"""What is on disk after each round: a killed federation goes on from there, bit for bit."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snntorch_binary._files import (
    DamagedFileError,
    OutputError,
    RunFolder,
    parse_tensors,
    read_bytes,
    read_json,
    tensor_bytes,
    write_bytes,
)
from snntorch_binary.experiments.runs import LAST
from snntorch_binary.federated.averaging import State

_MEMORY = re.compile(r"client\d+-round\d+\.pt")
log = logging.getLogger("snntorch_binary.federated")


class RoundCheckpoint:
    """The server's state and every client's memory in a folder, tensors and plain values only.

    A client's memory is written when it has changed, to a file that names the round; what the server's file does not
    name is of a round that was not finished, or old, and is removed. The server's file takes its place whole, and has
    the checksum of each file that it names.

    Args:
        files: the files of the run, or a folder of one whose files are told from no other run's.
    """

    def __init__(self, files: RunFolder | Path) -> None:
        self.files = files if isinstance(files, RunFolder) else RunFolder(files, {}, log.warning)
        self.folder = self.files.path
        self._memories: dict[int, tuple[str, str]] = {}  # file and checksum, by client

    def save(self, server: Mapping[str, Any], round: int, changed: Mapping[int, State]) -> None:
        """Write the state after a round.

        Args:
            server: all that the server needs.
            round: number of the round.
            changed: memories of the clients that took part, by client.

        Raises:
            OSError: it cannot be written; what was there is as it was.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        memories = dict(self._memories)
        for client, memory in changed.items():
            name, content = f"client{client}-round{round}.pt", tensor_bytes(memory)
            write_bytes(self.folder / name, content)
            memories[client] = name, hashlib.sha256(content).hexdigest()
        self.files.write_tensors(LAST, {**server, "round": round, "memories": memories})
        self._memories = memories
        kept = {name for name, _ in memories.values()}
        for path in self.folder.glob("client*-round*.pt"):
            if path.name not in kept:
                path.unlink()

    def load(self) -> tuple[dict[str, Any], dict[int, State]] | None:
        """Return what :meth:`save` wrote last, and all memories.

        ``None`` where there is nothing, or where a file is damaged or of another run, which a line of the log names.
        """
        server = self.files.read_tensors(LAST)
        if server is None:
            return None
        named = server.pop("memories", None)
        try:
            if not isinstance(named, dict):
                raise DamagedFileError(f"{self.folder / LAST} is of another version.")
            memories = {client: self._memory(*of_client) for client, of_client in named.items()}
        except DamagedFileError as error:
            log.warning("%s: the run begins anew.", str(error).rstrip("."))
            return None
        self._memories = named
        return server, memories

    def _memory(self, name: str, checksum: str) -> State:
        path = self.folder / name
        if not _MEMORY.fullmatch(name):  # a file chooses no path
            raise DamagedFileError(f"{self.folder / LAST} names a file that is no client's.")
        content = read_bytes(path)
        if hashlib.sha256(content).hexdigest() != checksum:
            raise DamagedFileError(f"{path} is damaged or of another run.")
        return parse_tensors(content, path)


def require_own(files: RunFolder) -> None:
    """Refuse a folder that holds the files of another run.

    Raises:
        OutputError: it does, or what says so is damaged.
    """
    path = files.path / RunFolder.RECORD
    if not path.exists():
        return
    try:
        record = read_json(path)
    except DamagedFileError as error:
        raise OutputError(f"{str(error).rstrip('.')}; give another folder or remove it.") from None
    if not isinstance(record, dict) or record.get("run") != files.run:
        raise OutputError(f"{files.path} holds the files of another run; give another folder or remove it.")
