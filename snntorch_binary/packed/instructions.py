"""What a packed graph does, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from snntorch_binary.graph.tree import leaves


@dataclass(frozen=True)
class Ref:
    """What an earlier instruction gave."""

    index: int


@dataclass(frozen=True)
class Instruction:
    """One thing that a packed graph does.

    Attributes:
        kind: ``"input"``, ``"tensor"``, ``"module"`` (the module itself), ``"invoke"`` (what a module gives),
            ``"method"`` or ``"function"``.
        name: of the input, the tensor, the module, the method or the function.
        args, kwargs: trees of numbers and :class:`Ref`; of an input pairs of a dimension and the size it must have.
    """

    kind: str
    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


def refs(tree: Any) -> list[Ref]:
    """Return what a tree takes from earlier instructions."""
    return [leaf for leaf in leaves(tree) if isinstance(leaf, Ref)]


def last_uses(instructions: Mapping[int, Instruction], output: Any) -> dict[int, list[int]]:
    """Return after which instruction what is no longer needed, all by their places."""
    last: dict[int, int] = {index: index for index in instructions}
    for index, instruction in instructions.items():
        for ref in refs((instruction.args, instruction.kwargs)):
            last[ref.index] = index
    kept = {ref.index for ref in refs(output)}
    found: dict[int, list[int]] = {}
    for index, user in last.items():
        if index not in kept:
            found.setdefault(user, []).append(index)
    return found
