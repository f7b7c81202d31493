"""The form of a network: whether it takes one time step a call or a sequence, and where time is in its outputs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from snntorch_binary.convert import reset
from snntorch_binary.nn.neurons.known import needs_no_argument, takes_one_step, to_rest


@dataclass(frozen=True)
class Form:
    """The form of a network.

    Attributes:
        step: whether a call is one time step [B, ...]; else it is a whole sequence, or an image shown for some time.
        time_dim: dimension of time in the network's outputs (of one step a call: once they are stacked); ``None`` where
            it cannot be told.
        resets: modules by name that keep a state, which their method ``reset`` puts to rest.
        scored: whether the network reads itself out over time: its output is [B, C].
    """

    step: bool
    time_dim: int | None = 0
    resets: tuple[str, ...] = ()
    scored: bool = False


def begin(net: nn.Module, resets: tuple[str, ...] = ()) -> None:
    """Start a new sequence."""
    net = getattr(net, "_orig_mod", net)  # of a compiled network
    reset(net)
    for name in resets:
        net.get_submodule(name).reset()  # type: ignore[operator]


def unsure_resets(net: nn.Module) -> list[str]:
    """Return the modules by name that have a ``reset()`` of which nothing but a run tells what it does."""
    return [
        name
        for name, module in net.named_modules()
        if to_rest(module) is None
        and takes_one_step(module) is None
        and needs_no_argument(getattr(module, "reset", None))
        and not any(base.__module__.partition(".")[0] == "torchmetrics" for base in type(module).__mro__)
    ]
