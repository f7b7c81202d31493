"""Foreign modules: the adapter that knows another library is imported when a module of that library is met.

An adapter registers what the rest of the package then knows: here the forms of modules with raw weights, and in
:mod:`snntorch_binary.nn.neurons.known` which models take one time step. So ``import snntorch_binary`` imports torch
only, and a model of that library needs no extra line.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from snntorch_binary.weights import binary_layers

_ADAPTERS = {"norse": "snntorch_binary.norse"}


class Apart(nn.Module):
    """The form of a module with raw weight Parameters in which these are modules of their own, which can be binary.

    It is a subclass of the module's own class, and an instance becomes it and goes back in place.
    """

    def _take_apart(self) -> None:
        """Turn an instance of the class that has raw weights into this form."""
        raise NotImplementedError  # the adapter of each library knows its names

    def _put_together(self) -> None:
        """Turn this form back, with the same Parameters."""
        raise NotImplementedError  # the adapter of each library knows its names


APART: dict[type[nn.Module], type[Apart]] = {}
"""Classes with raw weight Parameters and their forms."""


def load_adapters(model: nn.Module) -> None:
    """Import the adapters that know the modules of a model."""
    packages = {base.__module__.partition(".")[0] for module in model.modules() for base in type(module).__mro__}
    for package in packages & set(_ADAPTERS):
        importlib.import_module(_ADAPTERS[package])


@contextmanager
def taken_apart(model: nn.Module) -> Iterator[None]:
    """Make modules of the raw weights inside a model's cells; cells that then have no binary one get theirs back."""
    load_adapters(model)
    for module in list(model.modules()):
        if type(module) in APART:
            APART[type(module)]._take_apart(module)  # type: ignore[arg-type]  # of the class that is its key
    try:
        yield
    finally:
        for module in list(model.modules()):
            if isinstance(module, Apart) and not binary_layers(module):
                module._put_together()
