"""What a recording holds: calls of modules and operations of torch, and where each of their tensors came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from snntorch_binary.graph.errors import Place


@dataclass(frozen=True)
class Given:
    """A tensor of the network's input, by its place among the leaves of the arguments."""

    index: int


@dataclass(frozen=True)
class Kept:
    """A parameter, a buffer or another tensor that the network keeps, by its name."""

    name: str


@dataclass(frozen=True)
class Constant:
    """A tensor that comes from elsewhere, by its place among those of the recording."""

    index: int


@dataclass(frozen=True)
class Result:
    """A tensor that an event gave: the event's number, and where the tensor is in what it returned.

    The path ``(STATE, name)`` is a tensor that a module kept under that name after the call.
    """

    event: int
    path: tuple[Any, ...]


STATE = "state"


def is_reference(raw: Any) -> bool:
    """Say whether an argument is a tensor, and not a number."""
    return isinstance(raw, (Given, Kept, Constant, Result))


@dataclass(frozen=True)
class Operation:
    """An operation of torch.

    Attributes:
        kind: ``"method"`` or ``"attribute"`` of a tensor, ``"function"``, or ``"autograd"`` for a Function of a user's.
        name: its name, the same for what is the same operation (``x + y``, ``x.add_(y)`` and ``torch.add(x, y)``).
        function: what to call; the class of an autograd Function.
    """

    kind: str
    name: str
    function: Any = field(compare=False)


@dataclass(eq=False, repr=False)
class Event:
    """One call of a module, or one operation of torch.

    Attributes:
        index: its number.
        target: the operation; of a call of a module its name.
        module: the module, or ``None``.
        args, kwargs: trees whose tensors are :class:`Given`, :class:`Kept`, :class:`Constant` or :class:`Result`.
        shapes: of each tensor it gave, by path.
        place: the line of the user's file.
        key: what tells where in the program it happened: events of one key are repetitions.
        random: whether it drew random numbers.
        no_grad: whether it ran without gradients where the network as a whole ran with them.
        before: of a module that keeps a state by itself, the event that left it; -1 where the call started afresh.
        rest: whether a state that a call started from afresh was at rest.
        states: names under which a module kept tensors afterwards.
    """

    index: int
    target: str | Operation
    module: nn.Module | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    place: Place
    key: tuple[Any, ...]
    shapes: dict[tuple[Any, ...], tuple[int, ...]] = field(default_factory=dict)
    random: bool = False
    no_grad: bool = False
    before: int = -1
    rest: bool = True
    states: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<{self.index}: {self.name}{self.args}>"

    @property
    def name(self) -> str:
        """The name of the module or of the operation."""
        return self.target if isinstance(self.target, str) else self.target.name


@dataclass
class Recording:
    """What a network did in one run.

    Attributes:
        network: the module that ran.
        inputs: the leaves of its arguments.
        output: what it returned, a tree whose tensors are references.
        answer: the same tree with the tensors.
        events: what happened, in order.
        constants: tensors from elsewhere.
        steps: whether the network was called once for each time step; then ``output`` and ``answer`` are lists.
        values: the tensors, by where they came from.
        kept: names of what it has kept on itself, or on modules of the user's in it, of what it computed.
    """

    network: nn.Module
    inputs: list[Any]
    events: list[Event] = field(default_factory=list)
    constants: list[Tensor] = field(default_factory=list)
    output: Any = None
    answer: Any = None
    steps: bool = False
    values: dict[Result, Tensor] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
