"""Packed modules as plain values and tensors, and back: the kinds of modules that a file may hold."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import nn

from snntorch_binary.nn.time_first import TimeFirst
from snntorch_binary.packed.ensemble import PackedEnsemble
from snntorch_binary.packed.file.entry import Entry, Kinds, Tensors, read_one_of, write_one_of
from snntorch_binary.packed.file.graphs import graph_of, graph_to_entry, scan_of, scan_to_entry
from snntorch_binary.packed.file.layers import LAYERS, geometry_to_entry, pooling_of
from snntorch_binary.packed.file.neurons import first_version, gives_potentials, neurons
from snntorch_binary.packed.file.stock import STOCK
from snntorch_binary.packed.graph import PackedGraph, Scan, StepAtZero
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
    later = (PackedGraph, *(kind for kind, *_ in STOCK.values()))
    if any(type(module) in later for module in network.modules()):
        return 3
    versions = [first_version(module) for module in network.modules()]
    for module in network.modules():
        if isinstance(module, SkipSteps) or (isinstance(module, PackedLayer) and module.real_input):
            versions.append(2)
    return max(versions)


def _sequence_to_entry(sequence: nn.Module, path: str, tensors: Tensors) -> dict[str, Any]:
    inside = f"{path}." if path else ""
    return {"modules": [[name, write(child, inside + name, tensors)] for name, child in sequence._modules.items()]}  # type: ignore[arg-type]


def _modules_of(entry: Entry) -> dict[str, nn.Module]:
    modules = entry.values.get("modules")
    if not isinstance(modules, list):
        raise entry.error("modules", "a list")
    found: OrderedDict[str, nn.Module] = OrderedDict()
    for pair in modules:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str) or pair[0] in found:
            raise entry.error("modules", "a list of pairs of a name and a module")
        found[pair[0]] = read(entry.child(pair[1], pair[0]))
    return found


def _sequence_of(entry: Entry) -> nn.Sequential:
    modules = _modules_of(entry)
    bits, last = False, next(reversed(modules.values()), None)
    for module in modules.values():
        if module is not last and gives_potentials(module):
            raise entry.error("modules", "a list in which only the last neuron gives its membrane potential")
        shaping = isinstance(module, (PackedFlatten, PackedMaxPool))
        takes_bits = shaping or (isinstance(module, PackedLayer) and not module.real_input)
        if (bits and not takes_bits) or (shaping and not bits):
            raise entry.error("modules", "a list in which bits go to modules that take them")
        bits = shaping or (isinstance(module, PackedLayer) and module.packed_output)
    if bits:
        raise entry.error("modules", "a list that does not end in bits")
    return nn.Sequential(OrderedDict(modules))


def _time_first_to_entry(module: TimeFirst, path: str, tensors: Tensors) -> dict[str, Any]:
    return {"module": write(module.module, f"{path}.module", tensors)}


def _time_first_of(entry: Entry) -> TimeFirst:
    return TimeFirst(read(entry.child(entry.values.get("module"), "module")))


def _flatten_of(entry: Entry) -> nn.Flatten:
    return nn.Flatten(entry.integer("start_dim", -8, 8), entry.integer("end_dim", -8, 8))


def _ensemble_to_entry(ensemble: PackedEnsemble, path: str, tensors: Tensors) -> dict[str, Any]:
    if not isinstance(ensemble.readout, str):
        raise TypeError("A packed file cannot hold a readout that is a function.")
    if ensemble.time_dim:
        raise TypeError("A packed file cannot hold an ensemble whose outputs are not time-first.")
    inside = f"{path}.net" if path else "net"
    return {
        "num_members": ensemble.num_members,
        "readout": ensemble.readout,
        "readout_scale": ensemble.readout_scale,
        "step": ensemble.step,
        "seed": ensemble.seed,
        "together": isinstance(ensemble.net, nn.Sequential),
        "net": {"type": "Sequential", **_sequence_to_entry(ensemble.net, inside, tensors)},
    }


def _ensemble_of(entry: Entry) -> PackedEnsemble:
    members = entry.integer("num_members", 1, 2**20)
    inside = entry.child(entry.values.get("net"), "net")
    if entry.flag("together"):
        net: nn.Sequential | nn.ModuleList = _sequence_of(inside)
        layers = [module for module in net.modules() if isinstance(module, PackedLayer)]
        fits = bool(layers) and all(layer.ensemble and layer.layout.members == members for layer in layers)
    else:
        net = nn.ModuleList(_modules_of(inside).values())
        fits = len(net) == members
    if not fits:
        raise entry.error("num_members", "the number of members")
    scale = entry.values.get("readout_scale")
    return PackedEnsemble(
        net,
        members,
        readout=entry.choice("readout", ("auto", "rate", "membrane")),  # type: ignore[arg-type]
        readout_scale=None if scale is None else entry.number("readout_scale"),
        step=entry.flag("step"),
        seed=entry.integer("seed", -(2**63), 2**64),
    )


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
    "PackedEnsemble": (PackedEnsemble, _ensemble_to_entry, _ensemble_of),
    "SkipSteps": (
        SkipSteps,
        lambda module, path, tensors: {"steps": module.steps},
        lambda entry: SkipSteps(entry.integer("steps", 1, 2**31)),
    ),
    "Sequential": (nn.Sequential, _sequence_to_entry, _sequence_of),
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
