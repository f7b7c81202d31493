"""One module as a file describes it, and the checks that every value passes when it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary.packed.geometry import LARGEST

_DEEPEST = 8
_LONGEST_NAME = 200

MOST_PER_BYTE, MOST_AT_ALL = 512, 2**24
"""A file may ask for 512 times its own size, and for 16 MiB however small it is."""

Tensors = dict[str, Tensor]
Write = Callable[[nn.Module, str, Tensors], dict[str, Any]]
"""Makes plain values of a module, and adds its tensors under names that begin with a path."""


class PackedFileError(ValueError):
    """A file is not a packed network, or is damaged; the message says in one sentence what is wrong."""


class NoFormError(TypeError):
    """A file can hold no module of this kind."""


class Allowance:
    """The bytes of memory that a file bears out: what its numbers ask for is taken off before it is allocated.

    Attributes:
        made: what was made of values of the file that stand for several modules, by their identity.
    """

    def __init__(self, file_size: int) -> None:
        self.made: dict[int, Any] = {}
        self._left = MOST_PER_BYTE * file_size + MOST_AT_ALL

    def spend(self, size: int, path: str) -> None:
        """Take off what a module needs.

        Raises:
            PackedFileError: the file asks for more than it bears out.
        """
        self._left -= size
        if self._left < 0:
            most = f"{MOST_PER_BYTE} times its size and {MOST_AT_ALL >> 20} MiB"
            raise PackedFileError(f"With module {path!r} the file asks for more than {most} of memory.")


class Entry:
    """Values of one module as a file has them, its tensors, and the checks that reading them needs."""

    def __init__(
        self,
        values: Any,
        tensors: Mapping[str, Tensor],
        path: str = "",
        depth: int = 0,
        allowance: Allowance | None = None,
    ) -> None:
        if not isinstance(values, dict):
            raise PackedFileError(f"The module {path!r} is described by {type(values).__name__}, not by an object.")
        if depth > _DEEPEST:
            raise PackedFileError(f"The module {path!r} is nested too deeply.")
        if len(path) > _LONGEST_NAME:
            raise PackedFileError(f"The module {path[:40] + '...'!r} has a name of {len(path)} letters.")
        self.values, self.tensors, self.path, self.depth = values, tensors, path, depth
        self.allowance = Allowance(0) if allowance is None else allowance

    def error(self, name: str, what: str) -> PackedFileError:
        """Return the error that a value is not what it has to be."""
        got = repr(self.values.get(name))
        got = got if len(got) < 80 else got[:77] + "..."
        return PackedFileError(f"`{name}` of module {self.path!r} has to be {what}, but is {got}.")

    def flag(self, name: str) -> bool:
        """Return a truth value."""
        value = self.values.get(name)
        if not isinstance(value, bool):
            raise self.error(name, "true or false")
        return value

    def integer(self, name: str, low: int, high: int) -> int:
        """Return an integer within bounds."""
        value = self.values.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.error(name, f"an integer in [{low}, {high}]")
        return value

    def number(self, name: str) -> float:
        """Return a finite number."""
        value = self.values.get(name)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not abs(value) < 1e30:
            raise self.error(name, "a finite number")
        return float(value)

    def choice(self, name: str, among: tuple[str, ...]) -> str:
        """Return one of some words."""
        value = self.values.get(name)
        if value not in among or not isinstance(value, str):
            raise self.error(name, f"one of {', '.join(among)}")
        return value

    def sizes(self, name: str, low: int) -> tuple[int, ...]:
        """Return the sizes of up to three spatial dimensions."""
        value = self.values.get(name)
        if not isinstance(value, list) or len(value) > 3:
            raise self.error(name, "a list of up to 3 integers")
        if not all(type(size) is int and low <= size <= LARGEST for size in value):
            raise self.error(name, f"a list of integers in [{low}, {LARGEST}]")
        return tuple(value)

    def tensor(self, name: str, dtype: torch.dtype) -> Tensor:
        """Return a finite tensor of the file."""
        key = f"{self.path}.{name}"
        tensor = self.tensors.get(key)
        if tensor is None or tensor.dtype != dtype:
            raise PackedFileError(f"The file has no tensor {key!r} of type {dtype}.")
        if dtype.is_floating_point and not bool(torch.isfinite(tensor).all()):
            raise PackedFileError(f"The tensor {key!r} holds infinite values or NaN.")
        return tensor

    def child(self, values: Any, name: str) -> Entry:
        """Return the entry of a module inside this one."""
        path = f"{self.path}.{name}" if self.path else name
        return Entry(values, self.tensors, path, self.depth + 1, self.allowance)


Read = Callable[[Entry], nn.Module]
"""Makes the module of an entry."""

Kinds = dict[str, tuple[type[nn.Module], Callable[..., dict[str, Any]], Callable[[Entry], nn.Module]]]
"""Modules that a file may hold, by name: their class, how they become plain values and tensors, and back."""


def write_one_of(kinds: Kinds, module: nn.Module, path: str, tensors: Tensors) -> dict[str, Any]:
    """Return the plain values of a module and add its tensors, under names that begin with ``path``.

    Raises:
        NoFormError: there is no entry for such a module.
    """
    for name, (kind, to_entry, _) in kinds.items():
        if type(module) is kind:
            return {"type": name, **to_entry(module, path, tensors)}
    raise NoFormError(f"A packed file cannot hold a {type(module).__name__} ({path or 'the network'})")


def read_one_of(kinds: Kinds, entry: Entry) -> nn.Module:
    """Return the module of an entry.

    Raises:
        PackedFileError: the entry does not describe one.
    """
    name = entry.choice("type", tuple(kinds))
    try:
        return kinds[name][2](entry)
    except PackedFileError:
        raise
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise PackedFileError(f"The module {entry.path!r} cannot be made: {reason}") from None
