"""An HDF5 file as plain values, read in a process of its own whose time and memory are bounded.

One changed byte of a file can send the HDF5 library round a circle for ever, or end its process. Nothing inside a
process can stop that, so the file is opened in another: it has a few seconds, and the memory that the file bears out.
What comes back are numbers and words. This costs a quarter of a second.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from snntorch_binary._errors import require
from snntorch_binary.export.errors import NIRFileError

_CHILD = Path(__file__).with_name("hdf5_child.py")
_SECONDS = 5  # of the processor, and one more for every 10 MB
_WALL = 12.0  # seconds by the clock for each of the processor's: the system may be busy


def read_hdf5(path: str) -> dict[str, Any]:
    """Return the groups of an HDF5 file as dicts, its data sets as numpy arrays, and its strings as strings.

    Raises:
        NIRFileError: the file is no HDF5 file, is damaged, or asks for more than it can hold.
        OSError: the file cannot be opened.
        MissingPackageError: h5py or safetensors is not installed.
    """
    require("h5py", "export")
    safetensors = require("safetensors.numpy", "export")
    with open(path, "rb"):  # what is wrong with the path is said as Python says it
        size = os.path.getsize(path)
    seconds = _SECONDS + size // 10_000_000
    answer = _answer_of_child(path, seconds)
    if answer is None:
        raise _unreadable(f"reading it takes more than {seconds} s or more memory than it can fill")
    kind, content = answer[:1], answer[1:]
    if kind == b"R":
        raise NIRFileError(content.decode("utf8"))
    if kind != b"T":
        raise _unreadable(content.decode("utf8"))
    arrays = safetensors.load(content)
    tree: dict[str, Any] = {}
    for place, text in json.loads(arrays.pop("").tobytes()):
        *groups, name = place.split("/")
        inside = tree
        for group in groups:
            inside = inside[group]
        inside[name] = {} if text is False else arrays[place][()] if text is None else text
    return tree


def _answer_of_child(path: str, seconds: int) -> bytes | None:
    """Return what the reading process says, or ``None`` where it was ended."""
    # The places to import from are given, so that it need not look for them.
    command = [sys.executable, "-I", "-S", str(_CHILD), json.dumps(sys.path), os.path.abspath(path), str(seconds)]
    try:
        # It bounds its processor time itself; this is for a system that does not count it.
        answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_WALL * seconds)
    except subprocess.TimeoutExpired:
        return None
    return None if answer.returncode else answer.stdout


def _unreadable(why: str) -> NIRFileError:
    return NIRFileError(f"The file is no readable NIR file: {why}.")
