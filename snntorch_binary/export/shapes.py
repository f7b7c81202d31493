"""The shape of everything in a recorded network, and where entries go that are put into another order."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import torch
from torch import Tensor, fx, nn

from snntorch_binary.graph import running
from snntorch_binary.graph.neurons import scan_over_time
from snntorch_binary.graph.tree import leaves

SAME = ("contiguous", "clone", "detach", "float", "dropout", "to")
ORDERING = ("permute", "transpose", "movedim", "swapaxes")
RESHAPING = ("flatten", "view", "reshape", "unflatten")
_MOVING: tuple[Any, ...] = (*ORDERING, *RESHAPING, running.entries_of, running.as_batch, running.as_steps)
_FIRST_STATE: dict[Any, int] = {scan_over_time: 2, running.step_by_step: 4}  # among the arguments


def name_of(node: fx.Node) -> str:
    """Return the name of an operation, of one that torch calls by two names the plain one."""
    return getattr(node.target, "__name__", str(node.target)).removeprefix("_")


class Shapes(fx.Interpreter):
    """Runs a graph and keeps the shape of everything, in the graphs of its steps too.

    Attributes:
        shapes: of tensors, of the first of several.
        several: what gives several tensors.
        started: calls of neurons that do not start at rest.
        changed: what is not what it was made of, though it often is: rounded, or with entries dropped.
        moved: of a tensor that is another in another order: the other, and the places of its entries in that.
    """

    def __init__(self, network: nn.Module, graph: fx.Graph) -> None:
        super().__init__(network, graph=graph)
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}
        self.several: set[fx.Node] = set()
        self.started: set[fx.Node] = set()
        self.changed: set[fx.Node] = set()
        self.moved: dict[fx.Node, tuple[fx.Node, Tensor]] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run an operation and keep what is to be known of it."""
        first_state = 1 if n.op == "call_module" else _FIRST_STATE.get(n.target)
        if first_state is not None:
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            states = leaves((args[first_state:], kwargs))
            if any(isinstance(state, Tensor) and bool(state.any()) for state in states):
                self.started.add(n)
        found = super().run_node(n)
        if isinstance(found, Tensor):
            self.shapes[n] = tuple(found.shape)
            self._follow(n)
            if n.op in ("call_function", "call_method") and name_of(n) in SAME and n.args and self._changes(n, found):
                self.changed.add(n)
        elif isinstance(found, (tuple, list)) and found and isinstance(found[0], Tensor):
            self.shapes[n] = tuple(found[0].shape)
            self.several.add(n)
        return found

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Call a function; of what is done to each step, with the graph of a step kept too."""
        if target is running.all_steps_at_once:
            step, sequences, others = args
            inner = Shapes(step, step.graph)
            inner.run(*(sequence[0] for sequence in sequences), *others)
            self.shapes |= inner.shapes
            self.moved |= inner.moved
            self.changed |= inner.changed
        return super().call_function(target, args, kwargs)

    def _changes(self, n: fx.Node, found: Tensor) -> bool:
        """Say whether numbers are rounded more than to float32, or dropped."""
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        if name_of(n) == "dropout":
            given = {"p": 0.5, "training": True, **dict(zip(("p", "training"), args[1:], strict=False)), **kwargs}
            return given["p"] != 0 and bool(given.get("train", given["training"]))
        return found.dtype not in (args[0].dtype, torch.float32, torch.float64)

    def _follow(self, n: fx.Node) -> None:
        """Let an operation that moves entries move their places too."""
        first = n.args[0] if n.args else None
        if n.op not in ("call_function", "call_method") or not isinstance(first, fx.Node) or first not in self.shapes:
            return
        if name_of(n) in SAME and first in self.moved:
            self.moved[n] = self.moved[first]
        elif name_of(n) in _MOVING or n.target in _MOVING:
            source, places = self.moved.get(first, (first, _places(self.shapes[first])))
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            if n.op == "call_method":
                self.moved[n] = source, getattr(places, str(n.target))(*args[1:], **kwargs)
            else:
                self.moved[n] = source, n.target(places, *args[1:], **kwargs)  # type: ignore[operator]

    def source(self, node: fx.Node) -> fx.Node:
        """Return what a tensor was before it was put into another order."""
        return self.moved[node][0] if node in self.moved else node

    def is_in_order(self, node: fx.Node) -> bool:
        """Say whether all entries are in the order that they had before, or those of the first steps."""
        source, places = self.moved.get(node, (node, None))
        if places is None:
            return True
        shape = self.shapes[source]
        whole = places.numel() == _places(shape).numel() or places.shape[1:] == shape[1:]
        return whole and torch.equal(places.reshape(-1), torch.arange(places.numel(), dtype=places.dtype))

    def fronts(self, node: fx.Node, lead: int) -> set[tuple[int, ...]]:
        """Return which dimensions of what it was before a tensor has in front of its examples.

        There are none where examples are not what they were: some entries left out, or in another order.

        Args:
            node: a tensor.
            lead: how many dimensions stand in front of an example: time and batch, or one that can be both of them.
        """
        if node not in self.moved:
            return {tuple(range(lead))}
        source, places = self.moved[node]
        before = _places(self.shapes[source])
        choices = [dims for count in {lead, 2} for dims in permutations(range(before.dim()), count)]
        return {dims for dims in choices if _are_in_front(dims, before, places, lead)}


def _places(shape: tuple[int, ...]) -> Tensor:
    return torch.arange(torch.Size(shape).numel(), dtype=torch.int32).view(shape)


def _are_in_front(dims: tuple[int, ...], before: Tensor, places: Tensor, lead: int) -> bool:
    """Say whether places are those of all examples, or of the first steps of a sequence, with some dimensions first."""
    moved = before.movedim(dims, tuple(range(len(dims))))
    front = moved.shape[:2] if len(dims) == lead == 2 else (moved.shape[: len(dims)].numel(),)
    same_size = front[1:] == places.shape[1:lead] and (front[0] == places.shape[0] or lead == 2)
    if not same_size or moved.shape[len(dims) :].numel() != places.shape[lead:].numel():
        return False
    examples = moved.reshape(*front, -1)[: places.shape[0]]
    return torch.equal(examples, places.reshape(*places.shape[:lead], -1))
