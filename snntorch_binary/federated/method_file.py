"""How the method of a run is kept beside its results, so that nothing is read as those of another."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snntorch_binary.lightning.settings import OutputError, write_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_NAME = "method.json"


def check_method(folder: Path, method: DataclassInstance) -> None:
    """Refuse to go on with a method that is described otherwise than when its folder was made.

    Raises:
        OutputError: it is, or what says so is damaged.
    """
    path = folder / _NAME
    if not path.exists():
        return
    try:
        before = json.loads(path.read_text())
    except ValueError:
        raise OutputError(f"{path} is damaged; give another --out or remove the folder.") from None
    if before != _plain(method):
        raise OutputError(f"{folder} holds another method of this name; give another --out or remove the folder.")


def keep_method(folder: Path, method: DataclassInstance) -> None:
    """Write a method down in the folder of its run, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / _NAME, json.dumps(_plain(method), indent=2) + "\n")


def _plain(method: DataclassInstance) -> dict[str, Any]:
    return dict(json.loads(json.dumps(asdict(method))))
