"""How a run and its method are kept beside its results, so that nothing is read as those of another."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from snntorch_binary._files import DamagedFileError, RunFolder, digest, read_json, write_json
from snntorch_binary.experiments.runs import OutputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_NAME = "method.json"
_DONE = "predictions.pt"
log = logging.getLogger("snntorch_binary.federated")


class FederatedSettings(Protocol):
    """Settings of a federation of either kind."""

    @property
    def methods(self) -> Mapping[str, DataclassInstance]:
        """What is compared, by name."""
        ...

    def fingerprint(self) -> dict[str, Any]:
        """Return all that the result of one run depends on, but its method and seed."""
        ...


def run_folder(folder: Path, settings: FederatedSettings, method: str, seed: int) -> RunFolder:
    """Return the files of one run of a federation; what is damaged or of another run is named in the log."""
    run = {
        "command": "federate",
        "method": method,
        "seed": seed,
        "settings": digest([settings.fingerprint(), plain(settings.methods[method])]),
    }
    return RunFolder(folder, run, log.warning)


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


def check_method(folder: Path, method: DataclassInstance) -> None:
    """Refuse to go on with a method that is described otherwise than when its folder was made.

    Raises:
        OutputError: it is, or what says so is damaged.
    """
    path = folder / _NAME
    if not path.exists():
        return
    try:
        before = read_json(path)
    except DamagedFileError:
        raise OutputError(f"{path} is damaged; give another --out or remove the folder.") from None
    if before != plain(method):
        raise OutputError(f"{folder} holds another method of this name; give another --out or remove the folder.")


def keep_method(folder: Path, method: DataclassInstance) -> None:
    """Write a method down in the folder of its run, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / _NAME, plain(method))


def plain(method: DataclassInstance) -> dict[str, Any]:
    """Return a method as plain values."""
    return dict(json.loads(json.dumps(asdict(method))))


Run = TypeVar("Run", bound="DataclassInstance")


def finished(kind: type[Run], files: RunFolder, **known: Any) -> Run | None:
    """Return a finished run that is in its folder.

    Args:
        kind: class of the run.
        files: its folder.
        known: what the folder does not say.

    Returns:
        ``None`` where there is none, or where it is damaged or another's, which is named in the log.
    """
    done = files.read_tensors(_DONE)
    if done is None:
        return None
    if done.keys() | known.keys() != {field.name for field in fields(kind)}:
        log.warning("%s is of another version: it is made anew.", files.path / _DONE)
        return None
    return kind(**known, **done)


def keep_finished(files: RunFolder, done: Mapping[str, Any]) -> None:
    """Write what :func:`finished` reads."""
    files.write_tensors(_DONE, done)
