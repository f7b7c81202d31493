"""The folder that is written: whole or not at all, and never over the files of others."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from snntorch_binary._errors import expected

MARK = "Written by snntorch_binary."
_MARK_FILE = "README.txt"


@contextmanager
def replacing_folder(folder: Path, name: str) -> Iterator[Path]:
    """Give a folder to write to that takes the place of another at the end.

    Args:
        folder: the other; it is made, or is empty, or was written so before.
        name: of the network.

    Raises:
        ValueError: the folder is a file, holds other files, or there is none that it could be in.
    """
    parent = folder.absolute().parent
    if not parent.is_dir():
        raise ValueError(expected("folder", "in a folder that exists", repr(str(folder))))
    if folder.exists() and not folder.is_dir():
        raise ValueError(expected("folder", "a folder", f"the file {str(folder)!r}"))
    if folder.is_dir() and any(folder.iterdir()) and not _is_ours(folder):
        raise ValueError(
            expected("folder", "empty or one that was exported before", f"{str(folder)!r}, which holds other files")
        )
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=parent))
    try:
        os.chmod(temporary, 0o755)
        (temporary / _MARK_FILE).write_text(f"{MARK} The network is called {name}; see {name}.h.\n")
        yield temporary
        before = parent / f"{temporary.name}.old"
        if folder.exists():
            os.replace(folder, before)
        os.replace(temporary, folder)
        shutil.rmtree(before, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    mark = folder / _MARK_FILE
    if not mark.is_file():
        return False
    with mark.open("rb") as file:
        return file.read(len(MARK)) == MARK.encode()


def write_runtime(folder: Path) -> None:
    """Write the runtime that all networks share."""
    runtime = files(__package__) / "runtime"
    for name in ("snnb.h", "snnb.c"):
        (folder / name).write_bytes((runtime / name).read_bytes())
