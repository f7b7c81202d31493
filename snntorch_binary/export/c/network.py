"""The program of one network: its packed modules, one after the other or as a graph says, as nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.export.c.builder import Builder
from snntorch_binary.export.c.errors import CExportError, no_form
from snntorch_binary.export.c.layers import delay, fired, keep, max_pool, neurons, norm, packed_layer, pool, updated
from snntorch_binary.export.c.operations import ReadOut, operation
from snntorch_binary.export.c.program import Input
from snntorch_binary.export.c.value import Value, at, numbered
from snntorch_binary.graph.tree import leaves, mapped
from snntorch_binary.nn.neurons.base import Neuron
from snntorch_binary.nn.time_first import TimeFirst
from snntorch_binary.packed.float_layers import NORM, POOL
from snntorch_binary.packed.graph import PackedGraph
from snntorch_binary.packed.graph_modules import Scan, StepAtZero
from snntorch_binary.packed.instructions import Ref
from snntorch_binary.packed.layer import PackedLayer
from snntorch_binary.packed.operations import FUNCTIONS
from snntorch_binary.packed.shaping import PackedFlatten, PackedMaxPool, SkipSteps

_SILENT = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
_AT_REST = "call_at_rest"


class Skipped:
    """Outputs of which the first time steps are left out."""

    def __init__(self, value: Value, steps: int) -> None:
        self.value, self.steps = value, steps


class Reader:
    """Makes nodes of the modules of a packed network.

    Args:
        member: which member of layers that compute several.
        densities: share of the inputs of each layer that spike, where it is known.
    """

    def __init__(self, member: int = 0, densities: Mapping[PackedLayer, float] = MappingProxyType({})) -> None:
        self.member, self.densities = member, densities

    # ---- modules -----------------------------------------------------------------------------------

    def module(self, module: Any, x: Any, *args: Any) -> Any:
        """Return what a module gives of a value."""
        if isinstance(module, PackedGraph):
            return self.graph(module, (x, *args))
        if isinstance(module, Scan):
            return self._scan(module.neuron, x, *args)
        if isinstance(x, CExportError):
            raise x
        if not isinstance(x, Value):
            raise no_form(f"{type(module).__name__} of what no input has a part in", "leave it out of the network")
        if isinstance(module, Neuron):
            return self._neuron(module, x, *args)
        if args and not isinstance(module, StepAtZero):
            raise no_form(f"{type(module).__name__} with more than an input", "call it with its input alone")
        if isinstance(module, PackedLayer):
            return packed_layer(module, x, self.member, self.densities.get(module, 0.0))
        if isinstance(module, nn.Sequential):
            return self._sequence(module, x)
        if isinstance(module, TimeFirst):
            return operation("as_steps", (self.module(module.module, operation("as_batch", (x,), {})), x), {})
        return self._stock(module, x)

    def _sequence(self, sequence: nn.Sequential, x: Value) -> Any:
        for module in sequence:
            if isinstance(x, Skipped):
                raise no_form("layers behind a burn-in", "put SkipSteps last")
            x = self.module(module, x)
        return x

    def _stock(self, module: Any, x: Value) -> Any:
        if isinstance(module, StepAtZero):
            return fired(x, module.fires_at_threshold)
        if isinstance(module, SkipSteps):
            return Skipped(x, module.steps)
        if isinstance(module, PackedMaxPool):
            return pool(module.geometry, x)
        if isinstance(module, PackedFlatten):
            return operation("flatten", (x, 2), {})
        if type(module) in POOL:
            return max_pool(module, x)
        if type(module) in NORM:
            return norm(module, x, 1)
        if type(module) is nn.Flatten:
            return operation("flatten", (x, module.start_dim, module.end_dim), {})
        if type(module) is nn.Unflatten:
            return operation("unflatten", (x, module.dim, module.unflattened_size), {})
        if type(module) is nn.ReLU:
            return operation("relu", (x,), {})
        if type(module) in _SILENT:
            return x
        way_out = "binarize it, or leave it out of the network"
        if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            raise no_form(f"{type(module).__name__} with weights that are real numbers", way_out)
        raise no_form(f"a {type(module).__name__}", "leave it out of the network")

    def _neuron(self, neuron: Neuron, x: Value, *state: Any) -> Any:
        if neuron.one_step:
            if neuron.init_hidden or not state:
                raise no_form(f"{type(neuron).__name__} neurons that keep their state", "give their state to them")
            given = state[0] if len(state) == 1 and isinstance(state[0], tuple) else state
            given = tuple(torch.zeros(()) if _is_empty(each) else each for each in given)
            spikes, after = updated(neuron, x, given)
            return (spikes, *after) if getattr(neuron, "resumes", False) else (spikes, after)
        spikes, states, potential = neurons(neuron, x, state or None)
        if not neuron.output:
            return spikes
        return (spikes, *states) if neuron.resumes else (spikes, potential)

    def _scan(self, neuron: Any, x: Any, initial: tuple[Any, ...], steps: int | None = None) -> Any:
        if steps is not None:
            x = x.at_every_step(steps)
        spikes, states, potential = neurons(neuron, x, initial)
        if getattr(neuron, "resumes", False):
            return (spikes, *states)
        return (spikes, potential) if all(each is None for each in initial) else (spikes, *states)

    # ---- graphs ------------------------------------------------------------------------------------

    def graph(self, graph: PackedGraph, inputs: tuple[Any, ...]) -> Any:
        """Return what a graph gives, with the error in place of what has no form: not all of it may be read."""
        values: list[Any] = []
        for each in graph.instructions:
            args = mapped(each.args, lambda leaf: values[leaf.index] if isinstance(leaf, Ref) else leaf)
            kwargs = mapped(each.kwargs, lambda leaf: values[leaf.index] if isinstance(leaf, Ref) else leaf)
            refused = next((leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, CExportError)), None)
            try:
                values.append(refused or self._done(graph, each.kind, each.name, inputs, args, kwargs))
            except CExportError as error:
                values.append(error)
        return mapped(graph.output, lambda leaf: values[leaf.index] if isinstance(leaf, Ref) else leaf)

    def _done(self, graph: PackedGraph, kind: str, name: str, inputs: Any, args: Any, kwargs: Any) -> Any:
        if kind == "input":
            return inputs[int(name)]
        if kind == "tensor":
            return graph._buffers[name]
        if kind == "module":
            return graph._modules[name]
        if kind == "invoke":
            return self.module(graph._modules[name], *args, *kwargs.values())
        known: dict[str, Callable[..., Any]] = {
            "step_by_step": self._step_by_step,
            "all_steps_at_once": self._all_steps_at_once,
            "norm_over_time": lambda layer, x, steps=None: norm(
                layer, x if steps is None else x.at_every_step(steps), 2
            ),
            "call": lambda module, *given, **named: self.module(module, *given, *named.values()),
            _AT_REST: lambda module, *given, **named: self.module(module, *given, *named.values()),
        }
        own = known.get(name)
        if own is not None:
            return own(*args, **kwargs)
        if any(isinstance(leaf, (Value, ReadOut)) for leaf in leaves((args, kwargs))):
            plain = name in ("getitem", "__getitem__") and not isinstance(args[0], (Value, ReadOut))
            return args[0][args[1]] if plain else operation(name, args, kwargs)
        if kind == "method":
            return getattr(args[0], name)(*args[1:], **kwargs)
        return FUNCTIONS[name](*args, **kwargs)

    def _all_steps_at_once(self, step: PackedGraph, sequences: Any, others: Any) -> Any:
        given = self.graph(step, (*_first(sequences), *_same_at_every_step(others)))[0]
        return mapped(given, lambda leaf: leaf.at_all_steps() if isinstance(leaf, Value) else leaf)

    def _step_by_step(
        self, step: PackedGraph, steps: int, sequences: Any, others: Any, carried: Any, stateful: Any = ()
    ) -> Any:
        if stateful:
            raise no_form("neurons that keep their state inside a loop", "give their state to them")
        if any(not isinstance(each, (Tensor, int, float)) for each in carried):
            raise no_form("a state that begins with what the network computes", "let it begin with zeros")
        now, others = _first(sequences), _same_at_every_step(others)
        like = next((leaf for leaf in leaves((now, inputs_of(others))) if isinstance(leaf, Value)), None)
        if like is None:
            raise no_form("a loop that no input has a part in", "leave it out of the network")
        if like.builder.is_shown_once:
            like.builder.make_steps(steps)
        shapes = _shapes_of_states(step, (*now, *others), carried)
        kinds = ["bit"] * len(carried)  # until it is seen that they are not
        while True:
            pairs = [_delay(like, *each) for each in zip(carried, kinds, shapes, strict=True)]
            given, after = self.graph(step, (*now, *others, *(value for value, _ in pairs)))
            held = [keep(node, value) for (_, node), value in zip(pairs, after, strict=True)]
            if all(held):
                return tuple(each.at_all_steps() if isinstance(each, Value) else each for each in given)
            kinds = [kind if same else "real" for kind, same in zip(kinds, held, strict=True)]


def _shapes_of_states(step: PackedGraph, given: Any, carried: Sequence[Any]) -> list[torch.Size]:
    """Return the shapes of the states of a loop; of those that begin as a number or empty, the shape after a step."""
    after = carried
    if any(_is_number(each) for each in carried):
        shown = mapped(given, lambda leaf: torch.zeros(leaf.shape) if isinstance(leaf, Value) else leaf)
        _, after = step(*shown, *carried)
    return [torch.as_tensor(one if _is_number(each) else each).shape for each, one in zip(carried, after, strict=True)]


def _is_number(state: Any) -> bool:
    """Say whether a state is one number for all elements, as before the first step of neurons."""
    return not isinstance(state, Tensor) or not state.dim() or _is_empty(state)


def _is_empty(state: Any) -> bool:
    """Say whether a state is that of neurons which have seen nothing yet."""
    return isinstance(state, Tensor) and state.numel() == 0


def inputs_of(tree: Any) -> Any:
    """Return the values in a tree of arguments, and nothing for modules."""
    return [leaf for leaf in leaves(tree) if isinstance(leaf, Value)]


def _same_at_every_step(others: Any) -> Any:
    """Return what a loop takes that is no sequence, which depends on what a network is shown only if that is one input.

    Raises:
        CExportError: it is one step of a sequence.
    """
    if any(not value.builder.is_shown_once for value in inputs_of(others)):
        raise no_form("one time step of the input that is seen at every step", "let each step see its own input")
    return others


def _first(sequences: Any) -> tuple[Any, ...]:
    if any(isinstance(each, (list, tuple)) for each in sequences):
        raise no_form("a loop over a list of layers", "use one layer at every time step")
    return tuple(each.at_first_step() for each in sequences)


def _delay(like: Value, initial: Any, kind: str, shape: torch.Size) -> tuple[Value, Any]:
    if _is_empty(initial):
        initial = 0.0
    examples = like.builder.examples
    if examples not in shape[:1]:
        raise no_form("a state that is not one for each example", "begin with one of shape [B, ...]")
    size = torch.Size(shape[1:]).numel()
    lead = at(torch.zeros(examples, dtype=torch.int64), torch.arange(examples))
    index = numbered(like.builder, like.builder.node(0), lead[:, None], torch.arange(size)[None])
    return delay(Value(index.view(shape), like.builder), initial, kind)


def input_value(builder: Builder, sample: Tensor, time_dim: int | None, are_bits: bool) -> Value:
    """Return the input of a network as a value."""
    size = sample.numel() // (builder.examples * (1 if time_dim is None else builder.steps))
    node = builder.add(Input(size, "bit" if are_bits else "real"))
    times = torch.arange(1 if time_dim is None else builder.steps)
    shape = [*sample.shape]
    if time_dim is None:
        places = at(times[:, None], torch.arange(builder.examples)[None])[0]
        index = numbered(builder, node, places[:, None], torch.arange(size)[None])
        return Value(index.view(shape), builder)
    places = at(times[:, None], torch.arange(builder.examples)[None])
    index = numbered(builder, node, places[..., None], torch.arange(size))
    rest = [side for dim, side in enumerate(shape) if dim not in (0, 1)]
    index = index.view(builder.steps, builder.examples, *rest)
    return Value(index if time_dim == 0 else index.transpose(0, 1), builder)


def value_of(output: Any) -> Value | ReadOut | Skipped:
    """Return an output, which has to be a value.

    Raises:
        CExportError: it is none.
    """
    if isinstance(output, CExportError):
        raise output
    if not isinstance(output, (Value, ReadOut, Skipped)):
        raise CExportError(expected("packed", "a network whose outputs its input has a part in", type(output).__name__))
    return output
