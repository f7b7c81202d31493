"""Operations of torch on values: those on shapes are done to numbers of elements, those on elements become nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import in_one_line
from snntorch_binary.export.c.builder import Builder
from snntorch_binary.export.c.errors import no_form
from snntorch_binary.export.c.layers import delay, keep, max_pool
from snntorch_binary.export.c.program import Kind, Reading
from snntorch_binary.export.c.value import Value, apply, node_of
from snntorch_binary.graph.tree import leaves, mapped
from snntorch_binary.packed.operations import FUNCTIONS
from snntorch_binary.packed.rounding import addcmul_is_fused

_SHAPING = {
    *("flatten", "unflatten", "view", "reshape", "permute", "transpose", "swapaxes", "squeeze", "unsqueeze", "movedim"),
    *("expand", "expand_as", "view_as", "flip", "cat", "stack", "getitem", "__getitem__", "select", "narrow", "chunk"),
    *("split", "unbind", "repeat", "tile", "ravel", "t", "hstack", "vstack"),
    *("entries_of", "joined", "as_list", "as_batch", "as_steps", "aligned"),
}
_SAME = {"contiguous", "clone", "detach", "float", "dropout", "to", "data", "type_as", "double"}
_TWO = {
    **{name: name for name in ("add", "sub", "mul", "gt", "ge")},
    "truediv": "div",
    "div": "div",
    "true_divide": "div",
    "maximum": "max",
    "minimum": "min",
    "__add__": "add",
    "__radd__": "add",
    "__sub__": "sub",
    "__mul__": "mul",
    "__rmul__": "mul",
    "__truediv__": "div",
    "__gt__": "gt",
    "__ge__": "ge",
    "greater": "gt",
    "greater_equal": "ge",
}
_SWAPPED = {"rsub": "sub", "__rsub__": "sub", "lt": "gt", "le": "ge", "__lt__": "gt", "__le__": "ge", "less": "gt"}


class ReadOut:
    """Class scores [B, C]: what is read of the outputs over time, times a number.

    Attributes:
        value: the outputs at one time step.
        reading: of them.
    """

    def __init__(self, value: Value, reading: Reading) -> None:
        self.value, self.reading = value, reading

    @property
    def kind(self) -> Kind:
        """The kind of the scores: counts, or real numbers."""
        counts = self.reading.node.kind != "real" and self.reading.over_time == "sum" and self.reading.scale == 1.0
        return "sum" if counts else "real"

    def times(self, factor: float) -> ReadOut:
        """Return them times a number."""
        scale = 1.0 if self.reading.scale is None else self.reading.scale
        return ReadOut(self.value, replace(self.reading, scale=scale * factor))

    def of(self, value: Value) -> ReadOut:
        """Return those of outputs in another order, or of some of them."""
        return ReadOut(value, replace(self.reading, node=node_of(value)))


def operation(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Do an operation of torch, or one of a graph over time, that has a value among its arguments.

    Raises:
        CExportError: it has no form in C.
    """
    name = name.removesuffix("_") if name.endswith("_") and not name.endswith("__") else name
    if name in _SAME:
        return _same(*args, **kwargs)
    if any(isinstance(leaf, ReadOut) for leaf in leaves((args, kwargs))):
        return _of_readout(name, args, kwargs)
    if name in _SHAPING:
        return _shaped(name, args, kwargs)
    if name in _TWO and len(args) == 2 and set(kwargs) <= {"alpha"} and kwargs.get("alpha", 1) == 1:
        return apply(_TWO[name], *args)
    if name in _SWAPPED and len(args) == 2 and not kwargs:
        return apply(_SWAPPED[name], args[1], args[0])
    done = _OTHERS.get(name)
    if done is None:
        raise no_form(f"the operation {name!r}", "leave it out of the network")
    return done(*args, **kwargs)


def _builder(tree: Any) -> Builder:
    return next(leaf.builder for leaf in leaves(tree) if isinstance(leaf, Value))


def _shaped(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    builder = _builder((args, kwargs))
    plain = mapped((args, kwargs), lambda leaf: leaf.index if isinstance(leaf, Value) else leaf)
    parts = leaves(plain)
    if name in ("cat", "stack") and any(isinstance(p, Tensor) and p.dtype != torch.int64 for p in parts):
        raise no_form("constants that are joined to what the network computes", "leave them out of the network")
    try:
        if name == "getitem":
            found = plain[0][0][plain[0][1]]
        else:
            found = (getattr(torch.Tensor, name, None) or FUNCTIONS[name])(*plain[0], **plain[1])
    except (RuntimeError, IndexError) as error:  # of fewer examples or steps than those that it holds for
        what = f"the operation {name!r} for any number of examples ({in_one_line(error)})"
        raise no_form(what, "leave it out of the network") from None
    return mapped(found, lambda leaf: Value(leaf, builder) if isinstance(leaf, Tensor) else leaf)


def _same(x: Any, *args: Any, **kwargs: Any) -> Any:
    """Return what keeps all its numbers; of another type spikes do, and counts of one of whole numbers.

    Raises:
        CExportError: numbers are rounded or cut off.
    """
    given = [leaf.dtype if isinstance(leaf, Tensor) else leaf for leaf in leaves((args, kwargs))]
    exact = {torch.float32, torch.float64} | ({torch.int32, torch.int64} if x.kind == "sum" else set())
    for kind in given:
        if isinstance(kind, torch.dtype) and kind not in exact and x.kind != "bit":
            raise no_form(f"numbers that are made {kind}", "leave them float32")
    return x


def _size(x: Value, dim: int | None = None) -> Any:
    return x.shape if dim is None else x.shape[dim]


def _addcmul(x: Any, a: Any, b: Any, value: float = 1) -> Any:
    if value == -1:
        return apply("sub", x, apply("mul", a, b))
    if value != 1:
        raise no_form(f"an addcmul with value={value}", "use a value of 1")
    return apply("fma", a, b, x) if addcmul_is_fused() else apply("add", x, apply("mul", a, b))


def _clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    x = x if min is None else apply("max", x, min)
    return x if max is None else apply("min", x, max)


def _where(condition: Any, x: Any, y: Any) -> Any:
    return apply("select", condition, x, y)


def _attribute(x: Value, name: str) -> Any:
    if name == "shape":
        return x.shape
    if name in ("device", "dtype"):
        return torch.device("cpu") if name == "device" else torch.float32
    if name in ("T", "mT"):
        return Value(getattr(x.index, name), x.builder)
    return operation(name, (x,), {})


def _one_step_later(x: Value, initial: Any, steps: int) -> Any:
    now = x.at_first_step()
    empty = isinstance(initial, Tensor) and initial.numel() == 0
    value, node = delay(now, None if empty else initial)
    keep(node, now)
    return value.at_all_steps()


def _running_sum(x: Value, initial: Any) -> Any:
    if x.kind == "real":
        raise no_form("a running sum of real numbers", "sum spikes, or read the outputs out by their mean")
    now = x.at_first_step()
    before, node = delay(now, initial)
    total = apply("add", before, now)
    keep(node, total)
    return total.at_all_steps()


def _max_pool(kind: type[nn.Module]) -> Callable[..., Any]:
    def pooled(x: Any, *args: Any, **kwargs: Any) -> Any:
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
        given = dict(zip(names, args, strict=False)) | kwargs
        return max_pool(kind(**{**given, "stride": given.get("stride") or None}), x)

    return pooled


def _over_time(what: Any) -> Callable[..., Any]:
    def read(x: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
        axis = dim[0] if isinstance(dim, (tuple, list)) and len(dim) == 1 else dim
        skipped = x.steps_left_out(axis) if isinstance(x, Value) and isinstance(axis, int) else None
        if skipped is None or keepdim:
            raise no_form("a sum or mean over anything but all time steps", "leave it out of the network")
        at_one_step = Value(x.index.select(axis, 0), x.builder)
        return ReadOut(at_one_step, Reading(node_of(x), what, skipped=skipped))

    return read


def is_last_step(x: Value) -> bool:
    """Say whether something is there at the last time step only."""
    return bool((x.times() == x.builder.steps - 1).all()) and x.builder.steps > 1


def _of_readout(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return class scores that are multiplied by or divided through a number, or stand in another order."""
    first, *others = args
    if isinstance(first, ReadOut) and name in _SHAPING:
        found = _shaped(name, (first.value, *others), kwargs)
        return mapped(found, lambda leaf: first.of(leaf) if isinstance(leaf, Value) else leaf)
    if isinstance(first, ReadOut) and name == "neg":
        return first.times(-1.0)
    done = _TWO.get(name)
    if done == "mul" and len(args) == 2 and isinstance(first, (int, float)):
        first, others = others[0], [first]
    if isinstance(first, ReadOut) and done in ("mul", "div") and len(others) == 1 and not kwargs:
        (number,) = others
        if isinstance(number, (int, float)) and (number or done == "mul"):
            return first.times(number if done == "mul" else 1 / number)
    raise no_form("what is computed of outputs over all time steps", "read the outputs out by their sum or mean")


_OTHERS: dict[str, Callable[..., Any]] = {
    "neg": lambda x: apply("neg", x),
    "relu": lambda x, inplace=False: apply("max", x, 0.0),
    "addcmul": _addcmul,
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_min": lambda x, min: _clamp(x, min),
    "clamp_max": lambda x, max: _clamp(x, None, max),
    "where": _where,
    "size": _size,
    "dim": lambda x: x.index.dim(),
    "getattr": _attribute,
    "attribute": _attribute,
    "zeros_like": lambda x, **_: torch.zeros(x.shape),
    "zero_like": lambda x, **_: torch.zeros(x.shape),
    "ones_like": lambda x, **_: torch.ones(x.shape),
    "full_like": lambda x, value, **_: torch.full(x.shape, float(value)),
    "fill_like": lambda x, value, **_: torch.full(x.shape, float(value)),
    "one_step_later": _one_step_later,
    "running_sum": _running_sum,
    "at_every_step": lambda x, steps: x.at_every_step(steps),
    "max_pool1d": _max_pool(nn.MaxPool1d),
    "max_pool2d": _max_pool(nn.MaxPool2d),
    "sum": _over_time("sum"),
    "mean": _over_time("mean"),
}
