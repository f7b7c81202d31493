"""Packed modules as plain values and tensors, and back: the kinds of modules that a file may hold."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import nn

from snntorch_binary.nn._neuron import Neuron
from snntorch_binary.nn.refractory import Refractory
from snntorch_binary.nn.synaptic_trace import SynapticTrace
from snntorch_binary.nn.time_first import TimeFirst
from snntorch_binary.packed.ensemble import PackedEnsemble
from snntorch_binary.packed.graph import PackedGraph, Scan, StepAtZero
from snntorch_binary.packed.graph_records import graph_of, graph_to_record, scan_of, scan_to_record
from snntorch_binary.packed.layer import PackedLayer
from snntorch_binary.packed.layer_records import LAYERS, geometry_to_record, pooling_of
from snntorch_binary.packed.neuron_records import NEURONS
from snntorch_binary.packed.record import Kinds, Record, Tensors, read_one_of, write_one_of
from snntorch_binary.packed.shaping import PackedFlatten, PackedMaxPool, SkipSteps
from snntorch_binary.packed.stock_records import STOCK


def write(module: nn.Module, path: str, tensors: Tensors) -> dict[str, Any]:
    """Return the plain values of a module and add its tensors, under names that begin with ``path``.

    Raises:
        TypeError: there is no record for such a module.
    """
    return write_one_of(_KINDS, module, path, tensors)


def read(record: Record) -> nn.Module:
    """Return the module of a record.

    Raises:
        PackedFileError: the record does not describe one.
    """
    return read_one_of(_KINDS, record)


def version_of(network: nn.Module) -> int:
    """Return the first version of the format that has all modules of a network."""
    later = (PackedGraph, *(kind for kind, *_ in STOCK.values()))
    if any(type(module) in later for module in network.modules()):
        return 3
    for module in network.modules():
        real = isinstance(module, PackedLayer) and module.real_input
        if real or isinstance(module, (Refractory, SynapticTrace, SkipSteps)):
            return 2
    return 1


def _sequence_to_record(sequence: nn.Module, path: str, tensors: Tensors) -> dict[str, Any]:
    inside = f"{path}." if path else ""
    return {"modules": [[name, write(child, inside + name, tensors)] for name, child in sequence._modules.items()]}  # type: ignore[arg-type]


def _modules_of(record: Record) -> dict[str, nn.Module]:
    modules = record.values.get("modules")
    if not isinstance(modules, list):
        raise record.error("modules", "a list")
    found: OrderedDict[str, nn.Module] = OrderedDict()
    for entry in modules:
        if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], str) or entry[0] in found:
            raise record.error("modules", "a list of pairs of a name and a module")
        found[entry[0]] = read(record.child(entry[1], entry[0]))
    return found


def _gives_more_than_spikes(neuron: Neuron) -> bool:
    return neuron.output or (neuron.one_step and not neuron.init_hidden)


def _sequence_of(record: Record) -> nn.Sequential:
    modules = _modules_of(record)
    bits, last = False, next(reversed(modules.values()), None)
    for module in modules.values():
        if isinstance(module, Neuron) and module is not last and _gives_more_than_spikes(module):
            raise record.error("modules", "a list in which only the last neuron gives its membrane potential")
        shaping = isinstance(module, (PackedFlatten, PackedMaxPool))
        takes_bits = shaping or (isinstance(module, PackedLayer) and not module.real_input)
        if (bits and not takes_bits) or (shaping and not bits):
            raise record.error("modules", "a list in which bits go to modules that take them")
        bits = shaping or (isinstance(module, PackedLayer) and module.packed_output)
    if bits:
        raise record.error("modules", "a list that does not end in bits")
    return nn.Sequential(OrderedDict(modules))


def _time_first_to_record(module: TimeFirst, path: str, tensors: Tensors) -> dict[str, Any]:
    return {"module": write(module.module, f"{path}.module", tensors)}


def _time_first_of(record: Record) -> TimeFirst:
    return TimeFirst(read(record.child(record.values.get("module"), "module")))


def _flatten_of(record: Record) -> nn.Flatten:
    return nn.Flatten(record.integer("start_dim", -8, 8), record.integer("end_dim", -8, 8))


def _ensemble_to_record(ensemble: PackedEnsemble, path: str, tensors: Tensors) -> dict[str, Any]:
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
        "net": {"type": "Sequential", **_sequence_to_record(ensemble.net, inside, tensors)},
    }


def _ensemble_of(record: Record) -> PackedEnsemble:
    members = record.integer("num_members", 1, 2**20)
    inside = record.child(record.values.get("net"), "net")
    if record.flag("together"):
        net: nn.Sequential | nn.ModuleList = _sequence_of(inside)
        layers = [module for module in net.modules() if isinstance(module, PackedLayer)]
        fits = bool(layers) and all(layer.ensemble and layer.layout.members == members for layer in layers)
    else:
        net = nn.ModuleList(_modules_of(inside).values())
        fits = len(net) == members
    if not fits:
        raise record.error("num_members", "the number of members")
    scale = record.values.get("readout_scale")
    return PackedEnsemble(
        net,
        members,
        readout=record.choice("readout", ("auto", "rate", "membrane")),  # type: ignore[arg-type]
        readout_scale=None if scale is None else record.number("readout_scale"),
        step=record.flag("step"),
        seed=record.integer("seed", -(2**63), 2**64),
    )


_KINDS: Kinds = {
    **LAYERS,
    **STOCK,
    "PackedGraph": (
        PackedGraph,
        lambda module, path, tensors: graph_to_record(module, path, tensors, write),
        lambda record: graph_of(record, read),
    ),
    "StepAtZero": (
        StepAtZero,
        lambda module, path, tensors: {"fires_at_threshold": module.fires_at_threshold},
        lambda record: StepAtZero(record.flag("fires_at_threshold")),
    ),
    "Scan": (
        Scan,
        lambda module, path, tensors: scan_to_record(module, path, tensors, write),
        lambda record: scan_of(record, read),
    ),
    **NEURONS,
    "PackedMaxPool": (
        PackedMaxPool,
        lambda module, path, tensors: geometry_to_record(module.geometry),
        lambda record: PackedMaxPool(pooling_of(record)),
    ),
    "PackedFlatten": (PackedFlatten, lambda module, path, tensors: {}, lambda record: PackedFlatten()),
    "PackedEnsemble": (PackedEnsemble, _ensemble_to_record, _ensemble_of),
    "SkipSteps": (
        SkipSteps,
        lambda module, path, tensors: {"steps": module.steps},
        lambda record: SkipSteps(record.integer("steps", 1, 2**31)),
    ),
    "Sequential": (nn.Sequential, _sequence_to_record, _sequence_of),
    "TimeFirst": (TimeFirst, _time_first_to_record, _time_first_of),
    "Flatten": (
        nn.Flatten,
        lambda module, path, tensors: {"start_dim": module.start_dim, "end_dim": module.end_dim},
        _flatten_of,
    ),
}
"""All that a file can hold, by name: nothing is imported or run because a file says so."""
