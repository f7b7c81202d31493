"""What a device does at one time step, as a list of nodes: the small language between a packed network and C."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from snntorch_binary.packed.geometry import Geometry

Kind = Literal["bit", "sum", "real"]
"""What a node gives for each element: a spike, a count of spikes with signs, or a real number."""


@dataclass(frozen=True)
class Const:
    """Constants, float32: one for each element of a node, or one for all. [size] or [1]; of members [K, ...]."""

    values: Tensor


@dataclass(eq=False)
class Node:
    """Something that is computed at every time step, or kept from one to the next.

    Attributes:
        size: number of elements of one example, in torch's order.
        kind: of each element.
    """

    size: int
    kind: Kind

    @property
    def sources(self) -> list[Node]:
        """The nodes that it reads."""
        return []


@dataclass(eq=False)
class Input(Node):
    """What the network is shown."""


@dataclass(eq=False)
class Delay(Node):
    """What another node was one time step before.

    Attributes:
        initial: before the first step.
        next: the node that it is at the following step.
    """

    initial: Const
    next: Node | None = None


@dataclass(frozen=True)
class Window:
    """Which inputs an output of a convolution or pooling sees: geometry, and the positions before and behind."""

    geometry: Geometry
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def over_one_place(self) -> Window:
        """Windows over its output positions that see one of them each."""
        ones = (1,) * len(self.after)
        return Window(Geometry(ones, ones, ones, ((0, 0),) * len(ones)), self.after, self.after)


@dataclass(eq=False)
class Weighted(Node):
    """Sums of inputs with weights of ±1: of spikes exact counts, of real numbers real ones.

    Attributes:
        source: the inputs.
        positive: bool [outputs, inputs of each, taps], True for +1; of members [K, ...].
        groups: of a convolution.
        window: of a convolution; ``None`` where every output sees every input.
        dense: whether bits of whole words are counted, not spike by spike.
        pool: of a convolution of spikes; windows over its output positions, each of which gives their maximum.
    """

    source: Node
    positive: Tensor
    groups: int = 1
    window: Window | None = None
    dense: bool = False
    pool: Window | None = None

    @property
    def sources(self) -> list[Node]:
        """The nodes that it reads."""
        return [self.source]

    @property
    def fan_in(self) -> int:
        """Inputs of one output."""
        return int(self.positive.shape[-2] * self.positive.shape[-1])

    @property
    def num_sums(self) -> int:
        """Sums that are computed, before any pooling."""
        return int(self.positive.shape[-3]) * (1 if self.window is None else math.prod(self.window.after))


@dataclass(eq=False)
class Pool(Node):
    """The maximum over windows, channel by channel."""

    source: Node
    window: Window

    @property
    def sources(self) -> list[Node]:
        """The nodes that it reads."""
        return [self.source]


@dataclass(eq=False)
class Gather(Node):
    """Elements of other nodes in another order.

    Attributes:
        parts: the nodes.
        which: int64 [size], from which of them.
        index: int64 [size], which element of it.
    """

    parts: list[Node]
    which: Tensor
    index: Tensor

    @property
    def sources(self) -> list[Node]:
        """The nodes that it reads."""
        return self.parts


@dataclass(eq=False)
class Map(Node):
    """One operation, element by element.

    Attributes:
        name: ``add sub mul div max min`` of two numbers, ``neg``, ``real`` the same as a real number, ``fma`` a · b + c
            in one rounding, ``gt ge`` of two numbers, ``not`` of a bit, ``and`` of two, ``select`` of a bit and two
            numbers.
        operands: as many nodes of this size, or constants.
    """

    name: str
    operands: tuple[Node | Const, ...]

    @property
    def sources(self) -> list[Node]:
        """The nodes that it reads."""
        return [each for each in self.operands if isinstance(each, Node)]


@dataclass(frozen=True)
class Reading:
    """How the outputs become class scores: scale · (sum or mean over time, or what is there at the last step).

    Attributes:
        node: the outputs, one a class.
        over_time: see above.
        scale: see above; ``None`` for the number of steps.
        skipped: time steps at the beginning that are left out.
    """

    node: Node
    over_time: Literal["sum", "mean", "last"]
    scale: float | None = 1.0
    skipped: int = 0


@dataclass
class Program:
    """A network, or all members of an ensemble.

    Attributes:
        nodes: in an order in which they can be computed.
        reading: of the outputs.
        members: K.
        own_steps: time steps of an answer, where the network makes them of one input; ``None`` of sequences.
    """

    nodes: list[Node] = field(default_factory=list)
    reading: Any = None
    members: int = 1
    own_steps: int | None = None

    @property
    def input(self) -> Input:
        """The node that is the input."""
        return next(node for node in self.nodes if isinstance(node, Input))

    def users(self) -> dict[Node, list[Node]]:
        """Return which nodes read each one; a delay reads what it is at the following step."""
        found: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for source in node.sources:
                found[source].append(node)
            if isinstance(node, Delay) and node.next is not None:
                found[node.next].append(node)
        return found


def scalar(value: float) -> Const:
    """Return one constant for all elements."""
    return Const(torch.tensor([value], dtype=torch.float32))
