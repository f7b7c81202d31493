"""The folder that is written: whole or not at all; files of others in it stay."""

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
        folder: the other; it is made, or is empty, or was written so before. What somebody put into it stays in it.
        name: of the network.

    Raises:
        ValueError: the folder is a file, holds nothing but other files, or one by a name that is exported, or there is
            none that it could be in.
    """
    parent = folder.absolute().parent
    if not parent.is_dir():
        raise ValueError(expected("folder", "in a folder that exists", repr(str(folder))))
    if folder.exists() and not folder.is_dir():
        raise ValueError(expected("folder", "a folder", f"the file {str(folder)!r}"))
    listed, there = _exported_into(folder), _files_in(folder)
    if there and not listed:
        others = f"{str(folder)!r}, which holds other files, such as {there[0]!r}"
        raise ValueError(expected("folder", "empty or one that was exported before", others))
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=parent))
    try:
        os.chmod(temporary, 0o755)
        yield temporary
        written = "".join(f"{file}\n" for file in (*_files_in(temporary), _MARK_FILE))
        about = f"{MARK} The network is called {name}. These files are replaced when it is exported again:\n"
        (temporary / _MARK_FILE).write_text(about + written, encoding="utf8")
        _carry_over(folder, temporary, [file for file in there if file not in listed])
        before = parent / f"{temporary.name}.old"
        if folder.exists():
            os.replace(folder, before)
        os.replace(temporary, folder)
        shutil.rmtree(before, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _files_in(folder: Path) -> list[str]:
    """Return the files of a folder, links too, by their paths in it."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def _exported_into(folder: Path) -> set[str]:
    """Return the files that were exported into a folder."""
    mark = folder / _MARK_FILE
    text = mark.read_text(encoding="utf8", errors="replace") if mark.is_file() else ""
    return set(text.splitlines()[1:]) if text.startswith(MARK) else set()


def _carry_over(folder: Path, to: Path, files: list[str]) -> None:
    """Copy what somebody has put among exported files, such as what a compiler made.

    Raises:
        ValueError: a file of that name is exported now.
    """
    for file in files:
        if (to / file).exists():
            what = "a folder without files of your own by names that are exported"
            raise ValueError(expected("folder", what, f"{str(folder)!r} with {file!r}"))
        (to / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / file, to / file, follow_symlinks=False)


def write_runtime(folder: Path) -> None:
    """Write the runtime that all networks share."""
    runtime = files(__package__) / "runtime"
    for name in ("snnb.h", "snnb.c"):
        (folder / name).write_bytes((runtime / name).read_bytes())
