"""Finding the form of a network.

Layers in their order, whose neurons we know, tell it by what they are. Any other network tells it by what it does.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.convert import SpikingNetwork
from snntorch_binary.convert.foreign import load_adapters
from snntorch_binary.graph.each_step import EachStep
from snntorch_binary.graph.sequential import flattened, is_chain
from snntorch_binary.inference.arguments import arguments_of
from snntorch_binary.inference.form import Form, unsure_resets
from snntorch_binary.inference.kept_state import tensors_of
from snntorch_binary.inference.probe import Probe
from snntorch_binary.nn.neurons.known import takes_one_step


def form_of(net: nn.Module, x: Any, step: bool | None = None, time_dim: int | None = None) -> Form:
    """Return the form of a network: what is given, else what is known of it or seen in a run.

    Args:
        net: the network.
        x: its input, or a tuple of its arguments.
        step: whether a call is one time step.
        time_dim: dimension of time in the network's outputs.

    Raises:
        ValueError: it cannot be told whether a call is one time step, or a module keeps a state that nothing resets.
    """
    net = getattr(net, "_orig_mod", net)  # of a compiled network
    found, state = _FOUND.setdefault(net, {}), _fingerprint(net)
    if state not in found:
        found[state] = known_step(net)
    known = found[state]
    if getattr(net, "as_recorded", False):
        step = False
    elif known is not None:
        step = known if step is None else step
        return Form(step, 0 if time_dim is None else time_dim)
    args = arguments_of(x)
    first = args[0] if args else None
    if not isinstance(first, Tensor) or first.dim() == 0 or 0 in first.shape:
        return Form(bool(step), 0 if time_dim is None else time_dim)
    if step is not None and (step or time_dim is not None) and not unsure_resets(net):
        return Form(step, 0 if time_dim is None else time_dim)
    key = (_kinds(args), step, state)
    if key not in found:
        found[key] = Probe(net, args).form(step)
    form = found[key]
    return form if time_dim is None else Form(form.step, time_dim, form.resets, form.scored)


def examples_in(net: nn.Module, x: Any, output: Any, step: bool) -> int | None:
    """Return the number of examples in the input of a network; ``None`` where it cannot be told.

    Args:
        net: the network.
        x: its input, or a tuple of its arguments.
        output: what the network returns for it, of single time steps stacked over time.
        step: whether a call is one time step.
    """
    net = getattr(net, "_orig_mod", net)  # of a compiled network
    args = arguments_of(x)
    time_first = step or (known_step(net) is not None and not getattr(net, "as_recorded", False))
    if not time_first and isinstance(args[0], Tensor):
        return Probe(net, args).examples()
    first = next(iter(tensors_of(output)), None)
    size = first.shape[1] if first is not None and first.dim() > 2 else None
    return size if size in args[0].shape[:2] else None


_FOUND: WeakKeyDictionary[nn.Module, dict[Any, Any]] = WeakKeyDictionary()
"""What was found out about networks, by what it may depend on."""


def _kinds(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what the form of a network may depend on of what it is called with.

    Of several tensors that is which of their dimensions are equal, by which a run tells those that belong together.
    """
    if len(args) == 1:
        return (args[0].dim(),)
    sizes: dict[int, int] = {1: 0}
    return tuple(
        tuple(sizes.setdefault(size, len(sizes)) for size in arg.shape) if isinstance(arg, Tensor) else _kind(arg)
        for arg in args
    )


def _kind(value: Any) -> str:
    return "float" if isinstance(value, float) else repr(value)  # whole numbers may be numbers of steps


def known_step(net: nn.Module) -> bool | None:
    """Say whether a network takes one time step a call, as far as what it is made of tells; else ``None``.

    Raises:
        ValueError: it is layers in a row, some of which take one time step and some a sequence.
    """
    load_adapters(net)
    return _known_step(net)


def _known_step(net: nn.Module) -> bool | None:
    net = getattr(net, "_orig_mod", net)
    if isinstance(net, (EachStep, SpikingNetwork)):  # go through the steps by themselves
        return False
    known = takes_one_step(net)
    if known is not None:
        return known
    if is_chain(net):
        layers = dict(flattened(net))
        found = {name: _known_step(layer) for name, layer in layers.items()}
        whole = [name for name, layer in layers.items() if takes_one_step(layer) is False]
        if whole and any(found.values()):
            one = next(name for name, step in found.items() if step)
            what = "one whose neurons all take one time step a call, or all a sequence"
            raise ValueError(expected("net", what, f"one step in {one!r} and a sequence in {whole[0]!r}"))
        return None if None in found.values() else any(found.values())
    of_torch = type(net).__module__.startswith("torch.nn.")
    if of_torch and any(_known_step(child) is not False for child in net.children()):
        return None  # one of torch's modules around a network of another
    return False if of_torch or type(net).__module__.startswith("snntorch_binary.") else None


def _fingerprint(net: nn.Module) -> tuple[Any, ...]:
    """Return what a network's form may depend on, for as long as its code does not change."""
    found: list[Any] = []
    for module in net.modules():
        found.append(type(module))
        if not type(module).__module__.startswith("torch.nn."):
            values = vars(module).items()
            found += [(key, value) for key, value in values if value.__class__ in (bool, str) and key != "training"]
    return tuple(found)
