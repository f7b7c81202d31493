"""Making a network binary under a rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary.convert import binarize_
from snntorch_binary.nn.binary import Scale
from snntorch_binary.weights import WeightRule, binary_layers

Rule = TypeVar("Rule", bound=WeightRule)


def rule_of(given: WeightRule | Mapping[str, Any] | None, kind: type[Rule]) -> Rule | None:
    """Return a weight rule that is given as it is or in its JSON form, which checkpoints hold.

    Raises:
        TypeError: it is neither of this kind nor its JSON form.
        ValueError: one of its values is out of range.
    """
    if given is None or isinstance(given, kind):
        return given
    what = f"a {kind.__name__}, its JSON form or None"
    if not isinstance(given, Mapping):
        raise TypeError(expected("rule", what, repr(given) if isinstance(given, WeightRule) else type(given).__name__))
    if given.get("rule") != kind.name:
        raise TypeError(expected("rule", what, f"that of {given.get('rule')!r}"))
    try:
        return kind(**{key: value for key, value in given.items() if key != "rule"})
    except TypeError:
        raise TypeError(expected("rule", what, f"values named {', '.join(map(str, given))}")) from None


def give_rule_(net: nn.Module, rule: Rule | None, default: Rule, scale: Scale) -> WeightRule:
    """Make a float network binary; one that is binary already must follow the rule that is given, or one of its kind.

    Returns:
        The rule of the network's first binary layer.

    Raises:
        ValueError: the network follows another rule.
    """
    layers = binary_layers(net)
    if not layers:
        binarize_(net, default if rule is None else rule, scale=scale)
        layers = binary_layers(net)
    kind = type(default)
    for name, layer in layers.items():
        if not isinstance(layer.rule, kind):
            raise ValueError(expected("net", f"a network with {kind.__name__} weights", f"{layer.rule!r} in {name!r}"))
        if rule is not None and layer.rule != rule:
            what = f"None or the rule that the network has, {layer.rule!r} in {name!r}"
            raise ValueError(expected("rule", what, repr(rule)))
    return next(iter(layers.values())).rule
