"""A binary layer as torch's own again."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.nn.binary import BINARY_TWINS
from snntorch_binary.nn.subclasses import plain_class
from snntorch_binary.weights.registry import unregister


def plain_weight(weight: Tensor) -> Tensor:
    """Return a copy of a layer's weight as a tensor of its own."""
    return weight.detach().as_subclass(Tensor).clone()


def plain_class_of(layer: Any) -> type[nn.Module]:
    """Return torch's class of a binary layer."""
    plain = plain_class(type(layer))
    if plain is None:
        own = ", ".join(binary.__name__ for binary in BINARY_TWINS.values())
        raise TypeError(expected("model", f"one whose binary layers are {own}", f"a {type(layer).__name__}"))
    return plain


def become_plain(layer: Any) -> None:
    """Make a binary layer torch's own again; its ``weight`` is the Parameter its latent was."""
    latent = layer.latent
    unregister(layer)
    plain = plain_class_of(layer)
    others = {name: value for name, value in layer._parameters.items() if name not in ("gain", "weight")}
    layer._parameters.clear()
    layer._buffers.pop("prior_latent", None)
    layer._non_persistent_buffers_set.discard("prior_latent")
    for name in ("draw", "scale"):
        del layer.__dict__[name]
    layer.__class__ = plain
    layer.register_parameter("weight", latent)
    layer._parameters.update(others)  # behind it, as in torch's layers; no bias where one is pruned


def become_fixed(layer: Any, weight: Tensor) -> None:
    """Make a binary layer torch's own, with a weight that does not learn."""
    become_plain(layer)
    layer.weight = nn.Parameter(weight, requires_grad=False)
