"""A folder of results: what all that is in it depends on is noted there, and other settings are refused."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snntorch_binary._errors import in_one_line
from snntorch_binary._files import OutputError, remove_parts, settings_in, write_json

FORMAT = 2
"""Format of folders of results."""
SETTINGS = "settings.json"
_NAMED = ("rules", "methods")
"""What there can be more of in a folder later."""


def check_output(out: Path, settings: Mapping[str, Any]) -> None:
    """Say, before anything is trained, why results could not be written or mixed with those already there.

    Args:
        out: the folder.
        settings: what all of its results depend on, as plain values; what is below ``"rules"`` or ``"methods"`` is
            compared for those that are there in both.

    Raises:
        OutputError: the folder cannot be written to, or holds runs made with other settings.
    """
    nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        raise OutputError(f"The results cannot be written to {out}: {nearest} is no folder.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise OutputError(f"The results cannot be written to {out}: no permission to write to {nearest}.")
    path = out / SETTINGS
    if not path.exists():
        return
    before = settings_in(path)
    if not (out / "runs").is_dir():
        return
    way_out = "give another --out or remove the folder"
    if before.pop("format", None) != FORMAT:
        raise OutputError(f"{out} holds runs of another version of this package; {way_out}.")
    was, now = _by_name(_named_in(settings, before)), _by_name(_named_in(before, settings))
    changed = sorted(key for key in was.keys() | now.keys() if was.get(key) != now.get(key))
    if changed:
        others = in_one_line(", ".join(changed), 200)
        raise OutputError(f"{out} holds runs with other settings ({others}); {way_out}.")


def _named_in(others: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without what they say of rules or methods that others do not have."""
    found = dict(settings)
    for key in _NAMED:
        there, named = others.get(key), settings.get(key)
        if isinstance(there, Mapping) and isinstance(named, Mapping):
            found[key] = {name: of for name, of in named.items() if name in there}
    return found


def _by_name(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return values by names as ``data.classes``."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        named = f"{prefix}{name}"
        found |= _by_name(value, f"{named}.") if isinstance(value, Mapping) else {named: value}
    return found


def write_settings(out: Path, settings: Mapping[str, Any]) -> None:
    """Make the folder of results, and note in it what :func:`check_output` will compare.

    Raises:
        OutputError: it cannot be written.
    """
    path = out / SETTINGS
    before = settings_in(path) if path.exists() and (out / "runs").is_dir() else {}
    joined = _joined(before, settings)
    try:
        out.mkdir(parents=True, exist_ok=True)
        remove_parts(out)
        write_json(path, {"format": FORMAT, **settings, **joined})
    except OSError as error:
        raise OutputError(f"The results cannot be written to {out}: {error.strerror}.") from None


def _joined(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rules or methods of both: there may be some at one time, and others at another."""
    found = {}
    for key in _NAMED:
        was, named = before.get(key), now.get(key)
        if isinstance(named, Mapping):
            found[key] = {**(was if isinstance(was, Mapping) else {}), **named}
    return found
