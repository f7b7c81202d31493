"""`save_packed` and `load_packed`: a packed network as a safetensors file."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected, require
from snntorch_binary._json import parse_json
from snntorch_binary.packed.ensemble import PackedEnsemble
from snntorch_binary.packed.file.entry import Allowance, Entry, NoFormError, PackedFileError
from snntorch_binary.packed.file.networks import read, version_of, write
from snntorch_binary.packed.graph import PackedGraph
from snntorch_binary.packed.layer import PackedLayer

FORMAT = "snntorch_binary.packed"
VERSION = 4
"""Version 2 has layers of real numbers, ``Refractory``, ``SynapticTrace`` and ``SkipSteps`` beside version 1.

Version 3 has networks of any form: graphs over time, and torch's layers in them. Version 4 has arguments of such that
are no tensors.
"""

_TYPES = {"U8": torch.uint8, "F32": torch.float32}


class PackedFileVersionError(PackedFileError):
    """A file was written by a newer version of this package."""


def save_packed(packed: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write a packed network to a safetensors file: one bit per weight and member, and a header.

    The header, in the file's metadata, holds the format's name and version, the structure of the network as JSON
    (sizes, kinds and constants of neurons, the ensemble's seed) and a SHA-256 of structure and tensors.

    Args:
        packed: what :func:`snntorch_binary.pack` returned: of a sequence, or with a sample; or of an ensemble of such.
        path: of the file; one that is there is replaced.

    Raises:
        TypeError: the network is not packed, or holds a module or a readout function that no file can hold.
        MissingPackageError: safetensors is not installed.

    Example:
        >>> import os, tempfile, torch, snntorch_binary as sb
        >>> net = torch.nn.Sequential(sb.nn.BinaryLinear(784, 256, weight=sb.Bernoulli()), sb.nn.Leaky(beta=0.9))
        >>> packed = sb.pack(sb.Ensemble(net, num_members=10))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sb.save_packed(packed, folder + "/net.safetensors")
        ...     size = os.path.getsize(folder + "/net.safetensors")
        ...     loaded = sb.load_packed(folder + "/net.safetensors")
        >>> size < 1.02 * 10 * 784 * 256 / 8, loaded.num_members
        (True, 10)
    """
    if not isinstance(packed, nn.Module) or not any(isinstance(part, PackedLayer) for part in packed.modules()):
        raise TypeError(expected("packed", "what snntorch_binary.pack returned", type(packed).__name__))
    safetensors = require("safetensors.torch", "export")
    tensors: dict[str, Tensor] = {}
    try:
        structure = json.dumps(write(packed, "", tensors), separators=(",", ":"))
    except NoFormError as error:
        graphs = any(isinstance(part, PackedGraph) for part in packed.modules())
        other = "pack an nn.Sequential of its layers and neurons, or give pack a sample of the input"
        raise TypeError(f"{error}: {'the network is packed in memory only' if graphs else other}.") from None
    metadata = {
        "format": FORMAT,
        "version": str(version_of(packed)),  # the first that has it all, for older readers
        "structure": structure,
        "sha256": _checksum(structure, tensors),
    }
    safetensors.save_file(tensors, os.fspath(path), metadata)


def load_packed(path: str | os.PathLike[str]) -> Any:
    """Read a packed network; whatever the file holds, nothing is run and no more is allocated than it bears out.

    The most that is allocated is 512 times the file's size and 16 MiB: every bit becomes a weight that takes 8 bytes
    while it is unpacked, and words of 64 weights may hold a few.

    Args:
        path: of a file that :func:`save_packed` wrote.

    Returns:
        The network in evaluation mode: an ``nn.Sequential``, :class:`snntorch_binary.packed.PackedGraph` or
        :class:`snntorch_binary.packed.PackedEnsemble`.

    Raises:
        PackedFileError: the file is no packed network, or is damaged; a ``ValueError``.
        PackedFileVersionError: it was written by a newer version of this package; a ``PackedFileError``.
        OSError: the file cannot be opened.
        MissingPackageError: safetensors is not installed.
    """
    safetensors = require("safetensors", "export")
    path = os.fspath(path)
    with open(path, "rb"):  # what is wrong with the path is said as Python says it
        pass
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            _check_format(metadata)
            tensors = {name: _tensor(file, name) for name in file.keys()}  # noqa: SIM118
    except PackedFileError:
        raise
    except (safetensors.SafetensorError, OSError, ValueError, RuntimeError, TypeError) as error:
        raise PackedFileError(f"The file is no readable safetensors file: {error}") from None
    structure = metadata.get("structure", "")
    if metadata.get("sha256") != _checksum(structure, tensors):
        raise PackedFileError("The file is damaged: its contents do not have the checksum in its header.")
    return _network(structure, tensors).eval()


def _check_format(metadata: dict[str, str]) -> None:
    if metadata.get("format") != FORMAT:
        raise PackedFileError(f"The file is no packed network: its format is not {FORMAT!r}.")
    version = metadata.get("version", "")
    if not (version.isascii() and version.isdigit() and len(version) < 9):
        raise PackedFileError("The file is damaged: its version is no number.")
    if int(version) > VERSION:
        raise PackedFileVersionError(
            f"The file has version {version} of the format, and this package reads up to {VERSION}: update it."
        )
    if int(version) < 1:
        raise PackedFileError("The file is damaged: there is no version 0 of the format.")


def _tensor(file: Any, name: str) -> Tensor:
    kind = file.get_slice(name).get_dtype()
    if kind not in _TYPES:
        raise PackedFileError(f"The tensor {name!r} is of type {kind}, which no packed network has.")
    return file.get_tensor(name).clone()


def _checksum(structure: str, tensors: dict[str, Tensor]) -> str:
    total = hashlib.sha256(structure.encode("utf-8", "surrogatepass"))
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"|{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode("utf-8", "surrogatepass"))
        total.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _network(structure: str, tensors: dict[str, Tensor]) -> nn.Module:
    try:
        values = parse_json(structure)
    except ValueError as error:
        raise PackedFileError(f"The structure of the network is no JSON: {error}.") from None
    size = len(structure) + sum(tensor.nbytes for tensor in tensors.values())
    network = read(Entry(values, tensors, allowance=Allowance(size)))
    if not isinstance(network, (nn.Sequential, PackedEnsemble, PackedGraph, PackedLayer)):
        raise PackedFileError("The file holds no packed network.")
    return network
