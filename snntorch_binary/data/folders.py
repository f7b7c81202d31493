"""Where the files of a data set are: in the folder a user names, or in archives there, unpacked once.

The user's folder is only read. Everything made from it lives in ``$XDG_CACHE_HOME/snntorch_binary`` (or
``~/.cache/snntorch_binary``), which may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from snntorch_binary._errors import expected
from snntorch_binary.data.archives import extract, is_left_by_a_desktop, names, suffix
from snntorch_binary.data.errors import CorruptDataError, DataNotFoundError

_WHOLE = ".whole.json"  # hidden, so that no reader takes it for data
log = logging.getLogger("snntorch_binary.data")


class _Home(NamedTuple):
    """A folder that holds a data set or half of it."""

    folder: Path
    source: Path  # the archive it was unpacked from, or `folder`
    name: str  # the same for two halves that belong together


def cache_dir(*parts: str) -> Path:
    """Return (and make) a folder in the cache.

    Raises:
        OSError: there is no home for the cache, or it cannot be written to.
    """
    remedy = "set the environment variable XDG_CACHE_HOME to a folder you can write to."
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        raise OSError(f"This user has no home folder, in which the cache would be; {remedy}") from None
    folder = Path(base, "snntorch_binary", *parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"The cache folder {folder} cannot be made ({error.strerror}); {remedy}") from None
    return folder


def glob(folder: Path, pattern: str) -> list[Path]:
    """Return what matches a pattern below `folder` in letters of any case, sorted.

    Hidden files and what macOS and Windows put beside the files of a user are passed over.
    """
    any_case = re.sub("[a-zA-Z]", lambda letter: f"[{letter[0].lower()}{letter[0].upper()}]", pattern)
    depth = len(folder.parts)
    return sorted(found for found in folder.glob(any_case) if not is_left_by_a_desktop(found.parts[depth:]))


def find(data_dir: str | PathLike[str] | None, folder: str, patterns: Sequence[str]) -> list[list[Path]]:
    """Return the copies of a data set, each as the list of folders that hold it together.

    Unpacked files are looked for in `data_dir`/`folder` and in `data_dir` itself, in letters of any case and with or
    without dashes; only when there are none, archives in these places are unpacked into the cache. Where patterns
    speak of "train" and "test", a folder or archive may be one half of a copy: of archives those are halves of one copy
    whose names are the same but for these words, and so are the only two halves that are there.

    Args:
        data_dir: the folder the user named; None looks into the cache.
        folder: name of the data set's own folder, for example ``"NMNIST"``.
        patterns: glob patterns below that folder; one match shows that the set is there.

    Returns:
        The copies; empty when there is none.

    Raises:
        DataNotFoundError: `data_dir` is not a folder.
        CorruptDataError: an archive is damaged or refused, or which halves belong together cannot be told.
    """
    root = cache_dir() if data_dir is None else Path(data_dir)
    if not root.is_dir():
        raise DataNotFoundError(expected("data_dir", "an existing folder", f"'{root}'"))
    own = [place for place in sorted(root.iterdir()) if _plain(place.name) == _plain(folder) and place.is_dir()]
    places = [*own, root]
    halves = {word: [pattern for pattern in patterns if word in pattern.lower()] for word in ("train", "test")}
    homes = [_Home(place, place, str(place)) for place in places if any(_homes(place, patterns))]
    if not all(halves.values()):
        return [[home.folder] for home in homes or _packed_homes(places, patterns)]

    def held(home: _Home) -> frozenset[str]:
        return frozenset(word for word, of_half in halves.items() if any(_homes(home.folder, of_half)))

    there = frozenset().union(*map(held, homes))
    if not homes or len(there) == 1:
        # Nothing, or one half only, is unpacked; the other one may be packed.
        packed = _packed_homes(places, patterns)
        homes += [home for home in packed if not homes or held(home) == halves.keys() - there]
    parts = {home: held(home) for home in homes}
    train, test = ([home for home in homes if parts[home] == {word}] for word in halves)
    whole = [[home.folder] for home in homes if len(parts[home]) != 1]
    return whole + _together(train, test)


def not_found(title: str, data_dir: str | PathLike[str] | None, files: str) -> str:
    """Return the sentence that a data set is not there, with the `files` that were looked for."""
    return f"{title} was not found in {searched(data_dir)}: looked for {files} and archives (zip, tar) of these."


def searched(data_dir: str | PathLike[str] | None) -> str:
    """Return where a data set is looked for, in words."""
    return str(data_dir) if data_dir is not None else f"the cache folder {cache_dir()} (no `data_dir` was given)"


def unpack(archive: Path) -> Path:
    """Return the folder in the cache that holds the files of `archive`, unpacking it at the first call.

    The folder is named after the path, size and time of the archive and appears in one step, complete. One from which
    files have gone since is made again.

    Raises:
        CorruptDataError: the archive is damaged or refused, see :func:`snntorch_binary.data.archives.extract`.
        OSError: the cache cannot be written to.
    """
    name = archive.name[: -len(suffix(archive))]
    target = cache_dir("archives") / f"{name}-{fingerprint([archive], 'regular files')}"
    if _is_whole(target):
        return target
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        tree = Path(scratch, "tree")
        tree.mkdir()
        extract(archive, tree)
        (tree / _WHOLE).write_text(json.dumps(_inventory(tree)))
        if _is_whole(target):  # another process was first
            return target
        if target.exists():
            log.warning("%s is not what was unpacked from %s: it is unpacked again.", target, archive)
            os.replace(target, Path(scratch, "old"))
        try:
            os.replace(tree, target)
        except OSError:
            if not _is_whole(target):
                raise
    return target


def fingerprint(files: Sequence[Path], *parameters: object) -> str:
    """Return a short name for what is made of `files` with `parameters`: path, size and time decide."""
    digest = hashlib.sha256(repr(parameters).encode())
    for file in files:
        stat = file.stat()
        digest.update(f"\n{file.absolute()} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:20]


def _inventory(tree: Path) -> list[int]:
    """Return the number and the bytes of the files in a folder, but for the hidden ones."""
    sizes = [
        os.path.getsize(os.path.join(folder, name))
        for folder, _, files in os.walk(tree)
        for name in files
        if not name.startswith(".")
    ]
    return [len(sizes), sum(sizes)]


def _is_whole(tree: Path) -> bool:
    try:
        return bool(json.loads((tree / _WHOLE).read_text()) == _inventory(tree))
    except (OSError, ValueError):
        return False


def _plain(name: str) -> str:
    """Return what "N-MNIST", "n_mnist" and "NMNIST" have in common."""
    return re.sub(r"[-_ ]", "", name).lower()


def _homes(root: Path, patterns: Sequence[str], prefix: str = "") -> Iterator[Path]:
    """Yield the folders below `root` (as `prefix` says) in which a pattern matches."""
    for pattern in patterns:
        depth = pattern.count("/")
        yield from (match.parents[depth] for match in glob(root, prefix + pattern))


def _packed_homes(places: Sequence[Path], patterns: Sequence[str]) -> list[_Home]:
    """Return the folders of the data set in the archives of some folders, which are unpacked into the cache."""
    found = []
    for archive in (file for place in places for file in glob(place, "*")):
        if suffix(archive) and archive.is_file() and _holds(archive, patterns):
            tree = unpack(archive)
            stem = archive.name[: -len(suffix(archive))]
            for home in sorted({home for prefix in ("", "*/", "*/*/") for home in _homes(tree, patterns, prefix)}):
                words = f"{stem} {home.relative_to(tree)}"
                found.append(_Home(home, archive, f"{archive.parent} {re.sub('train|test', '', words.lower())}"))
    return found


def _holds(archive: Path, patterns: Sequence[str]) -> bool:
    """Say whether a member of `archive` (or its folder) matches, reading no further than needed."""
    for name in names(archive):
        path = PurePosixPath(name.lower().replace("\\", "/"))
        if not is_left_by_a_desktop(path.parts) and any(
            path.match(pattern.lower()) or path.parent.match(pattern.lower()) for pattern in patterns
        ):
            return True
    return False


def _together(train: Sequence[_Home], test: Sequence[_Home]) -> list[list[Path]]:
    """Return the copies that training and test halves make, of which some may be without their other half."""
    for half in (train, test):
        for index, home in enumerate(half):
            if twin := next((other for other in half[:index] if other.name == home.name), None):
                raise CorruptDataError(f"{twin.source} and {home.source} are the same half of one data set: keep one.")
    tests = {home.name: home for home in test}
    copies = [[home, tests.pop(home.name)] for home in train if home.name in tests]
    rest = [home for home in train if all(home not in pair for pair in copies)], list(tests.values())
    if len(rest[0]) == len(rest[1]) == 1:
        copies.append([*rest[0], *rest[1]])
    elif all(rest):
        trains, tests_left = (", ".join(str(home.source) for home in half) for half in rest)
        raise CorruptDataError(
            f"Which test part belongs to which training part cannot be told: {trains} hold training parts and "
            f"{tests_left} test parts; name a folder with one of each."
        )
    else:
        copies += [[home] for half in rest for home in half]
    return [[home.folder for home in copy] for copy in copies]
