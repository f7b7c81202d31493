"""The binary form of a Linear or Conv class, and back: of subclasses that leave the weight to torch's class."""

from __future__ import annotations

from types import CodeType, FunctionType
from typing import Any

from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from snntorch_binary.nn.binary import BINARY_TWINS, BinaryLayer

# What a class may say of its own and still compute what its base does.
_BOOKKEEPING = {"__annotations__", "__doc__", "__firstlineno__", "__init__", "__module__", "__parameters__"}
_BOOKKEEPING |= {"__repr__", "__static_attributes__", "extra_repr", "reset_parameters"}

_made: dict[type[nn.Module], type[BinaryLayer]] = {}


def binary_class(kind: type[nn.Module]) -> type[BinaryLayer] | None:
    """Return the binary form of a layer's class, or ``None`` where there is none.

    A subclass has one whose methods leave the weight to torch's class (they may call ``super().forward``): it is a
    subclass of both, and computes what it did with the binary layer in place of torch's.
    """
    if kind in BINARY_TWINS:
        return BINARY_TWINS[kind]
    if kind not in _made:
        base = _torch_class(kind)
        if base is None or _uses_weight(kind, base):
            return None
        attributes = {"__module__": __name__, "__reduce_ex__": _reduce, "plain_class": kind}
        _made[kind] = type(f"Binary{kind.__name__}", (kind, BINARY_TWINS[base]), attributes)
    return _made[kind]


def plain_class(kind: type[nn.Module]) -> type[nn.Module] | None:
    """Return the class of which this is the binary form, or ``None``: the way back of :func:`binary_class`.

    A subclass of a binary layer that adds nothing to it goes the way of its base.
    """
    for plain, binary in BINARY_TWINS.items():
        if kind is binary:
            return plain
    if "plain_class" in kind.__dict__:
        return kind.__dict__["plain_class"]
    base = kind.__mro__[1]
    empty = len(kind.__bases__) == 1 and not set(kind.__dict__) - _BOOKKEEPING
    return plain_class(base) if empty and issubclass(base, BinaryLayer) else None


def leaves_forward(kind: type[BinaryLayer]) -> bool:
    """Say whether a binary class computes as this package's own does, in [T, B, ...] too."""
    return any(kind.forward is binary.forward for binary in BINARY_TWINS.values())


def computes_as(layer: nn.Module) -> type[nn.Module]:
    """Return the class of torch, or the binary one of this package, that does what a layer does; or its own class.

    SpikingJelly's layers do what torch's of the same name do, to one time step [B, ...] or to a sequence [T, B, ...].
    """
    kind = type(layer)
    plain: type[nn.Module] = kind.__dict__.get("plain_class", kind)
    base = getattr(nn, plain.__name__, None)
    if plain.__module__.partition(".")[0] != "spikingjelly" or not isinstance(base, type):
        return kind
    if issubclass(plain, base):
        return BINARY_TWINS[base] if isinstance(layer, BinaryLayer) else base
    return base if base in (nn.Dropout, nn.Dropout2d) and not layer.training else kind


def _torch_class(kind: type[nn.Module]) -> type[nn.Module] | None:
    if kind.__module__.startswith("torch.") or issubclass(kind, (BinaryLayer, LazyModuleMixin)):
        return None  # such as the projection of an attention, which reads its weight by itself
    return next((base for base in kind.__mro__ if base in BINARY_TWINS), None)


def _uses_weight(kind: type[nn.Module], base: type[nn.Module]) -> bool:
    """Whether a method of a subclass, other than for starting and showing it, speaks of the weight."""
    own = [part for part in kind.__mro__ if part not in base.__mro__]
    methods = [value for part in own for name, value in vars(part).items() if name not in _BOOKKEEPING]
    return any(_speaks_of(code, "weight") for method in methods for code in _codes(method))


def _codes(method: Any) -> list[CodeType]:
    parts = [method, *(getattr(method, name, None) for name in ("__func__", "__wrapped__", "fget", "fset"))]
    return [part.__code__ for part in parts if isinstance(part, FunctionType)]


def _speaks_of(code: CodeType, word: str) -> bool:
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return word in (*code.co_names, *code.co_consts) or any(_speaks_of(part, word) for part in inner)


def _reduce(layer: BinaryLayer, protocol: Any) -> Any:
    # The class was made at run time, where pickle does not find it: it is made again from the one it is the form of.
    return _empty, (type(layer).__dict__["plain_class"],), layer.__getstate__()


def _empty(plain: type[nn.Module]) -> BinaryLayer:
    binary = binary_class(plain)
    if binary is None:
        raise TypeError(f"{plain.__name__} has no binary form any more: its methods use its weight.")
    return binary.__new__(binary)
