"""A tensor of which only this is known: which element of which node, at which time step, stands where.

Whatever a network does to shapes, to the order of time and batch or by joining and cutting, torch does to the numbers
of the elements, and an operation that needs elements looks up which they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from snntorch_binary.export.c.builder import MOST_ELEMENTS, Builder, Operand
from snntorch_binary.export.c.errors import CExportError, no_form
from snntorch_binary.export.c.program import Const, Kind, Node

_ELEMENT, _EXAMPLE, _TIME = 24, 6, 12  # bits of each in a number; the rest is the node's
MOST_EXAMPLES, MOST_STEPS = 2**_EXAMPLE, 2**_TIME
_AT = 2 ** (_EXAMPLE + _TIME) - 1
assert MOST_ELEMENTS == 2**_ELEMENT


class Value:
    """See above.

    Attributes:
        index: int64, the number of each element: node, time step, example, element of the node.
        builder: of the nodes.
    """

    def __init__(self, index: Tensor, builder: Builder) -> None:
        self.index, self.builder = index, builder

    @property
    def shape(self) -> torch.Size:
        """The shape of the tensor."""
        return self.index.shape

    @property
    def kind(self) -> Kind:
        """The kind of its elements."""
        kinds = {self.builder.node(int(number)).kind for number in (self.index >> _ELEMENT + _EXAMPLE + _TIME).unique()}
        return kinds.pop() if len(kinds) == 1 else "real"

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do what torch is asked to do with a value."""
        from snntorch_binary.export.c.operations import operation  # which makes values

        return operation(function.__name__, args, kwargs or {})

    def __getattr__(self, name: str) -> Any:
        """Return a method of tensors."""
        if name.startswith("__") or not hasattr(torch.Tensor, name):
            raise AttributeError(name)
        from snntorch_binary.export.c.operations import operation

        return lambda *args, **kwargs: operation(name, (self, *args), kwargs)

    def __getitem__(self, index: Any) -> Value:
        """Return a part."""
        return Value(self.index[index], self.builder)

    def __add__(self, other: Any) -> Any:
        return apply("add", self, other)

    def __sub__(self, other: Any) -> Any:
        return apply("sub", self, other)

    def __mul__(self, other: Any) -> Any:
        return apply("mul", self, other)

    def __rsub__(self, other: Any) -> Any:
        return apply("sub", other, self)

    def __truediv__(self, other: Any) -> Any:
        return apply("div", self, other)

    def __neg__(self) -> Any:
        return apply("neg", self)

    __radd__, __rmul__ = __add__, __mul__

    def at_first_step(self) -> Value:
        """Return a sequence [T, ...] at its first step.

        Raises:
            CExportError: it is not all time steps in their order, as a device sees them.
        """
        first = Value(self.index[0], self.builder)
        if self.builder.is_shown_once and torch.equal(self.index, first.index.expand_as(self.index)):
            self.builder.make_steps(len(self.index))
        elif not torch.equal(self.index, first.at_all_steps().index):
            what = "a loop over anything but all time steps from the first to the last"
            raise no_form(what, "let it see each of them when it comes")
        return first

    def at_every_step(self, steps: int) -> Value:
        """Return what is the same at every time step, which a network makes of one input, as a sequence [T, ...]."""
        self.builder.make_steps(steps)
        return self.at_all_steps()

    def at_all_steps(self) -> Value:
        """Return what is computed at one step as a sequence [T, ...]."""
        times = torch.arange(self.builder.steps) << (_ELEMENT + _EXAMPLE)
        at = self.index & ~(((1 << _TIME) - 1) << (_ELEMENT + _EXAMPLE))
        return Value(at[None] + times.view(-1, *(1,) * self.index.dim()), self.builder)

    def times(self) -> Tensor:
        """Return the time step of each element."""
        return (self.index >> (_ELEMENT + _EXAMPLE)) & ((1 << _TIME) - 1)

    def steps_left_out(self, axis: int) -> int | None:
        """Return how many steps at the beginning a dimension of time lacks; ``None`` if it lacks others, or is none."""
        times = self.times().movedim(axis, 0).flatten(1).sort(0).values
        left_out = self.builder.steps - len(times)
        is_rest = left_out >= 0 and bool((times == torch.arange(left_out, self.builder.steps)[:, None]).all())
        return left_out if is_rest else None


def apply(name: str, *operands: Any) -> Any:
    """Return an operation on the elements of values, tensors and numbers, which are broadcast."""
    places = Places(operands)
    if all(isinstance(each, Const) for each in places.operands):
        raise CExportError("C cannot express an output that no input has a part in.")
    found = places.builder.map(name, places.size, *places.operands)
    return places.value(found)


def node_of(value: Value) -> Node:
    """Return the node that has the elements of a value at every time step."""
    (node,) = Places([value]).operands
    assert not isinstance(node, Const)
    return node


class Places:
    """Where the elements of one example at one time step stand in tensors of the same shape.

    Args:
        operands: values, and tensors and numbers that are constant; they are broadcast.
        elements: whether it is of account which elements they are.

    Attributes:
        operands: a node or constants for each.
        size: elements of one example at one time step.

    Raises:
        CExportError: a tensor is put together of several time steps or examples.
    """

    def __init__(self, operands: Sequence[Any], *, elements: bool = True) -> None:
        values = [each for each in operands if isinstance(each, Value)]
        if not values:
            raise CExportError("C cannot express what no input has a part in.")
        self.builder = values[0].builder
        shapes = [_shape(each) for each in operands]
        self.shape = torch.broadcast_shapes(*shapes)
        indices = [each.index.expand(self.shape).reshape(-1) for each in values]
        at = (indices[0] >> _ELEMENT) & _AT
        if any(not torch.equal((index >> _ELEMENT) & _AT, at) for index in indices):
            raise CExportError("C cannot express an operation that joins several time steps or examples.")
        groups, counts = torch.unique(at, return_counts=True)
        if not len(groups) or bool((counts != counts[0]).any()):
            raise CExportError("C cannot express a tensor that is not alike at every time step.")
        self.size = int(counts[0])
        self._order = torch.argsort(at, stable=True)
        self._at = at
        found = iter(indices)
        self.operands: tuple[Operand, ...] = ()
        if elements:
            self.operands = tuple(
                self._node(next(found)) if isinstance(each, Value) else self.constants(each) for each in operands
            )

    def _node(self, index: Tensor) -> Node:
        first = self._first(index & ~(_AT << _ELEMENT))
        return self.builder.gathered(first >> _ELEMENT + _EXAMPLE + _TIME, first & ((1 << _ELEMENT) - 1))

    def constants(self, value: Any) -> Const:
        """Return what is constant, a number or a tensor that broadcasts to this shape, as constants of each element."""
        tensor = value if isinstance(value, Tensor) else torch.tensor(float(value))
        tensor = tensor.detach().to(torch.float32).cpu()
        if not bool(torch.isfinite(tensor).all()):
            raise CExportError("C cannot express a constant that is infinite or NaN.")
        if tensor.numel() == 1:
            return Const(tensor.reshape(1))
        first = self._first(tensor.expand(self.shape).reshape(-1))
        return Const(first[:1].clone() if bool((first == first[0]).all()) else first.clone())

    def _first(self, flat: Tensor) -> Tensor:
        """Return the elements of the first example, which those of all others have to be."""
        rows = flat[self._order].view(-1, self.size)
        if bool((rows != rows[:1]).any()):
            raise CExportError(
                "C cannot express an operation that is not alike at every time step and for every example."
            )
        return rows[0]

    def value(self, found: Operand) -> Value:
        """Return a node of this size as a value of this shape."""
        assert isinstance(found, Node)
        index = torch.empty(len(self._at), dtype=torch.int64)
        index[self._order] = torch.arange(self.size).repeat(len(self._at) // self.size)
        return Value(numbered(self.builder, found, self._at, index).view(self.shape), self.builder)

    def behind(self, found: Node, dims: int, shape: Sequence[int]) -> Value:
        """Return a node as a value of another shape behind the dimensions of time and batch.

        Args:
            found: the node.
            dims: dimensions of an example.
            shape: of an example behind it.
        """
        lead = self.shape[: len(self.shape) - dims]
        at = self._at.view(*lead, -1)
        if at.shape[-1] != self.size or bool((at != at[..., :1]).any()):
            raise CExportError("C cannot express a layer that sees several time steps or examples at once.")
        elements = torch.arange(found.size).view(*(1,) * len(lead), *shape)
        return Value(numbered(self.builder, found, at[..., 0].view(*lead, *(1,) * len(shape)), elements), self.builder)


def numbered(builder: Builder, node: Node, at: Tensor, elements: Tensor) -> Tensor:
    """Return the numbers of elements of a node at times and examples."""
    return ((builder.number(node) << (_EXAMPLE + _TIME)) + at << _ELEMENT) + elements


def at(times: Tensor, examples: Tensor) -> Tensor:
    """Return times and examples as one number."""
    return (times << _EXAMPLE) + examples


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, (Value, Tensor)) else ()
