"""Packed modules as plain values and tensors, and back: the kinds of modules that a file may hold."""

from __future__ import annotations

from typing import Any

from torch import nn

from snntorch_binary.nn.time_first import TimeFirst
from snntorch_binary.packed.ensemble import PackedEnsemble
from snntorch_binary.packed.file.ensembles import ensemble_of, ensemble_to_entry
from snntorch_binary.packed.file.entry import Entry, Kinds, Tensors, read_one_of, write_one_of
from snntorch_binary.packed.file.graphs import graph_of, graph_to_entry, scan_of, scan_to_entry
from snntorch_binary.packed.file.layers import LAYERS, geometry_to_entry, pooling_of
from snntorch_binary.packed.file.neurons import first_version, neurons
from snntorch_binary.packed.file.sequences import sequence_of, sequence_to_entry
from snntorch_binary.packed.file.stock import STOCK
from snntorch_binary.packed.graph import PackedGraph
from snntorch_binary.packed.graph_modules import Scan, StepAtZero
from snntorch_binary.packed.layer import PackedLayer
from snntorch_binary.packed.shaping import PackedFlatten, PackedMaxPool, SkipSteps


def write(module: nn.Module, path: str, tensors: Tensors) -> dict[str, Any]:
    """Return the plain values of a module and add its tensors, under names that begin with ``path``.

    Raises:
        TypeError: there is no entry for such a module.
    """
    return write_one_of(_kinds(), module, path, tensors)


def read(entry: Entry) -> nn.Module:
    """Return the module of an entry.

    Raises:
        PackedFileError: the entry does not describe one.
    """
    return read_one_of(_kinds(), entry)


def version_of(network: nn.Module) -> int:
    """Return the first version of the format that has all modules of a network."""
    if any(isinstance(module, PackedGraph) and module.fixed_arguments for module in network.modules()):
        return 4
    later = (PackedGraph, *(kind for kind, *_ in STOCK.values()))
    if any(type(module) in later for module in network.modules()):
        return 3
    versions = [first_version(module) for module in network.modules()]
    for module in network.modules():
        if isinstance(module, SkipSteps) or (isinstance(module, PackedLayer) and module.real_input):
            versions.append(2)
    return max(versions)


def _time_first_to_entry(module: TimeFirst, path: str, tensors: Tensors) -> dict[str, Any]:
    return {"module": write(module.module, f"{path}.module", tensors)}


def _time_first_of(entry: Entry) -> TimeFirst:
    return TimeFirst(read(entry.child(entry.values.get("module"), "module")))


def _flatten_of(entry: Entry) -> nn.Flatten:
    return nn.Flatten(entry.integer("start_dim", -8, 8), entry.integer("end_dim", -8, 8))


_OTHERS: Kinds = {
    **STOCK,
    **LAYERS,
    "PackedGraph": (
        PackedGraph,
        lambda module, path, tensors: graph_to_entry(module, path, tensors, write),
        lambda entry: graph_of(entry, read),
    ),
    "StepAtZero": (
        StepAtZero,
        lambda module, path, tensors: {"fires_at_threshold": module.fires_at_threshold},
        lambda entry: StepAtZero(entry.flag("fires_at_threshold")),
    ),
    "Scan": (
        Scan,
        lambda module, path, tensors: scan_to_entry(module, path, tensors, write),
        lambda entry: scan_of(entry, read),
    ),
    "PackedMaxPool": (
        PackedMaxPool,
        lambda module, path, tensors: geometry_to_entry(module.geometry),
        lambda entry: PackedMaxPool(pooling_of(entry)),
    ),
    "PackedFlatten": (PackedFlatten, lambda module, path, tensors: {}, lambda entry: PackedFlatten()),
    "PackedEnsemble": (
        PackedEnsemble,
        lambda module, path, tensors: ensemble_to_entry(module, path, tensors, write),
        lambda entry: ensemble_of(entry, read),
    ),
    "SkipSteps": (
        SkipSteps,
        lambda module, path, tensors: {"steps": module.steps},
        lambda entry: SkipSteps(entry.integer("steps", 1, 2**31)),
    ),
    "Sequential": (
        nn.Sequential,
        lambda module, path, tensors: sequence_to_entry(module, path, tensors, write),
        lambda entry: sequence_of(entry, read),
    ),
    "TimeFirst": (TimeFirst, _time_first_to_entry, _time_first_of),
    "Flatten": (
        nn.Flatten,
        lambda module, path, tensors: {"start_dim": module.start_dim, "end_dim": module.end_dim},
        _flatten_of,
    ),
}


def _kinds() -> Kinds:
    """Return all that a file can hold, by name: nothing is imported or run because a file says so."""
    return {**neurons(), **_OTHERS}
