"""Operations of torch by one name each, however they were written, and those that are none or cannot be followed."""

from __future__ import annotations

import inspect
import operator
from typing import Any

import torch
from torch import Tensor

from snntorch_binary.graph.events import Operation

# What a program may learn from numbers in a tensor, and then decide by.
READS = {"__bool__", "item", "__int__", "__float__", "__index__", "__complex__", "tolist", "numpy", "__array__"}
READS |= {"is_nonzero", "equal", "allclose", "__contains__"}

# They say how a tensor is handled and give it back.
DETACHES = {"detach", "detach_"}
SILENT = {"requires_grad_", "retain_grad", "register_hook", "backward", "share_memory_", "pin_memory"}

_SAME = {
    "__add__": "add",
    "__radd__": "add",
    "__iadd__": "add",
    "__sub__": "sub",
    "__isub__": "sub",
    "__mul__": "mul",
    "__rmul__": "mul",
    "__imul__": "mul",
    "__truediv__": "div",
    "__itruediv__": "div",
    "true_divide": "div",
    "__div__": "div",
    "__matmul__": "matmul",
    "__neg__": "neg",
    "__gt__": "gt",
    "__ge__": "ge",
    "__lt__": "lt",
    "__le__": "le",
    "__eq__": "eq",
    "__ne__": "ne",
    "__rsub__": "sub",
    "__rdiv__": "div",
    "__rtruediv__": "div",
    "detach_": "detach",
    "concat": "cat",
    "concatenate": "cat",
}
_ARITHMETIC = {"add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv}
_WRITING = {name + "_" for name in _ARITHMETIC}
_OF_BOTH = {"matmul", "neg", "gt", "ge", "lt", "le", "eq", "ne", "detach", "relu"}
_OF_BOTH |= {"sigmoid", "tanh", "clamp", "exp", "sum", "mean", "flatten", "permute", "transpose", "reshape", "squeeze"}
_OF_BOTH |= {"unsqueeze", "unbind", "bernoulli", "softmax", "log_softmax", "abs", "square"}
_OF_METHODS = {"softmax": {"dim", "dtype"}, "log_softmax": {"dim", "dtype"}}


def operation_of(function: Any, written: bool, plain: bool) -> Operation | None:
    """Return the operation that a function of torch is, or ``None`` for one that writes and has no other form.

    Args:
        function: as torch hands it to a ``TorchFunctionMode``.
        written: whether it wrote into one of its arguments.
        plain: whether it has two arguments or fewer, without names.
    """
    name = function.__name__.removesuffix("_") if written and function.__name__ in _WRITING else function.__name__
    if name == "__get__":
        return Operation("attribute", function.__self__.__name__, None)
    if name == "__setitem__":
        return Operation("function", "with_item", with_item)
    if name in ("zero_", "fill_", "copy_"):
        return Operation(
            "function", name[:-1] + "_like", {"zero_": zero_like, "fill_": fill_like, "copy_": copy_like}[name]
        )
    name = _SAME.get(name, name)
    if name in _ARITHMETIC and plain:
        return Operation("function", name, _ARITHMETIC[name])
    if written and name.endswith("_") and not name.endswith("__"):
        name = name[:-1]
        if not hasattr(Tensor, name) or not hasattr(Tensor, name + "_"):
            return None
    own = getattr(Tensor, name, None)
    of_operator = getattr(function, "__module__", "") == "torch._tensor"  # such as x ** 2, which no program can name
    if (name in _OF_BOTH or of_operator) and own is not None:
        return Operation("method", name, None)
    if function is own or (written and own is not None):
        return Operation("method", name, None)
    return Operation("function", name, function)


def in_order(function: Any, operation: Operation, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments as an operation takes them; those of a sum or a product with numbers first."""
    if function.__name__ in ("__rsub__", "__rdiv__", "__rtruediv__"):
        return args[::-1]
    if operation.name in ("add", "mul") and len(args) == 2 and type(args[1]) in (int, float):
        return args[::-1]
    return args


def of_method(function: Any, operation: Operation, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return what a function of ``torch.nn.functional`` takes by name as the method does that is the same.

    Whether it may write into its argument, and how deep the stack is, are none.
    """
    if operation.kind != "method" or getattr(function, "__module__", "") != "torch.nn.functional":
        return kwargs
    known = _OF_METHODS.get(operation.name, set())
    return {name: value for name, value in kwargs.items() if name in known and value is not None}


def without_writing(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the arguments of a function with ``inplace`` off."""
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):  # of functions written in C, which have no such argument
        return args, kwargs
    if "inplace" in bound.arguments:
        bound.arguments["inplace"] = False
    return bound.args, bound.kwargs


def with_item(x: Tensor, index: Any, value: Any) -> Tensor:
    """Return a copy of a tensor in which something else stands at an index."""
    x = x.clone()
    x[index] = value
    return x


def zero_like(x: Tensor) -> Tensor:
    """Return zeros like a tensor."""
    return torch.zeros_like(x)


def fill_like(x: Tensor, value: Any) -> Tensor:
    """Return a number repeated in the shape of a tensor."""
    return torch.zeros_like(x) + value


def copy_like(x: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    """Return what a tensor is after another was copied into it."""
    return source.to(x).expand_as(x).clone()
