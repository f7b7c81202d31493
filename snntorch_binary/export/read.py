"""Reading a NIR file node by node, so that a damaged one is named."""

from __future__ import annotations

from typing import Any

import numpy as np

from snntorch_binary._errors import in_one_line
from snntorch_binary.export.errors import NIRFileError
from snntorch_binary.export.hdf5 import read_hdf5

_MOST_NODES = 1000  # NIR looks for each among all edges
_DAMAGED = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def read(nir: Any, path: str) -> Any:
    """Return the graph of a file.

    Raises:
        NIRFileError: the file is no NIR file or is damaged.
        OSError: the file cannot be opened.
    """
    values = read_hdf5(path).get("node")
    if not isinstance(values, dict):
        raise NIRFileError("The file is no readable NIR file: it has no node.")
    with np.errstate(all="raise"):  # sizes that divide by zero
        return _graph(nir, values, "")


def _graph(nir: Any, values: dict[str, Any], path: str) -> Any:
    name = path or "(the graph)"
    nodes, edges = values.get("nodes"), np.asarray(values.get("edges", []))
    if values.get("type") != "NIRGraph" or not isinstance(nodes, dict):
        raise NIRFileError.of(name, "is no NIRGraph")
    if len(nodes) > _MOST_NODES or edges.size > 8 * len(nodes):
        raise NIRFileError.of(name, f"has {len(nodes)} nodes and {edges.size // 2} edges, more than a network has")
    made = {key: _node(nir, node, f"{path}.{key}" if path else key) for key, node in nodes.items()}
    try:
        pairs = [(_word(start), _word(end)) for start, end in edges]
        return nir.NIRGraph(nodes=made, edges=pairs, metadata=values.get("metadata", {}))
    except _DAMAGED as error:
        raise NIRFileError.of(name, f"does not hold together: {in_one_line(error)}") from None


def _node(nir: Any, values: Any, name: str) -> Any:
    kind = values.get("type") if isinstance(values, dict) else None
    if kind == "NIRGraph":
        return _graph(nir, values, name)
    found = getattr(nir, kind, None) if isinstance(kind, str) else None
    if not (isinstance(found, type) and issubclass(found, nir.NIRNode)):
        raise NIRFileError.of(name, f"is of the unknown type {kind!r}")
    try:
        return nir.dict2NIRNode(values)
    except _DAMAGED as error:
        raise NIRFileError.of(name, f"is damaged: {in_one_line(error)}") from None


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"an edge is to {value!r}")
    return value
