"""Reading a NIR file node by node, so that a damaged one is named."""

from __future__ import annotations

import os
from typing import Any

from snntorch_binary._errors import require
from snntorch_binary.export.errors import NIRFileError, in_one_line

_LARGEST_RATIO = 1100  # of gzip it is 1032
_DAMAGED = (OSError, RuntimeError, KeyError, AssertionError, TypeError, ValueError, AttributeError, IndexError)


def read(nir: Any, path: str) -> Any:
    """Return the graph of a file.

    Raises:
        NIRFileError: the file is no NIR file or is damaged.
        OSError: the file cannot be opened.
    """
    h5py = require("h5py", "export")
    with open(path, "rb"):  # what is wrong with the path is said as Python says it
        pass
    try:
        with h5py.File(path, "r") as file:
            _check_sizes(h5py, file, os.path.getsize(path))
            return _graph(nir, file["node"], "")
    except NIRFileError:
        raise
    except _DAMAGED as error:
        raise NIRFileError(f"The file is no readable NIR file: {in_one_line(error)}.") from None


def _check_sizes(h5py: Any, file: Any, size: int) -> None:
    """Say before anything is allocated that an array is larger than the file can bear out."""

    def check(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.nbytes > _LARGEST_RATIO * size:
            raise NIRFileError.of(name.removeprefix("node/nodes/"), "claims to be larger than the file can hold")

    file.visititems(check)


def _graph(nir: Any, group: Any, path: str) -> Any:
    name = path or "(the graph)"
    if _text(group["type"][()]) != "NIRGraph":
        raise NIRFileError.of(name, "is no NIRGraph")
    nodes = {key: _node(nir, node, f"{path}.{key}" if path else key) for key, node in group["nodes"].items()}
    edges = [(_text(start), _text(end)) for start, end in group["edges"][()]]
    metadata = nir.serialization.hdf2dict(group["metadata"]) if "metadata" in group else {}
    try:
        return nir.NIRGraph(nodes=nodes, edges=edges, metadata=metadata)
    except _DAMAGED as error:
        raise NIRFileError.of(name, f"does not hold together: {in_one_line(error)}") from None


def _node(nir: Any, group: Any, name: str) -> Any:
    try:
        kind = _text(group["type"][()])
        if kind == "NIRGraph":
            return _graph(nir, group, name)
        found = getattr(nir, kind, None)
        if not (isinstance(found, type) and issubclass(found, nir.NIRNode)):
            raise NIRFileError.of(name, f"is of the unknown type {kind!r}")
        return nir.dict2NIRNode(nir.serialization.hdf2dict(group))
    except NIRFileError:
        raise
    except _DAMAGED as error:
        raise NIRFileError.of(name, f"is damaged: {in_one_line(error)}") from None


def _text(value: Any) -> str:
    return value.decode("utf8") if isinstance(value, bytes) else str(value)
