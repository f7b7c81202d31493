"""A packed graph as a file holds it: its instructions as plain values, and checks of each when it is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from snntorch_binary.packed.graph import Instruction, PackedGraph, Ref, Scan
from snntorch_binary.packed.operations import FUNCTIONS, METHODS
from snntorch_binary.packed.record import PackedFileError, Record, Tensors

_MOST_INSTRUCTIONS = 100_000
_DEEPEST = 6
_LARGEST = 2**24
_NAME = re.compile(r"[A-Za-z0-9_]{1,190}")
_DTYPES = {str(dtype): dtype for dtype in (torch.float32, torch.float64, torch.float16, torch.int64, torch.bool)}

Write = Callable[[nn.Module, str, Tensors], dict[str, Any]]
Read = Callable[[Record], nn.Module]


def graph_to_record(graph: PackedGraph, path: str, tensors: Tensors, write: Write) -> dict[str, Any]:
    """Return the plain values of a packed graph, and add its tensors."""
    inside = f"{path}." if path else ""
    for name, tensor in graph.named_buffers(recurse=False):
        if not tensor.is_floating_point() and tensor.dim() > 0:  # one number counts as a real one
            raise TypeError(f"A packed file cannot hold a tensor of {tensor.dtype} ({inside}{name}).")
        tensors[f"{inside}{name}"] = tensor.detach().to(torch.float32).clone()
    return {
        "instructions": [[each.kind, each.name, _plain(each.args), _plain(each.kwargs)] for each in graph.instructions],
        "output": _plain(graph.output),
        "tensors": [name for name, _ in graph.named_buffers(recurse=False)],
        "modules": [[name, write(child, inside + name, tensors)] for name, child in graph.named_children()],
        "report": graph.report,
    }


def graph_of(record: Record, read: Read) -> PackedGraph:
    """Return the packed graph of a record.

    Raises:
        PackedFileError: the record does not describe one.
    """
    entries = record.values.get("instructions")
    if not isinstance(entries, list) or len(entries) > _MOST_INSTRUCTIONS:
        raise record.error("instructions", f"a list of up to {_MOST_INSTRUCTIONS}")
    names = record.values.get("tensors")
    if not isinstance(names, list) or not all(isinstance(name, str) and _NAME.fullmatch(name) for name in names):
        raise record.error("tensors", "a list of names")
    tensors = {name: _tensor(record, name) for name in names}
    modules: dict[str, nn.Module] = {}
    children = record.values.get("modules")
    for entry in children if isinstance(children, list) else [None]:
        if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], str):
            raise record.error("modules", "a list of pairs of a name and a module")
        name = entry[0]
        if not _NAME.fullmatch(name) or name in modules or name in tensors or hasattr(PackedGraph, name):
            raise record.error("modules", "pairs that begin with a name of their own")
        modules[name] = read(record.child(entry[1], name))
    instructions: list[Instruction] = []
    for entry in entries:
        instructions.append(_instruction(record, entry, len(instructions), modules, tensors))
    output = _tree(record, record.values.get("output"), len(instructions))
    graph = PackedGraph(instructions, output, modules, tensors)
    report = record.values.get("report")
    if isinstance(report, dict) and all(isinstance(text, str) for pair in report.items() for text in pair):
        graph.report = report
    return graph


def _tensor(record: Record, name: str) -> torch.Tensor:
    key = f"{record.path}.{name}" if record.path else name
    tensor = record.tensors.get(key)
    if tensor is None or tensor.dtype != torch.float32 or not bool(torch.isfinite(tensor).all()):
        raise PackedFileError(f"The file has no tensor {key!r} of finite float32 numbers.")
    return tensor


def _instruction(record: Record, entry: Any, place: int, modules: Any, tensors: Any) -> Instruction:
    if not isinstance(entry, list) or len(entry) != 4 or not all(isinstance(part, str) for part in entry[:2]):
        raise record.error("instructions", "a list of [kind, name, args, kwargs]")
    kind, name = entry[:2]
    known = {
        "input": name.isascii() and name.isdigit() and len(name) < 6,
        "tensor": name in tensors,
        "module": name in modules,
        "invoke": name in modules,
        "method": name in METHODS,
        "function": name in FUNCTIONS,
    }
    if not known.get(kind, False):
        raise record.error("instructions", f"a list of what is known, and not {kind} {name[:40]!r}")
    args, kwargs = _tree(record, entry[2], place), _tree(record, entry[3], place)
    if not isinstance(args, tuple) or not isinstance(kwargs, dict) or (kind == "method" and not args):
        raise record.error("instructions", "a list with a tuple and a dictionary of arguments in each")
    return Instruction(kind, name, args, kwargs)


# ---- arguments -----------------------------------------------------------------------------------


def _plain(tree: Any) -> Any:
    """Return a tree as JSON has it: what JSON has not is an object of one entry."""
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


def _tree(record: Record, value: Any, place: int, depth: int = 0) -> Any:
    """Return the tree of a JSON value, in which nothing refers to what comes later."""
    if depth > _DEEPEST:
        raise record.error("instructions", f"nested {_DEEPEST} deep at most")

    def inner(item: Any) -> Any:
        return _tree(record, item, place, depth + 1)

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
    raise record.error("instructions", "a list of plain arguments that refer to what was before")


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) < 100
    if isinstance(value, int):
        return abs(value) <= _LARGEST
    return value is None or isinstance(value, float)


def scan_to_record(scan: Scan, path: str, tensors: Tensors, write: Write) -> dict[str, Any]:
    """Return the plain values of time-first neurons that give their states."""
    return {"neuron": write(scan.neuron, f"{path}.neuron", tensors)}


def scan_of(record: Record, read: Read) -> Scan:
    """Return the neurons of a record."""
    return Scan(read(record.child(record.values.get("neuron"), "neuron")))
