"""Which modules are recorded as one call, and which are walked into."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from snntorch_binary.graph.events import Event
from snntorch_binary.nn.binary import BinaryLayer
from snntorch_binary.nn.neurons.known import takes_one_step

LIBRARIES = {"torch", "snntorch", "snntorch_binary", "norse", "spikingjelly", "sinabs"}
"""Packages whose modules are known; what happens inside them has no line of the user's."""
_OTHERS = {"norse", "spikingjelly", "sinabs"}


def is_whole(module: nn.Module) -> bool:
    """Say whether a module is one thing in the graph: a layer or neurons of a library, unless it holds neurons itself.

    A module of the user's own, and a container, is what its parts do; so is what another library puts around a binary
    layer, as Norse's ``Lift``.
    """
    if not is_of_library(module) or type(module).forward in (nn.Sequential.forward, nn.Module.forward):
        return False
    inner = [part for part in module.modules() if part is not module]
    if takes_one_step(module) is None and _origin(module) in _OTHERS and any(isinstance(i, BinaryLayer) for i in inner):
        return False
    return all(is_of_library(part) and takes_one_step(part) is None for part in inner)


def is_of_library(module: nn.Module) -> bool:
    """Say whether a library wrote what a module does when it is called."""
    if isinstance(module, BinaryLayer):
        return True
    return _origin(module) in LIBRARIES


def _origin(module: nn.Module) -> str:
    """Return the package that wrote what a module does when it is called."""
    origin = type(module).forward.__module__ or ""  # generated code, such as of a step of a graph, is of no module
    return origin.partition(".")[0]


def differs_at_every_step(event: Event) -> bool:
    """Say whether the same arguments give other results at every step, or change what the module keeps."""
    return event.random or bool(event.states) or isinstance(event.module, (_BatchNorm, _DropoutNd))
