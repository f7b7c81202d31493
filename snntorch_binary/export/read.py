"""Reading a NIR file node by node, so that a damaged one is named."""

from __future__ import annotations

from typing import Any

from snntorch_binary._errors import require
from snntorch_binary.export.errors import NIRFileError

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
            return _graph(nir, file["node"], "")
    except NIRFileError:
        raise
    except _DAMAGED as error:
        raise NIRFileError(f"The file is no readable NIR file: {' '.join(str(error).split())}.") from None


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
        raise NIRFileError.of(name, f"does not hold together: {' '.join(str(error).split())}") from None


def _node(nir: Any, group: Any, name: str) -> Any:
    try:
        kind = _text(group["type"][()])
        if kind == "NIRGraph":
            return _graph(nir, group, name)
        if not isinstance(getattr(nir, kind, None), type):
            raise NIRFileError.of(name, f"is of the unknown type {kind!r}")
        return nir.dict2NIRNode(nir.serialization.hdf2dict(group))
    except NIRFileError:
        raise
    except _DAMAGED as error:
        raise NIRFileError.of(name, f"is damaged: {' '.join(str(error).split())}") from None


def _text(value: Any) -> str:
    return value.decode("utf8") if isinstance(value, bytes) else str(value)
