"""A network that runs as a graph over time, with the submodules and the parameter names of the one it was made of."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, fx, nn

from snntorch_binary._errors import expected
from snntorch_binary.graph.chunks import with_chunks
from snntorch_binary.graph.convolution import with_any_convolutions, with_batches
from snntorch_binary.graph.memory_order import with_free_order
from snntorch_binary.graph.pooling import with_averages, with_pooled_convolutions
from snntorch_binary.graph.program import program_of
from snntorch_binary.graph.recurrence import with_recurrent_scans
from snntorch_binary.graph.samples import are_spikes
from snntorch_binary.graph.time_first import with_time_first_layers
from snntorch_binary.graph.tree import form, leaves, mapped

_OF_SAMPLE = ("report", "proof", "stepped", "spikes", "name", "held_sizes", "_not_kept", "_form", "_fixed", "_tensors")
_OWN = (*_OF_SAMPLE, "_graph", "_added", "_run")


class GraphNetwork(nn.Module):
    """What :func:`snntorch_binary.fuse` makes of a network: all time steps in each call of a layer.

    It shares its modules, parameters and buffers with the network, under their names: train either, and a checkpoint
    of one loads into the other. Every call starts at rest.

    Attributes:
        report: for each layer, by its name in the network before, what has become of it.
        proof: what the comparison with the network has shown.
        stepped: whether the network goes step by step, its neurons one time step a call.
        spikes: of each tensor among the arguments, whether it was nothing but spikes in the sample.
        held_sizes: of each tensor among the arguments, the sizes by dimension that it must have, as in the sample: of
            another size the network does something else, such as other time steps.
    """

    as_recorded = True
    """Takes sequences and returns them in whatever order the network does that it was made of."""

    report: dict[str, str]
    proof: str
    stepped: bool
    held_sizes: list[dict[int, int]]

    def __init__(
        self, network: nn.Module, graph: fx.Graph, parts: dict[str, nn.Module], tensors: dict[str, Tensor], args: Any
    ) -> None:
        super().__init__()
        taken = next((name for name in _names_in(network) if name in _OWN or hasattr(GraphNetwork, name)), None)
        if taken is not None:
            what = "a network of which no module or tensor has a name that a fused network has itself"
            raise ValueError(expected("net", what, f"{taken!r}; rename it"))
        self._modules.update(network._modules)
        self._parameters.update(network._parameters)
        self._buffers.update(network._buffers)
        self._non_persistent_buffers_set = set(network._non_persistent_buffers_set)
        for name, value in _other_tensors(network).items():
            setattr(self, name, value)
        for name, part in parts.items():
            self.add_module(name, part)
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor, persistent=False)
        self._added = (tuple(parts), tuple(tensors))
        self._graph, self.name = graph, type(network).__name__
        self.report, self.proof, self.stepped = {}, "", True
        self._not_kept: tuple[str, ...] = ()  # names of what the network keeps on itself
        self.spikes = are_spikes(args)
        self.held_sizes = [{} for _ in self.spikes]
        self._form = form(args)
        self._fixed = [None if isinstance(leaf, Tensor) else leaf for leaf in leaves(args)]
        self._tensors = [isinstance(leaf, Tensor) for leaf in leaves(args)]
        self._run = program_of(_for_running(graph, self))
        self.training = network.training

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Answer as the network does that this was made of.

        Raises:
            ValueError: arguments are not of the form that they had in the sample, another number than there, or of
                another size where the network has other time steps by that.
        """
        given = (args, kwargs)
        if form(given) != self._form:
            raise ValueError(expected("args", "of the form of the sample that the network was fused with", "another"))
        values = leaves(given)
        for value, fixed, tensor in zip(values, self._fixed, self._tensors, strict=True):
            if not tensor:
                check_fixed(value, fixed)
            elif not isinstance(value, Tensor):
                raise ValueError(expected("args", "a tensor, as in the sample", value))
        given_tensors = [value for value, tensor in zip(values, self._tensors, strict=True) if tensor]
        for value, sizes in zip(given_tensors, self.held_sizes, strict=True):
            check_sizes(value, sizes)
        return self.graph_answer(*given_tensors)

    @property
    def graph(self) -> fx.Graph:
        """A ``torch.fx.Graph`` of calls over whole sequences [T, ...] of the layers that stand there now; print it."""
        with_batches(self._graph, self)
        return self._graph

    def takes(self, x: Tensor) -> bool:
        """Say whether an input has the sizes that it must have."""
        return wrong_size(x, self.held_sizes[0]) is None

    def fixed_arguments(self) -> dict[int, Any]:
        """Return the arguments that are no tensors, by their places among all, of those in lists and others, too."""
        pairs = enumerate(zip(self._fixed, self._tensors, strict=True))
        return {place: value for place, (value, tensor) in pairs if not tensor}

    def graph_answer(self, *tensors: Tensor) -> Any:
        """Run the graph on the tensors among the arguments."""
        return mapped(self._run(self, *tensors), _with_memory_of_its_own)

    def of(self, network: nn.Module) -> GraphNetwork:
        """Return the same graph with the modules of another copy of the network that it was made of."""
        parts, tensors = self._added
        twin = GraphNetwork(
            network,
            self.graph,
            {name: self.get_submodule(name) for name in parts},
            {name: self.get_buffer(name) for name in tensors},
            ((), {}),
        )
        for name in _OF_SAMPLE:
            setattr(twin, name, getattr(self, name))
        return twin

    def code(self) -> str:
        """Return the program that the graph is, and below it those of its steps."""
        steps = [part.code for part in self.children() if isinstance(part, fx.GraphModule)]
        return "\n".join([self.graph.python_code("self").src, *steps])

    def graph_module(self) -> fx.GraphModule:
        """Return the graph as a ``torch.fx.GraphModule``, with the modules that it calls."""
        return fx.GraphModule(self, self.graph, self.name)

    def summary(self) -> str:
        """Return the report as lines of text."""
        width = max(map(len, self.report), default=0)
        return "\n".join(f"{name:<{width}}  {what}" for name, what in self.report.items())

    def _get_name(self) -> str:
        return f"Fused{self.name}"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_run": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._run = program_of(_for_running(self.graph, self))

    def __deepcopy__(self, memo: dict[int, Any]) -> GraphNetwork:
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        twin.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return twin


def _with_memory_of_its_own(leaf: Any) -> Any:
    """Return what is the same at every step so that each step may be written to, as those of the network."""
    if isinstance(leaf, Tensor) and any(
        step == 0 and size > 1 for step, size in zip(leaf.stride(), leaf.shape, strict=True)
    ):
        return leaf.contiguous()
    return leaf


def _for_running(graph: fx.Graph, network: nn.Module) -> fx.Graph:
    """Return a graph that gives the same faster, which nobody but the computer reads."""
    copied = fx.Graph()
    copied.output(copied.graph_copy(graph, {}))
    with_pooled_convolutions(copied, network)
    with_averages(copied, network)
    with_free_order(copied, network)
    with_any_convolutions(copied, network)
    with_recurrent_scans(copied, network)
    with_time_first_layers(copied, network)
    found = with_chunks(copied, network)
    found.lint()
    return found


def _names_in(network: nn.Module) -> set[str]:
    return {*network._modules, *network._parameters, *network._buffers, *_other_tensors(network)}


def _other_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Return tensors that are neither parameters nor buffers, such as a threshold that does not learn."""
    own = vars(nn.Module())
    return {name: value for name, value in vars(network).items() if name not in own and isinstance(value, Tensor)}


def check_fixed(value: Any, fixed: Any) -> None:
    """Raise unless an argument is what it was in the sample, where that is no tensor: the graph is made of it.

    Raises:
        ValueError: it is another.
    """
    if isinstance(value, Tensor) or value != fixed:
        got = "a tensor" if isinstance(value, Tensor) else value
        raise ValueError(expected("args", f"{fixed!r}, as in the sample", got))


def wrong_size(x: Tensor, sizes: dict[int, int]) -> tuple[int, int] | None:
    """Return a dimension in which a tensor has not the size that it must have, and that size, if there is one."""
    wrong = ((dim, size) for dim, size in sizes.items() if dim < x.dim() and x.shape[dim] != size)
    return next(wrong, None)


def check_sizes(x: Tensor, sizes: dict[int, int]) -> None:
    """Raise unless a tensor has some sizes, by dimension.

    Raises:
        ValueError: it has another.
    """
    wrong = wrong_size(x, sizes)
    if wrong is not None:
        what = f"of size {wrong[1]} in dimension {wrong[0]}, as in the sample; make it of a sample of the size you need"
        raise ValueError(expected("args", what, f"shape {tuple(x.shape)}"))


def same_device(tensors: list[Tensor]) -> torch.device | None:
    """Return the device that all tensors are on, or ``None``."""
    devices = {tensor.device for tensor in tensors}
    return devices.pop() if len(devices) == 1 else None
