"""Sequences of packed modules as a file holds them: bits go from module to module only where they are taken."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import nn

from snntorch_binary.packed.file.entry import Entry, Read, Tensors, Write
from snntorch_binary.packed.file.neurons import gives_potentials
from snntorch_binary.packed.layer import PackedLayer
from snntorch_binary.packed.shaping import PackedFlatten, PackedMaxPool


def sequence_to_entry(sequence: nn.Module, path: str, tensors: Tensors, write: Write) -> dict[str, Any]:
    """Return the plain values of a sequence or a list of modules, and add their tensors."""
    inside = f"{path}." if path else ""
    return {"modules": [[name, write(child, inside + name, tensors)] for name, child in sequence._modules.items()]}  # type: ignore[arg-type]


def modules_of(entry: Entry, read: Read) -> dict[str, nn.Module]:
    """Return the modules of a sequence or a list, by name."""
    modules = entry.values.get("modules")
    if not isinstance(modules, list):
        raise entry.error("modules", "a list")
    found: OrderedDict[str, nn.Module] = OrderedDict()
    for pair in modules:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str) or pair[0] in found:
            raise entry.error("modules", "a list of pairs of a name and a module")
        found[pair[0]] = read(entry.child(pair[1], pair[0]))
    return found


def sequence_of(entry: Entry, read: Read) -> nn.Sequential:
    """Return a sequence in which bits go to what takes them.

    Raises:
        PackedFileError: the entry does not describe one.
    """
    modules = modules_of(entry, read)
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
