"""Making a network binary under a rule."""

from __future__ import annotations

from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary.convert import binarize_
from snntorch_binary.nn.binary import Scale
from snntorch_binary.weights import WeightRule, binary_layers


def give_rule_(net: nn.Module, rule: WeightRule, scale: Scale) -> None:
    """Make a float network binary; one that is binary already must follow this kind of rule."""
    layers = binary_layers(net)
    if not layers:
        binarize_(net, rule, scale=scale)
        return
    for name, layer in layers.items():
        if not isinstance(layer.rule, type(rule)):
            raise ValueError(
                expected("net", f"a network with {type(rule).__name__} weights", f"{layer.rule!r} in {name!r}")
            )
