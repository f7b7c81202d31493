"""Run as a script by `hdf5`: reads an HDF5 file within bounds, and writes what it holds to the standard output.

It imports nothing of this package, so that it starts fast.
"""

from __future__ import annotations

import json
import math
import os
import sys
from contextlib import suppress
from typing import Any

_RATIO = 1100  # of gzip it is 1032 at most
_DEEPEST = 16
_MOST = 20_000  # groups and data sets
_FILTERS = {1, 2, 3, 4, 32000}  # gzip, shuffle, Fletcher's checksum, szip, lzf; any other is a plug-in
_MEBIBYTE = 2**20

Item = tuple[str, Any]


class Refused(Exception):
    """The file holds what is not read."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"The node {name.removeprefix('node/nodes/')!r} of the NIR graph {what}.")


def answer_for(path: str, seconds: int) -> bytes:
    """Return "T" and all values, "R" and a sentence, or "E" and what h5py says."""
    import h5py
    import numpy as np
    from safetensors.numpy import save

    size = os.path.getsize(path)
    _limit("RLIMIT_CPU", seconds)
    _limit("RLIMIT_CORE", 0)
    start = _address_space()
    _limit_memory(start, 64 * _MEBIBYTE + 64 * size)
    try:
        with h5py.File(path, "r") as file:
            items: list[Item] = []
            _find(h5py, file, "", items, set())
            total = _checked(h5py, items, size)
            # Strings are not counted yet: they lie anywhere in the file.
            _limit_memory(start, 64 * _MEBIBYTE + 64 * size + 4 * total)
            arrays, order, text = {}, [], 0
            for name, item in items:
                value = _value(h5py, np, name, item)
                if isinstance(value, (str, list)):
                    text += len(json.dumps(value))
                    if text > 64 * size:
                        raise Refused(name, "claims to be larger than the file can hold")
                elif value is not None:
                    arrays[name] = value
                order.append([name, False if value is None else value if isinstance(value, (str, list)) else None])
        arrays[""] = np.frombuffer(json.dumps(order).encode(), np.uint8)
        return b"T" + save(arrays)
    except Refused as refused:
        return b"R" + str(refused).encode("utf8", "replace")
    except Exception as error:  # whatever it is, the file is its cause
        message = " ".join(str(error).split()) or type(error).__name__
        return b"E" + message[:400].encode("utf8", "replace")


def _find(h5py: Any, group: Any, path: str, items: list[Item], seen: set[Any]) -> None:
    """Collect groups and data sets, those of a group behind it; each is to stand in one place, and inside the file."""
    if path.count("/") >= _DEEPEST:
        raise Refused(path, "is nested too deeply")
    for key in group:
        name = f"{path}{key}"
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise Refused(name, "is a link to another place or file")
        item = group[key]
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:
            raise Refused(name, "stands in two places")
        seen.add(address)
        if len(items) >= _MOST:
            raise Refused(name, f"is one of more than {_MOST} things in the file")
        items.append((name, item))
        if isinstance(item, h5py.Group):
            _find(h5py, item, f"{name}/", items, seen)
        elif not isinstance(item, h5py.Dataset):
            raise Refused(name, "is neither a group nor a data set")


def _checked(h5py: Any, items: list[Item], size: int) -> int:
    """Return the bytes of all data sets, and say before any is read that one is more than the file bears out."""
    total = left = 0
    for name, item in items:
        if isinstance(item, h5py.Group):
            continue
        if item.external or item.is_virtual:
            raise Refused(name, "is kept in another file")
        properties = item.id.get_create_plist()
        filters = {properties.get_filter(index)[0] for index in range(properties.get_nfilters())}
        if filters - _FILTERS or properties.get_nfilters() != len(filters):
            raise Refused(name, "is compressed by other means than gzip, szip or lzf")
        stored = item.id.get_storage_size()
        left += stored
        needed = max(item.nbytes, math.prod(item.chunks or ()) * item.dtype.itemsize if item.size else 0)
        if needed > stored * (_RATIO if filters else 1) or left > size:
            raise Refused(name, "claims to be larger than the file can hold")
        total += needed
    return total


def _value(h5py: Any, np: Any, name: str, item: Any) -> Any:
    """Return an array of numbers, a string, lists of strings, or ``None`` for a group."""
    if isinstance(item, h5py.Group):
        return None
    if h5py.check_string_dtype(item.dtype) is not None:
        return _text(item.asstr("utf8")[()]) if item.shape is not None else ""
    if item.dtype.kind not in "fiub" or item.dtype.itemsize > 8 or item.shape is None:
        raise Refused(name, "holds neither numbers nor text")
    return np.asarray(item[()], item.dtype.newbyteorder("="), order="C")


def _text(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _address_space() -> int | None:
    with suppress(OSError), open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return None


def _limit_memory(start: int | None, more: int) -> None:
    if start is not None:
        _limit("RLIMIT_AS", start + more)


def _limit(name: str, value: int) -> None:
    with suppress(ImportError, ValueError, OSError):  # not on every system
        import resource

        which = getattr(resource, name)
        hard = resource.getrlimit(which)[1]
        resource.setrlimit(which, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


if __name__ == "__main__":
    sys.path[:] = json.loads(sys.argv[1])
    sys.stdout.buffer.write(answer_for(sys.argv[2], int(sys.argv[3])))
