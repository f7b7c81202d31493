"""A packed graph as a file holds it: its instructions as plain values, and checks of each when it is read."""

from __future__ import annotations

import math
import re
from typing import Any

import torch
from torch import nn

from snntorch_binary.graph.tree import leaves
from snntorch_binary.packed.file.entry import Entry, PackedFileError, Read, Tensors, Write
from snntorch_binary.packed.graph import PackedGraph, is_reserved
from snntorch_binary.packed.graph_modules import Scan
from snntorch_binary.packed.instructions import Instruction, Ref
from snntorch_binary.packed.layer import PackedLayer
from snntorch_binary.packed.operations import FUNCTIONS, METHODS
from snntorch_binary.packed.shaping import PackedFlatten, PackedMaxPool

_MOST_INSTRUCTIONS = 100_000
_DEEPEST = 6
_LARGEST = 2**24
_NAME = re.compile(r"[A-Za-z0-9_]{1,190}")
_DTYPES = {str(dtype): dtype for dtype in (torch.float32, torch.float64, torch.float16, torch.int64, torch.bool)}


def graph_to_entry(graph: PackedGraph, path: str, tensors: Tensors, write: Write) -> dict[str, Any]:
    """Return the plain values of a packed graph, and add its tensors."""
    inside = f"{path}." if path else ""
    for name, tensor in graph.named_buffers(recurse=False):
        if not tensor.is_floating_point() and tensor.dim() > 0:  # one number counts as a real one
            raise TypeError(f"A packed file cannot hold a tensor of {tensor.dtype} ({inside}{name}).")
        tensors[f"{inside}{name}"] = tensor.detach().to(torch.float32).clone()
    values = {
        "instructions": [[each.kind, each.name, _plain(each.args), _plain(each.kwargs)] for each in graph.instructions],
        "output": _plain(graph.output),
        "tensors": [name for name, _ in graph.named_buffers(recurse=False)],
        "modules": [[name, write(child, inside + name, tensors)] for name, child in graph.named_children()],
        "report": graph.report,
    }
    if graph.fixed_arguments:
        values["fixed_arguments"] = [[place, _checked(value)] for place, value in graph.fixed_arguments.items()]
    return values


def _checked(value: Any) -> Any:
    """Return an argument of a network as it is, which has to be plain."""
    if not _is_fixed(value) or (isinstance(value, float) and not math.isfinite(value)):
        got = repr(value) if isinstance(value, float) else f"a {type(value).__name__}"
        raise TypeError(f"A packed file cannot hold {got} among the arguments of a network.")
    return value


def graph_of(entry: Entry, read: Read) -> PackedGraph:
    """Return the packed graph of an entry.

    Raises:
        PackedFileError: the entry does not describe one.
    """
    items = entry.values.get("instructions")
    if not isinstance(items, list) or len(items) > _MOST_INSTRUCTIONS:
        raise entry.error("instructions", f"a list of up to {_MOST_INSTRUCTIONS}")
    names = entry.values.get("tensors")
    if not isinstance(names, list) or not all(isinstance(name, str) and _NAME.fullmatch(name) for name in names):
        raise entry.error("tensors", "a list of names")
    tensors = {name: _tensor(entry, name) for name in names}
    modules: dict[str, nn.Module] = {}
    children = entry.values.get("modules")
    for item in children if isinstance(children, list) else [None]:
        if not isinstance(item, list) or len(item) != 2 or not isinstance(item[0], str):
            raise entry.error("modules", "a list of pairs of a name and a module")
        name = item[0]
        if not _NAME.fullmatch(name) or name in modules or name in tensors or is_reserved(name):
            raise entry.error("modules", "pairs that begin with a name of their own")
        modules[name] = read(entry.child(item[1], name))
    made = entry.allowance.made
    if id(items) not in made:  # members of an ensemble share what they do
        made[id(items)] = _program(entry, items, modules, tensors)
    instructions, output = made[id(items)]
    _check_bits(entry, instructions, output, modules)
    graph = PackedGraph(instructions, output, modules, tensors)
    graph.fixed_arguments = _fixed_arguments(entry, sum(each.kind == "input" for each in instructions))
    report = entry.values.get("report")
    if isinstance(report, dict) and all(isinstance(text, str) for pair in report.items() for text in pair):
        graph.report = report
    return graph


def _fixed_arguments(entry: Entry, num_inputs: int) -> dict[int, Any]:
    pairs = entry.values.get("fixed_arguments", [])
    found: dict[int, Any] = {}
    for pair in pairs if isinstance(pairs, list) else [None]:
        place, value = pair if isinstance(pair, list) and len(pair) == 2 else (-1, None)
        among = type(place) is int and 0 <= place < num_inputs + len(pairs or ())
        if not among or place in found or not _is_fixed(value):
            raise entry.error("fixed_arguments", "a list of pairs of a place of its own and a plain value")
        found[place] = value
    return found


def _is_fixed(value: Any) -> bool:
    return value is None or type(value) in (bool, int, float, str)


def _program(entry: Entry, items: list[Any], modules: Any, tensors: Any) -> tuple[list[Instruction], Any]:
    instructions: list[Instruction] = []
    for item in items:
        instructions.append(_instruction(entry, item, len(instructions), modules, tensors))
    return instructions, _tree(entry, entry.values.get("output"), len(instructions))


def _check_bits(entry: Entry, instructions: list[Instruction], output: Any, modules: dict[str, nn.Module]) -> None:
    """Refuse a graph in which bits go to what does not take them, or what is no bits to what takes nothing else."""
    bits: set[int] = set()
    for index, each in enumerate(instructions):
        module = modules[each.name] if each.kind == "invoke" else None
        shapes = isinstance(module, (PackedMaxPool, PackedFlatten))
        takes = shapes or (isinstance(module, PackedLayer) and not module.real_input)
        given = {leaf.index for leaf in leaves((each.args, each.kwargs)) if isinstance(leaf, Ref)}
        one = len(each.args) == 1 and isinstance(each.args[0], Ref) and not each.kwargs
        if (given & bits and not (takes and one)) or (shapes and not (one and given <= bits)):
            raise entry.error("instructions", "a list in which bits go to modules that take them")
        if shapes or (isinstance(module, PackedLayer) and module.packed_output):
            bits.add(index)
    if bits & {leaf.index for leaf in leaves(output) if isinstance(leaf, Ref)}:
        raise entry.error("output", "no bits")


def _tensor(entry: Entry, name: str) -> torch.Tensor:
    key = f"{entry.path}.{name}" if entry.path else name
    tensor = entry.tensors.get(key)
    if tensor is None or tensor.dtype != torch.float32 or not bool(torch.isfinite(tensor).all()):
        raise PackedFileError(f"The file has no tensor {key!r} of finite float32 numbers.")
    return tensor


def _instruction(entry: Entry, item: Any, place: int, modules: Any, tensors: Any) -> Instruction:
    if not isinstance(item, list) or len(item) != 4 or not all(isinstance(part, str) for part in item[:2]):
        raise entry.error("instructions", "a list of [kind, name, args, kwargs]")
    kind, name = item[:2]
    known = {
        "input": name.isascii() and name.isdigit() and len(name) < 6,
        "tensor": name in tensors,
        "module": name in modules,
        "invoke": name in modules,
        "method": name in METHODS,
        "function": name in FUNCTIONS,
    }
    if not known.get(kind, False):
        raise entry.error("instructions", f"a list of what is known, and not {kind} {name[:40]!r}")
    args, kwargs = _tree(entry, item[2], place), _tree(entry, item[3], place)
    if not isinstance(args, tuple) or not isinstance(kwargs, dict) or (kind == "method" and not args):
        raise entry.error("instructions", "a list with a tuple and a dictionary of arguments in each")
    if kind == "input" and (kwargs or not all(map(_is_held_size, args))):
        raise entry.error("instructions", "a list in which an input has pairs of a dimension and its size")
    return Instruction(kind, name, args, kwargs)


def _is_held_size(pair: Any) -> bool:
    whole = isinstance(pair, tuple) and len(pair) == 2 and all(type(number) is int for number in pair)
    return whole and 0 <= pair[0] < 64 and pair[1] >= 0


# ---- arguments -----------------------------------------------------------------------------------


def _plain(tree: Any) -> Any:
    """Return a tree as JSON has it: what JSON has not is an object of one item."""
    if isinstance(tree, Ref):
        return {"ref": tree.index}
    if isinstance(tree, tuple):
        return {"tuple": [_plain(item) for item in tree]}
    if isinstance(tree, list):
        return [_plain(item) for item in tree]
    if isinstance(tree, dict):
        return {"dict": [[key, _plain(item)] for key, item in tree.items()]}
    if isinstance(tree, slice):
        return {"slice": [_plain(part) for part in (tree.start, tree.stop, tree.step)]}
    if isinstance(tree, torch.dtype) and str(tree) in _DTYPES:
        return {"dtype": str(tree)}
    if isinstance(tree, torch.device):
        return {"device": "cpu"}
    if tree is ...:
        return {"ellipsis": True}
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    raise TypeError(f"A packed file cannot hold a {type(tree).__name__} among the arguments of an operation.")


def _tree(entry: Entry, value: Any, place: int, depth: int = 0) -> Any:
    """Return the tree of a JSON value, in which nothing refers to what comes later."""
    if depth > _DEEPEST:
        raise entry.error("instructions", f"nested {_DEEPEST} deep at most")

    def inner(item: Any) -> Any:
        return _tree(entry, item, place, depth + 1)

    if isinstance(value, list):
        return [inner(item) for item in value]
    if isinstance(value, dict) and len(value) == 1:
        ((kind, content),) = value.items()
        if kind == "ref" and type(content) is int and 0 <= content < place:
            return Ref(content)
        if kind == "tuple" and isinstance(content, list):
            return tuple(inner(item) for item in content)
        if kind == "slice" and isinstance(content, list) and len(content) == 3:
            return slice(*(inner(item) for item in content))
        if kind == "dict" and isinstance(content, list) and all(isinstance(pair, list) for pair in content):
            pairs = [pair for pair in content if len(pair) == 2 and isinstance(pair[0], (str, int))]
            if len(pairs) == len(content):
                return {key: inner(item) for key, item in pairs}
        if kind == "dtype" and content in _DTYPES:
            return _DTYPES[content]
        if kind == "device":
            return torch.device("cpu")
        if kind == "ellipsis":
            return ...
    elif _is_plain(value):
        return value
    raise entry.error("instructions", "a list of plain arguments that refer to what was before")


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) < 100
    if isinstance(value, int):
        return abs(value) <= _LARGEST
    return value is None or isinstance(value, float)


def scan_to_entry(scan: Scan, path: str, tensors: Tensors, write: Write) -> dict[str, Any]:
    """Return the plain values of time-first neurons that give their states."""
    return {"neuron": write(scan.neuron, f"{path}.neuron", tensors)}


def scan_of(entry: Entry, read: Read) -> Scan:
    """Return the neurons of an entry."""
    return Scan(read(entry.child(entry.values.get("neuron"), "neuron")))
