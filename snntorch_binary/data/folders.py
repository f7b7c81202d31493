"""Where the files of a data set are: in the folder a user names, or in archives there, unpacked once.

The user's folder is only read. Everything made from it lives in ``$XDG_CACHE_HOME/snntorch_binary`` (or
``~/.cache/snntorch_binary``), which may be deleted at any time.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path, PurePosixPath

from snntorch_binary._errors import expected

_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2")
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, EOFError, lzma.LZMAError, zlib.error)


class DataNotFoundError(FileNotFoundError):
    """The files of a data set are not where they were looked for; the message says what and where."""


class CorruptDataError(ValueError):
    """A file is truncated or not what its name says; the message names it."""


def cache_dir(*parts: str) -> Path:
    """Return (and make) a folder in the cache.

    Raises:
        OSError: the cache cannot be written to.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base, "snntorch_binary", *parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"The cache folder {folder} cannot be made ({error.strerror}); "
            "set the environment variable XDG_CACHE_HOME to a folder you can write to."
        ) from None
    return folder


def find(data_dir: str | PathLike[str] | None, folder: str, patterns: Sequence[str]) -> list[list[Path]]:
    """Return the copies of a data set, each as the list of folders that hold it together.

    Unpacked files are looked for in `data_dir`/`folder` and in `data_dir` itself; only when there are none,
    archives in these two places are unpacked into the cache. Two archives whose names differ in "train" and
    "test" at the end are two halves of one copy.

    Args:
        data_dir: the folder the user named; None looks into the cache.
        folder: name of the data set's own folder, for example ``"NMNIST"``.
        patterns: glob patterns below that folder; one match shows that the set is there.

    Returns:
        The copies; empty when there is none.

    Raises:
        DataNotFoundError: `data_dir` is not a folder.
        CorruptDataError: an archive is damaged or writes outside of its folder.
    """
    root = cache_dir() if data_dir is None else Path(data_dir)
    if not root.is_dir():
        raise DataNotFoundError(expected("data_dir", "an existing folder", f"'{root}'"))
    places = [root / folder, root]
    unpacked = [place for place in places if any(_homes(place, patterns))]
    if unpacked:
        return [[place] for place in unpacked]
    copies: dict[str, list[Path]] = {}
    for archive in (file for place in places if place.is_dir() for file in sorted(place.iterdir())):
        if archive.is_file() and _suffix(archive) and _holds(archive, patterns):
            tree = unpack(archive)
            for prefix in ("", "*/", "*/*/"):
                for home in sorted(set(_homes(tree, patterns, prefix))):
                    name = archive.name.removesuffix(_suffix(archive))
                    whole = name.removesuffix("train").removesuffix("test")
                    copies.setdefault(f"{archive.parent / whole} {home.relative_to(tree)}", []).append(home)
    return list(copies.values())


def not_found(title: str, data_dir: str | PathLike[str] | None, files: str) -> str:
    """Return the sentence that a data set is not there, with the `files` that were looked for."""
    where = data_dir if data_dir is not None else f"the cache folder {cache_dir()} (no `data_dir` was given)"
    return f"{title} was not found in {where}: looked for {files} and archives (zip, tar) of these."


def unpack(archive: Path) -> Path:
    """Return the folder in the cache that holds the content of `archive`, unpacking it at the first call.

    The folder is named after the path, size and time of the archive and appears in one step, complete.

    Raises:
        CorruptDataError: the archive is damaged or has a member that would land outside of the folder.
    """
    suffix = _suffix(archive)
    target = cache_dir("archives") / f"{archive.name.removesuffix(suffix)}-{fingerprint([archive])}"
    if target.is_dir():
        return target
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        tree = Path(scratch, "tree")
        tree.mkdir()
        try:
            _extract(archive, tree)
        except (tarfile.FilterError, _EscapeError) as error:
            raise CorruptDataError(f"The archive {archive} was refused: {error}.") from None
        except _DAMAGED as error:
            raise _damaged(archive, error) from None
        try:
            os.replace(tree, target)
        except OSError:
            if not target.is_dir():  # else another process was first, with the same content
                raise
    return target


def fingerprint(files: Sequence[Path], *parameters: object) -> str:
    """Return a short name for what is made of `files` with `parameters`: path, size and time decide."""
    digest = hashlib.sha256(repr(parameters).encode())
    for file in files:
        stat = file.stat()
        digest.update(f"\n{file.absolute()} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:20]


class _EscapeError(Exception):
    """A zip member would land outside of the folder."""


def _suffix(file: Path) -> str:
    """Return the archive suffix of a file name, or "" when it is no archive."""
    return max((suffix for suffix in _SUFFIXES if file.name.lower().endswith(suffix)), key=len, default="")


def _homes(root: Path, patterns: Sequence[str], prefix: str = "") -> Iterator[Path]:
    """Yield the folders below `root` (as `prefix` says) in which a pattern matches."""
    for pattern in patterns:
        depth = pattern.count("/")
        yield from (match.parents[depth] for match in root.glob(prefix + pattern))


def _holds(archive: Path, patterns: Sequence[str]) -> bool:
    """Say whether a member of `archive` (or its folder) matches, reading no further than needed."""
    try:
        for member in _members(archive):
            path = PurePosixPath(member)
            if any(path.match(pattern) or path.parent.match(pattern) for pattern in patterns):
                return True
    except _DAMAGED as error:
        raise _damaged(archive, error) from None
    return False


def _members(archive: Path) -> Iterator[str]:
    if _suffix(archive) == ".zip":
        with zipfile.ZipFile(archive) as opened:
            yield from opened.namelist()
    else:
        with tarfile.open(archive) as opened_tar:
            for member in opened_tar:
                yield member.name


def _extract(archive: Path, tree: Path) -> None:
    if _suffix(archive) != ".zip":
        with tarfile.open(archive) as opened_tar:
            opened_tar.extractall(tree, filter="data")
        return
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            # zipfile would drop such parts in silence; a member that has them is not to be trusted at all.
            path = PurePosixPath(name.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts or ":" in name:
                raise _EscapeError(f"its member '{name}' would land outside of the folder")
        opened.extractall(tree)


def _damaged(archive: Path, error: Exception) -> CorruptDataError:
    reason = str(error) or type(error).__name__
    return CorruptDataError(f"The archive {archive} is truncated or damaged ({reason}).")
