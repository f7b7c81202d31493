"""Making a network binary under a rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary.convert import binarize_
from snntorch_binary.nn.scale import Scale
from snntorch_binary.weights import WeightRule, binary_layers


def rule_of(given: WeightRule | Mapping[str, Any] | None, default: WeightRule) -> WeightRule | None:
    """Return a weight rule that is given as it is or in its JSON form, which checkpoints hold.

    Raises:
        TypeError: it is neither a rule of the default's kind, nor its JSON form.
        ValueError: its name is unknown, or one of its values is out of range.
    """
    if given is None:
        return None
    what = f"a rule {_kind(default)}, such as {default!r}, its JSON form or None"
    if not isinstance(given, (WeightRule, Mapping)):
        raise TypeError(expected("rule", what, type(given).__name__))
    rule = WeightRule.from_json(dict(given)) if isinstance(given, Mapping) else given
    if _kind(rule) != _kind(default):
        raise TypeError(expected("rule", what, repr(rule)))
    return rule


def give_rule_(net: nn.Module, rule: WeightRule | None, default: WeightRule, scale: Scale | None) -> WeightRule:
    """Make a float network binary; one that is binary already must follow the rule that is given, or one like it.

    Returns:
        The rule of the network's first binary layer.

    Raises:
        ValueError: the network follows another rule.
    """
    layers = binary_layers(net)
    if not layers:
        binarize_(net, default if rule is None else rule, scale=scale)
        layers = binary_layers(net)
    for name, layer in layers.items():
        if _kind(layer.rule) != _kind(default):
            what = f"a network whose weights follow a rule {_kind(default)}, such as {default!r}"
            raise ValueError(expected("net", what, f"{layer.rule!r} in {name!r}"))
        if rule is not None and layer.rule != rule:
            what = f"None or the rule that the network has, {layer.rule!r} in {name!r}"
            raise ValueError(expected("rule", what, repr(rule)))
    return next(iter(layers.values())).rule


def _kind(rule: WeightRule) -> str:
    if rule.has_posterior:
        return "with a prior"
    return "that draws by real latents" if rule.is_drawn else "without draws"
