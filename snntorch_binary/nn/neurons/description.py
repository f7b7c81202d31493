"""What the package knows of a kind of neuron, said once: whoever packs, fuses, exports, saves or counts looks it up."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.kernels.surrogates import Surrogate

_AROUND_ZERO = (-1.0, -1e-38, 0.0, 1e-38, 1.0)


class Range(NamedTuple):
    """The numbers that a constant may be, and how a message calls them."""

    what: str
    low: float
    high: float
    with_ends: bool = True

    def holds(self, value: float) -> bool:
        """Say whether a number is in the range."""
        return self.low <= value <= self.high if self.with_ends else self.low < value < self.high


POSITIVE = Range("a positive float", 0.0, math.inf, with_ends=False)
DECAY = Range("a decay per time step in [0, 1]", 0.0, 1.0)


class Constant(NamedTuple):
    """A constant of a neuron: an attribute, and an argument of its class, of this name.

    Attributes:
        name: see above.
        within: what it may be; ``None``: any number.
        per_neuron: whether it is a tensor, of one number for all neurons or of one for each.
    """

    name: str
    within: Range | None = None
    per_neuron: bool = False

    def checked(self, value: Any) -> Any:
        """Return a value that the constant may have; what a tensor holds is not looked at.

        Raises:
            ValueError: it is out of the range.
        """
        if self.within is not None and not isinstance(value, Tensor) and not self.within.holds(value):
            raise ValueError(expected(self.name, self.within.what, value))
        return value


class Option(NamedTuple):
    """A choice between forms of a neuron, an attribute and argument of this name: one of some words, or a flag."""

    name: str
    among: tuple[str, ...] = ()


class Spike(NamedTuple):
    """The function of the membrane potential minus the threshold that gives spikes.

    Attributes:
        name: of the attribute and argument.
        default: what a neuron has that was read from a file, which keeps the spikes and no surrogate gradient.
    """

    name: str
    default: Surrogate


class Operations(NamedTuple):
    """What one neuron does in one time step; a comparison counts as an addition."""

    macs: int
    additions: int
    kept: int  # numbers that it keeps from step to step


class KernelForm(NamedTuple):
    """A neuron as compiled kernels compute it behind a packed layer; numbers or tensors of one number a channel.

    Attributes:
        kind: ``"leaky"``, ``"synaptic"`` or ``"srm"``.
        threshold: at which it fires.
        reset: ``"none"``, ``"subtract"`` or ``"zero"``.
        alpha: decay of the synaptic current; of an SRM, of its membrane.
        beta: decay of the membrane potential; of an SRM, of its synapse.
        gamma: decay of the refractory trace.
    """

    kind: str
    threshold: Any
    reset: str = "none"
    alpha: Any = 0.0
    beta: Any = 0.0
    gamma: Any = 0.0


@dataclass(frozen=True)
class NIRForm:
    """A neuron as a node of a NIR graph.

    Attributes:
        kinds: names of the nodes that are read as such a neuron; where several kinds of neurons have one, the node's
            metadata says which wrote it, and else it is the first that was described.
        write: from :class:`snntorch_binary.export.neurons.NodeWriter` to the kind of node and its arrays.
        read: from :class:`snntorch_binary.export.neurons.NodeReader` to the arguments of the neuron's class.
        losses: of a neuron and the shape of an example: what the node cannot say of it, and the way out.
        keeps: flags of the neuron that the metadata keep.
        name: by which the metadata call it; of a neuron of another library, that of the neuron read in its place.
    """

    write: Callable[[Any], tuple[str, dict[str, Any]]]
    losses: Callable[[Any, tuple[int, ...]], list[tuple[str, str]]]
    read: Callable[[Any], dict[str, Any]] | None = None
    kinds: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()
    name: str = ""


def _says_so(neuron: Any) -> bool:
    return bool(neuron.one_step)


def _by_itself(neuron: Any, output: bool) -> nn.Module:
    return neuron.over_time(output)


@dataclass(frozen=True, kw_only=True)
class NeuronDescription:
    """One kind of neurons. What it does not say, the package does not do with them: it refuses, or goes step by step.

    Attributes:
        update: one time step, a plain function of the input [B, ...], the states, and the constants (whatever has them
            as attributes, such as the neuron's module); it returns outputs and states.
        constants: numbers that the update reads.
        options: choices that it reads.
        spike: the function that gives spikes, if it has one.
        operations: of one neuron in one time step.
        is_filter: whether it filters the input of the layer behind it, in place of making spikes of currents.
        shows_potential: whether its class has the argument ``output``.
        saved_since: the first version of packed files that holds it: its constants, options, form, and whether it fires
            at the threshold. They have to say all that its outputs depend on. ``None``: no file holds it.
        kernel: its form for compiled kernels, or why this one has none.
        nir: its node.
        over_time: the neuron that takes whole sequences [T, B, ...] and does the same, with the parameters of this one,
            and that also returns its membrane potential or not; or why there is none.
        in_inference: neurons of this package that give the same answers, whatever their gradients are, in the form that
            these have; or why there are none. ``None`` where ``over_time`` says it.
        takes_one_step: whether a neuron takes one time step a call.
        recurrence: of neurons that get their own spikes: the neuron that has the constants, and the layer between.
    """

    update: Callable[[Tensor, Any, Any], tuple[Tensor, Any]] | None = None
    constants: tuple[Constant, ...] = ()
    options: tuple[Option, ...] = ()
    spike: Spike | None = None
    operations: Operations | None = None
    is_filter: bool = False
    shows_potential: bool = True
    saved_since: int | None = None
    kernel: Callable[[Any], KernelForm | str] | None = None
    nir: NIRForm | None = None
    over_time: Callable[[Any, bool], nn.Module | str] | None = _by_itself
    in_inference: Callable[[Any, bool], nn.Module | str] | None = None
    takes_one_step: Callable[[Any], bool] = _says_so
    recurrence: Callable[[Any], tuple[Any, nn.Module]] | None = None

    def fires_at_threshold(self, neuron: Any) -> bool | None:
        """Say whether a neuron at the threshold fires; ``None`` if its spike function is no step there."""
        if self.spike is None:
            return None
        with torch.no_grad():
            spikes = getattr(neuron, self.spike.name)(torch.tensor(_AROUND_ZERO))
        below, tie, above = spikes[:2], float(spikes[2]), spikes[3:]
        is_step = bool((below == 0).all()) and bool((above == 1).all()) and tie in (0.0, 1.0)
        return bool(tie) if is_step else None

    def operations_of(self, neuron: Any) -> Operations | None:
        """Return the operations of one time step, or ``None`` where they are not known."""
        if self.operations is None or getattr(neuron, "reset_mechanism", "") != "none":
            return self.operations
        return self.operations._replace(additions=self.operations.additions - 1)


_known: dict[type[nn.Module] | str, NeuronDescription] = {}
_families: dict[type[nn.Module] | str, NeuronDescription] = {}


def register(kind: type[nn.Module] | str, description: NeuronDescription, *, family: bool = False) -> None:
    """Let a class of neurons be known.

    Args:
        kind: the class; of another library also ``"package.Name"``, so that it need not be imported.
        description: of instances of this very class: a subclass may do anything else.
        family: it holds for all subclasses.

    Raises:
        ValueError: the class takes a name in files that this package has given to its own.
    """
    if description.saved_since is not None and isinstance(kind, type):
        for other in saved_neurons().values():
            if other.__name__ == kind.__name__ and _is_of_this_package(other) and not _is_of_this_package(kind):
                what = f"a class of another name than that of snntorch_binary's {other.__name__}"
                raise ValueError(expected("kind", what, kind.__qualname__))
    (_families if family else _known)[kind] = description


def description_of(module: nn.Module) -> NeuronDescription | None:
    """Return what is known of a module's class or else, less, of the family of neurons that it is of."""
    found = _find(_known, type(module))
    families = (_find(_families, base) for base in type(module).__mro__)
    return found or next((family for family in families if family is not None), None)


def is_neuron(module: nn.Module) -> bool:
    """Say whether a module is a neuron with a state, of this package or of another that is known."""
    return description_of(module) is not None and callable(getattr(module, "reset_mem", None))


def saved_neurons() -> dict[str, type[nn.Module]]:
    """Return the classes of neurons that packed files hold, by name; of those with one name, the last."""
    kinds = (kind for kind, description in _known.items() if description.saved_since is not None)
    return {kind.__name__: kind for kind in kinds if isinstance(kind, type)}


def read_from_nir(node: str, name: object) -> tuple[type[nn.Module], NIRForm] | None:
    """Return the class of neurons for a kind of node, that of this name if it is one of several."""
    found = [
        (kind, description.nir)
        for kind, description in _known.items()
        if isinstance(kind, type) and description.nir is not None and node in description.nir.kinds
    ]
    named = [pair for pair in found if pair[0].__name__ == name]
    return next(iter(named + found), None)


def _find(among: dict[type[nn.Module] | str, NeuronDescription], kind: type) -> NeuronDescription | None:
    return among.get(kind) or among.get(f"{kind.__module__.partition('.')[0]}.{kind.__name__}")


def _is_of_this_package(kind: type[nn.Module]) -> bool:
    return kind.__module__.partition(".")[0] == __name__.partition(".")[0]
