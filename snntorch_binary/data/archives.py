"""Zip and tar archives, unpacked by hand: regular files only, under names checked here, their bytes written here.

What Python itself extracts from a tar can be led out of its folder by links (CVE-2025-4517), ``filter="data"`` or not.
"""

from __future__ import annotations

import importlib
import io
import re
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, NoReturn

from snntorch_binary.data.errors import CorruptDataError, damage_named

_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
_PACKERS = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ": "lzma"}
_EXTENDED = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, b"X")
_MAX_MEMBERS = 200_000
_CHUNK = 2**20
_DESKTOP = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir"}
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class _Member:
    """What an archive says of one member."""

    name: str
    size: int
    refused: str  # why it cannot be taken, or ""
    is_folder: bool
    open: Callable[[], IO[bytes]]


def suffix(file: Path) -> str:
    """Return the archive suffix of a file name, or "" when it is no archive."""
    return max((suffix for suffix in _SUFFIXES if file.name.lower().endswith(suffix)), key=len, default="")


def is_left_by_a_desktop(parts: Sequence[str]) -> bool:
    """Say whether a file is hidden or what macOS and Windows put beside the files of a user, by its relative path."""
    return any(part.startswith(".") or part.lower() in _DESKTOP for part in parts)


def most_bytes(file: Path) -> int:
    """Return what a packed file may unpack to: 64 MiB and 100 times its own size."""
    return 2**26 + 100 * file.stat().st_size


def names(archive: Path) -> Iterator[str]:
    """Yield the names in an archive, none of them checked, reading no further than needed.

    Raises:
        CorruptDataError: the archive is damaged, or unpacks to more than `most_bytes`.
    """
    for member in _members(archive):
        yield member.name


def extract(archive: Path, folder: Path) -> None:
    """Write the regular files of an archive below an empty folder, but for what a desktop left in it.

    Raises:
        CorruptDataError: the archive is damaged; a member is a link, a device, encrypted or there twice; a name leads
            out of the folder or does so on another system; or there are more members than 200,000 or more bytes than
            `most_bytes`. What was written until then is there.
        OSError: a file cannot be written.
    """

    def refuse(member: _Member, why: str) -> NoReturn:
        raise CorruptDataError(f"The archive {archive} was refused: its member {member.name[:200]!r} {why}.")

    files: set[str] = set()
    folders: dict[str, PurePosixPath] = {}
    left = most_bytes(archive)
    for number, member in enumerate(_members(archive)):
        if number >= _MAX_MEMBERS:
            raise CorruptDataError(f"The archive {archive} was refused: it has more than {_MAX_MEMBERS} members.")
        path = PurePosixPath(member.name)
        if _leads_out(member.name):
            refuse(member, "would land outside of the folder")
        if _is_unportable(path) or not (path.parts or member.is_folder):
            refuse(member, "has a name that not every system can write")
        if is_left_by_a_desktop(path.parts) or (member.is_folder and not member.refused):
            continue
        if member.refused:
            refuse(member, member.refused)
        folded = _fold(path)
        if folded in files or folded in folders:
            refuse(member, "is there twice, in letters of the same or of another case")
        files.add(folded)
        for parent in path.parents[:-1]:
            if _fold(parent) in files or folders.setdefault(_fold(parent), parent) != parent:
                refuse(member, "is in a folder whose name is there twice, in letters of another case or as a file")
        left -= member.size
        if left < 0:
            raise _too_large(archive)
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            for chunk in _content(archive, member):
                file.write(chunk)


def _members(archive: Path) -> Iterator[_Member]:
    read = _zip_members if suffix(archive) == ".zip" else _tar_members
    with damage_named(f"The archive {archive}"):
        yield from read(archive)


def _content(archive: Path, member: _Member) -> Iterator[bytes]:
    """Yield the bytes of a regular file, which must be as many as the archive says."""
    with damage_named(f"The archive {archive}"):
        left = member.size
        with member.open() as opened:
            while chunk := opened.read(_CHUNK):
                left -= len(chunk)
                yield chunk
        if left:
            raise EOFError(f"the member {member.name[:200]!r} has another length than its header says")


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        if (said := _zip_count(archive)) is not None and said != len(members) % 2**16:
            raise EOFError(f"its end speaks of {said} members, but {len(members)} are listed")
        for info in members:
            kind = stat.S_IFMT(info.external_attr >> 16)
            refused = ""
            if info.flag_bits & 1:
                refused = "is encrypted"
            elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                refused = "is a link" if kind == stat.S_IFLNK else "is no regular file"
            yield _Member(
                info.orig_filename,  # `filename` ends at the first NUL
                info.file_size,
                refused,
                info.is_dir(),
                lambda info=info: opened.open(info),  # type: ignore[misc]  # mypy infers no default's type
            )


def _zip_count(archive: Path) -> int | None:
    """Return the number of members modulo 2^16 that the end of a zip file gives, which zipfile does not compare."""
    with archive.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(size - 2**16 - 22, 0))
        tail = file.read()
    end = tail[tail.rfind(b"PK\5\6") :]
    count = int.from_bytes(end[10:12], "little")
    return None if count == 0xFFFF else count  # then the number is in the record of zip64


def _tar_members(archive: Path) -> Iterator[_Member]:
    ended = False

    class Header(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Header:
            nonlocal ended
            ended = buf.count(0) == tarfile.BLOCKSIZE
            header = super().frombuf(buf, encoding, errors)
            if header.type in _EXTENDED and header.size > _CHUNK:
                raise tarfile.ReadError("the header of a member has more than 1 MiB")
            return header

    with _unpacked(archive) as stream, tarfile.open(fileobj=stream, mode="r|", tarinfo=Header) as opened:
        while (member := opened.next()) is not None:
            opened.members.clear()  # type: ignore[attr-defined]  # public, not in typeshed; else it keeps them all
            if member.size < 0:
                raise tarfile.ReadError(f"the member {member.name[:200]!r} has a negative length")
            refused = ""
            if member.issym() or member.islnk():
                refused = "is a link"
            elif member.issparse() or not (member.isdir() or member.isreg()):
                refused = "is no regular file"
            yield _Member(
                member.name,
                member.size,
                refused,
                member.isdir(),
                lambda member=member: opened.extractfile(member),  # type: ignore[misc, arg-type]  # None of folders only
            )
        # tarfile takes a damaged header and a cut between two members for the end.
        assert opened.fileobj is not None
        rest = iter(lambda: opened.fileobj.read(_CHUNK), b"")
        if not ended or any(chunk.count(0) != len(chunk) for chunk in rest):
            raise tarfile.ReadError("a header is damaged, or the end is missing")


def _unpacked(archive: Path) -> IO[bytes]:
    """Return the bytes of a tar, which may be packed whatever its name, for reading in order."""
    with archive.open("rb") as file:
        start = file.read(6)
    packer = next((packer for magic, packer in _PACKERS.items() if start.startswith(magic)), None)
    opened = archive.open("rb") if packer is None else importlib.import_module(packer).open(archive)
    return io.BufferedReader(_Bounded(archive, opened))


class _Bounded(io.RawIOBase):
    """The bytes of a stream, or the sentence that there are too many."""

    def __init__(self, archive: Path, stream: IO[bytes]) -> None:
        self._archive, self._stream, self._left = archive, stream, most_bytes(archive)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's buffer has no len()
        chunk = self._stream.read(len(buffer))
        self._left -= len(chunk)
        if self._left < 0:
            raise _too_large(self._archive)
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        self._stream.close()
        super().close()


def _too_large(archive: Path) -> CorruptDataError:
    return CorruptDataError(
        f"The archive {archive} was refused: it unpacks to more than {most_bytes(archive)} bytes, "
        "which are 64 MiB and 100 times its own size."
    )


def _fold(path: PurePosixPath) -> str:
    """Return what two names have in common that are one file on some system."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def _leads_out(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return name.startswith(("/", "\\")) or any(part.rstrip(". ") == "" and part.startswith("..") for part in parts)


def _is_unportable(path: PurePosixPath) -> bool:
    """Say whether some system reads a name as another one, or cannot write it."""
    whole = str(path)
    return (
        any(letter in whole for letter in "\0\\:")
        or len(whole.encode(errors="replace")) > 1000
        or any(len(part.encode(errors="replace")) > 255 for part in path.parts)
        or any(part[-1] in ". " or _DEVICES.fullmatch(part) for part in path.parts)
    )
