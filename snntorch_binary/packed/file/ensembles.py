"""Packed ensembles as a file holds them: members together, one by one, or as one graph with weights of each."""

from __future__ import annotations

from typing import Any

from torch import nn

from snntorch_binary.packed.ensemble import PackedEnsemble
from snntorch_binary.packed.file.entry import Entry, Read, Tensors, Write
from snntorch_binary.packed.file.sequences import modules_of, sequence_of, sequence_to_entry
from snntorch_binary.packed.graph import PackedGraph
from snntorch_binary.packed.layer import PackedLayer

_BYTES_A_MODULE = 4096
"""What a module takes in memory beside its tensors, at most."""


def ensemble_to_entry(ensemble: PackedEnsemble, path: str, tensors: Tensors, write: Write) -> dict[str, Any]:
    """Return the plain values of an ensemble, and add its tensors."""
    if not isinstance(ensemble.readout, str):
        raise TypeError("A packed file cannot hold a readout that is a function.")
    inside = f"{path}.net" if path else "net"
    values = {
        "num_members": ensemble.num_members,
        "readout": ensemble.readout,
        "readout_scale": ensemble.readout_scale,
        "step": ensemble.step,
        "seed": ensemble.seed,
        "together": isinstance(ensemble.net, nn.Sequential),
    }
    if isinstance(ensemble.net[0], PackedGraph):
        values |= {"time_dim": ensemble.time_dim, "scored": ensemble.scored}
        members = [write(member, f"{inside}.{index}", tensors) for index, member in enumerate(ensemble.net)]
        if all(member == members[0] for member in members):
            return values | {"member": members[0]}
        return values | {"net": {"type": "Sequential", "modules": [[str(i), each] for i, each in enumerate(members)]}}
    if ensemble.time_dim:
        raise TypeError("A packed file cannot hold an ensemble whose outputs are not time-first.")
    return values | {"net": {"type": "Sequential", **sequence_to_entry(ensemble.net, inside, tensors, write)}}


def ensemble_of(entry: Entry, read: Read) -> PackedEnsemble:
    """Return the ensemble of an entry.

    Raises:
        PackedFileError: the entry does not describe one.
    """
    members = entry.integer("num_members", 1, 2**20)
    if "member" in entry.values:
        net: nn.Sequential | nn.ModuleList = _alike(entry, members, read)
        fits = True
    elif entry.flag("together"):
        net = sequence_of(entry.child(entry.values.get("net"), "net"), read)
        layers = [module for module in net.modules() if isinstance(module, PackedLayer)]
        fits = bool(layers) and all(layer.ensemble and layer.layout.members == members for layer in layers)
    else:
        net = nn.ModuleList(modules_of(entry.child(entry.values.get("net"), "net"), read).values())
        fits = len(net) == members
    if not fits:
        raise entry.error("num_members", "the number of members")
    time_dim, scored, scale = (entry.values.get(name) for name in ("time_dim", "scored", "readout_scale"))
    return PackedEnsemble(
        net,
        members,
        readout=entry.choice("readout", ("auto", "rate", "membrane")),  # type: ignore[arg-type]
        readout_scale=None if scale is None else entry.number("readout_scale"),
        step=entry.flag("step"),
        time_dim=None if time_dim is None else entry.integer("time_dim", 0, 2),
        scored=None if scored is None else entry.flag("scored"),
        seed=entry.integer("seed", -(2**63), 2**64),
    )


def _alike(entry: Entry, members: int, read: Read) -> nn.ModuleList:
    """Return members of one description, each with tensors of its own."""
    values, found = entry.values["member"], nn.ModuleList()
    for index in range(members):
        if index == 1:  # when it is known of what size they are
            entry.allowance.spend((members - 1) * _BYTES_A_MODULE * sum(1 for _ in found.modules()), entry.path)
        member = read(entry.child(values, f"net.{index}"))
        if not isinstance(member, PackedGraph) or not any(isinstance(part, PackedLayer) for part in member.modules()):
            raise entry.error("member", "a packed graph")
        found.append(member)
    return found
