"""Where results come from: the command and the versions of everything that made them, in the folder of the results."""

from __future__ import annotations

import csv
import io
import platform
import shlex
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from snntorch_binary import __version__
from snntorch_binary._files import read_json, write_text

_PACKAGES = ("torch", "snntorch", "lightning", "torchmetrics", "tonic", "numba", "flwr", "ray")


def provenance(arguments: Sequence[str]) -> dict[str, str]:
    """Return the command line and the version of Python and of every package that plays a part."""
    found = {"command": shlex.join(["snntorch-binary", *arguments]), "snntorch_binary": __version__}
    found["python"] = platform.python_version()
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = ""
    return found


def write_csv(out: Path, arguments: Sequence[str]) -> None:
    """Write results.csv: the rows of results.json, each with its provenance."""
    source = out / "results.json"
    if not source.exists():
        return
    rows: list[dict[str, Any]] = read_json(source)
    made_by = provenance(arguments)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [*rows[0], *made_by], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, **made_by} for row in rows)
    write_text(out / "results.csv", buffer.getvalue())
