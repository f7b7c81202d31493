"""Modules of other libraries: the room that knows a library is opened when a module of it is met.

A room registers here what the rest of the package then knows, so that ``import snntorch_binary`` imports torch only and
a model of that library needs no extra line.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn

from snntorch_binary.weights import binary_layers

_ROOMS = {"norse": "snntorch_binary.norse"}

APART: dict[type[nn.Module], type[nn.Module]] = {}
"""Classes with raw weight Parameters, and the form of each in which the weights are modules of their own.

The form is a subclass whose ``_take_apart()`` and ``_put_together()`` turn an instance into it and back, in place.
"""

TAKES_ONE_STEP: list[Callable[[nn.Module], bool]] = []
"""Functions that say whether a model takes one time step at a time, and its state as the argument ``state``."""


def open_rooms(model: nn.Module) -> None:
    """Import the rooms that know the modules of a model."""
    packages = {base.__module__.partition(".")[0] for module in model.modules() for base in type(module).__mro__}
    for package in packages & set(_ROOMS):
        importlib.import_module(_ROOMS[package])


@contextmanager
def taken_apart(model: nn.Module) -> Iterator[None]:
    """Make modules of the raw weights inside a model's cells; cells that then have no binary one get theirs back."""
    open_rooms(model)
    for module in list(model.modules()):
        if type(module) in APART:
            APART[type(module)]._take_apart(module)  # type: ignore[operator]
    try:
        yield
    finally:
        forms = set(APART.values())
        for module in list(model.modules()):
            if type(module) in forms and not binary_layers(module):
                module._put_together()  # type: ignore[operator]
