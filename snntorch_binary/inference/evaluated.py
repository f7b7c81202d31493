"""A network in evaluation mode for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from snntorch_binary.weights import binary_layers


@contextmanager
def evaluated(net: nn.Module) -> Iterator[None]:
    """Have a network in evaluation mode, and as it was afterwards; one that is already is not touched."""
    training = [module for module in net.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
        if training:
            for layer in binary_layers(net).values():
                layer.refresh()
