"""Layers in their order: sequences, those inside them, and lists of modules."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn


def is_chain(module: nn.Module) -> bool:
    """Say whether a module does nothing but pass from one of its modules to the next."""
    return isinstance(module, nn.ModuleList) or (
        isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward
    )


def flattened(net: nn.Module | Iterable[nn.Module], prefix: str = "") -> Iterable[tuple[str, nn.Module]]:
    """Yield the layers of a chain by name, in their order, those of chains inside it too."""
    # Not `named_children`, which leaves out a module's second occurrence.
    named = net._modules.items() if isinstance(net, nn.Module) else ((str(i), layer) for i, layer in enumerate(net))
    for name, layer in named:
        assert layer is not None
        if is_chain(layer):
            yield from flattened(layer, f"{prefix}{name}.")
        else:
            yield prefix + name, layer
