"""Files that are written whole or not at all, and files of strangers, which are read as data and within bounds."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import snntorch_binary
from snntorch_binary import _json
from snntorch_binary._json import MAX_DEPTH

MAX_JSON_BYTES = 2**26


class DamagedFileError(ValueError):
    """A file is not what it should be; the message says in one sentence which file, and what is wrong."""


class OutputError(RuntimeError):
    """The results cannot be written where they should go."""


# ---- written whole ---------------------------------------------------------------------------------------------------


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a file to write that takes the place of another at the end, on disk, or leaves it as it was.

    Example:
        >>> with replacing(Path("answers.csv")) as temporary:  # doctest: +SKIP
        ...     temporary.write_text("file,class")
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    remove_parts(path.parent, path.name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all, in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def tensor_bytes(contents: Mapping[str, Any]) -> bytes:
    """Return what ``torch.save`` makes of tensors and plain values."""
    # In memory: torch says of a full disk what no user understands.
    buffer = io.BytesIO()
    torch.save(dict(contents), buffer)
    return buffer.getvalue()


def remove_parts(folder: Path, name: str | None = None) -> None:
    """Remove what a killed process was writing to a folder, or of one file; what one is writing now is left."""
    for path in folder.glob(f".{'*' if name is None else escape(name)}.*.part"):
        if not _is_running(path.name.split(".")[-2]):
            path.unlink(missing_ok=True)


def _is_running(process: str) -> bool:
    if os.name != "posix" or not process.isdecimal() or int(process) == os.getpid():
        return False
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a folder is no file
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


# ---- read as data ----------------------------------------------------------------------------------------------------


def read_bytes(path: Path) -> bytes:
    """Return the content of a regular file; a pipe would be waited for.

    Raises:
        DamagedFileError: it is something else.
    """
    if not path.is_file():
        raise DamagedFileError(f"{path} is no file.")
    return path.read_bytes()


def read_json(path: Path) -> Any:
    """Return the plain values of a JSON file of at most 64 MiB, nested at most 64 deep.

    Raises:
        DamagedFileError: it is no such file.
    """
    if path.is_file() and path.stat().st_size > MAX_JSON_BYTES:
        raise DamagedFileError(f"{path} is damaged: it is larger than {MAX_JSON_BYTES:,} bytes.")
    return parse_json(read_bytes(path), path)


def parse_json(content: str | bytes, path: Path) -> Any:
    """Return the plain values of a JSON text that was read from a file; scores may be NaN.

    Raises:
        DamagedFileError: it is none, or nested more than 64 deep.
    """
    try:
        return _json.parse_json(content, finite=False)
    except ValueError:
        raise DamagedFileError(f"{path} is damaged: it is no JSON file.") from None


def read_tensors(path: Path) -> dict[str, Any]:
    """Return the tensors and plain values by name that ``torch.save`` wrote; nothing in the file is run.

    Costs at most a few times the file's size, whatever is in it.

    Raises:
        DamagedFileError: it is no such file, a byte of it has changed, or it asks for more memory than it has.
        OSError: it cannot be read.
    """
    return parse_tensors(read_bytes(path), path)


def parse_tensors(content: bytes, path: Path) -> dict[str, Any]:
    """Return the tensors and plain values of a file's content; see :func:`read_tensors`.

    Raises:
        DamagedFileError: see there.
    """
    _check_archive(content, path)
    try:
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception:  # whatever a file makes of torch's reader
        raise DamagedFileError(f"{path} cannot be read as tensors and plain values.") from None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise DamagedFileError(f"{path} is damaged: it has no values by name.")
    _check_values(found, path)
    return dict(found)


def _check_archive(content: bytes, path: Path) -> None:
    """Look at the checksums in an archive of torch's, which torch does not, and that nothing in it unfolds."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
            intact = stored and sum(member.file_size for member in members) <= len(content)
            intact = intact and archive.testzip() is None
    except Exception:  # whatever a file makes of the reader of archives
        raise DamagedFileError(f"{path} cannot be read as tensors and plain values: it is no archive.") from None
    if not intact:
        raise DamagedFileError(f"{path} is damaged: its content does not have its checksum.")


def _check_values(value: Any, path: Path) -> None:
    """Refuse what is nested without end, and tensors that claim more numbers than the file has."""
    seen: set[int] = set()  # a value may be in many places
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for each in level:
            if isinstance(each, Tensor):
                _check_tensor(each, path)
            elif isinstance(each, dict | list | tuple | set) and id(each) not in seen:
                seen.add(id(each))
                below += each.values() if isinstance(each, dict) else each
        if not below:
            return
        level = below
    raise DamagedFileError(f"{path} is damaged: its values are nested more than {MAX_DEPTH} deep.")


def _check_tensor(tensor: Tensor, path: Path) -> None:
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
    if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise DamagedFileError(f"{path} is damaged: it has a tensor without its numbers.")


# ---- the files of one run --------------------------------------------------------------------------------------------


def digest(value: Any) -> str:
    """Return a short name of plain values, such as settings: equal ones have equal names."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


class RunFolder:
    """The files of one run, and a record beside them of whose they are: ``record.json`` with their checksums.

    A file is taken for a result only if the record is of this run and has its checksum. The record names a file before
    that takes its place, beside the one that was there: at whatever moment a process is killed, one of them is there.

    Args:
        path: the folder.
        run: what tells this run from all others, as plain values: rule, seed, :func:`digest` of the settings.
        say: is told in a sentence of each file that is damaged, or of another run.
    """

    RECORD = "record.json"
    FORMAT = 1

    def __init__(self, path: Path, run: Mapping[str, Any], say: Callable[[str], None] = lambda _: None) -> None:
        self.path = path
        self.run = json.loads(json.dumps(run))
        self._say = say
        self._checksums = self._recorded()

    def __contains__(self, name: str) -> bool:
        """Whether a file is there, of this run and undamaged."""
        return self.read(name) is not None

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, or ``None`` where it is not there, is damaged, or is of another run."""
        path = self.path / name
        if not path.exists():
            return None
        try:
            content = read_bytes(path)
        except (DamagedFileError, OSError):
            content = b""
        checksum = hashlib.sha256(content).hexdigest()
        if checksum not in self._checksums.get(name, ()):
            self._say(f"{path} is damaged or of another run: it is made anew.")
            return None
        self._checksums[name] = [checksum]
        return content

    def read_tensors(self, name: str) -> dict[str, Any] | None:
        """Return the tensors and plain values of a file, or ``None``; see :meth:`read`."""
        content = self.read(name)
        if content is None:
            return None
        try:
            return parse_tensors(content, self.path / name)
        except DamagedFileError as error:
            self._say(f"{str(error).removesuffix('.')}: it is made anew.")
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write a file and its checksum.

        Raises:
            OSError: it cannot be written; what was there is as it was.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        remove_parts(self.path)
        checksum = hashlib.sha256(content).hexdigest()
        before = [other for other in self._checksums.get(name, ()) if other != checksum]
        checksums = {**self._checksums, name: [checksum, *before]}
        about = {"format": self.FORMAT, "version": snntorch_binary.__version__, "run": self.run}
        write_json(self.path / self.RECORD, {**about, "sha256": checksums})
        write_bytes(self.path / name, content)
        self._checksums[name] = [checksum]

    def write_tensors(self, name: str, contents: Mapping[str, Any]) -> None:
        """Write tensors and plain values, and their checksum; see :meth:`write`."""
        self.write(name, tensor_bytes(contents))

    def _recorded(self) -> dict[str, list[str]]:
        path = self.path / self.RECORD
        if not path.exists():
            return {}
        try:
            record = read_json(path)
        except (DamagedFileError, OSError):
            record = None
        if not isinstance(record, dict) or record.get("format") != self.FORMAT:
            self._say(f"{path} is damaged or of another version: the files beside it are made anew.")
            return {}
        if record.get("run") != self.run:
            self._say(f"{path} is of another run: the files beside it are made anew.")
            return {}
        found = record.get("sha256")
        found = found if isinstance(found, dict) else {}
        return {name: [str(each) for each in of] for name, of in found.items() if isinstance(of, list)}


def settings_in(path: Path) -> dict[str, Any]:
    """Return what a file in a folder of results says of it.

    Raises:
        OutputError: it is damaged.
    """
    try:
        values = read_json(path)
    except DamagedFileError:
        values = None
    if not isinstance(values, dict):
        raise OutputError(f"{path} is damaged; give another --out or remove the folder.")
    return values
