"""The rules that a user lists, by name or with hyper-parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from snntorch_binary._errors import expected, misspelt
from snntorch_binary.experiments.named import typed
from snntorch_binary.experiments.rules.real_and_binary import FromST
from snntorch_binary.experiments.rules.rule import RULES, Rule

DEFAULT_RULES = ("full-precision", "st", "bayes")
"""The rules that are compared unless an experiment says otherwise."""


def rules_of(given: Any) -> tuple[Rule, ...]:
    """Return the rules that a user lists, by name or with hyper-parameters.

    Args:
        given: a list of names and of mappings of a name to hyper-parameters; a mapping of names to hyper-parameters;
            or ``None`` for :data:`DEFAULT_RULES`.

    Raises:
        ValueError: a rule or a hyper-parameter is unknown, out of range, or a rule is there twice.

    Example:
        >>> [rule.name for rule in rules_of(["st", {"bayes": {"lr": 0.3}}])]
        ['st', 'bayes']
    """
    given = DEFAULT_RULES if given is None else given
    pairs: list[tuple[Any, Any]] = []
    if isinstance(given, Mapping):
        pairs = list(given.items())
    elif isinstance(given, Sequence) and not isinstance(given, str):
        for each in given:
            pairs += list(each.items()) if isinstance(each, Mapping) else [(each, None)]
    names = [name.name if isinstance(name, Rule) else name for name, _ in pairs]
    if not names or len(set(map(str, names))) != len(names):
        raise ValueError(expected("rules", "different rules, at least one", given))
    return tuple(name if isinstance(name, Rule) else make_rule(name, settings) for name, settings in pairs)


def make_rule(name: Any, settings: Any = None) -> Rule:
    """Return a rule with some of its hyper-parameters.

    Raises:
        ValueError: it or a hyper-parameter is unknown, or out of range.
    """
    if not isinstance(name, str) or name not in RULES:
        raise ValueError(expected("rules", f"some of {', '.join(RULES)}", misspelt(name, RULES)))
    if settings is not None and not isinstance(settings, Mapping):
        raise ValueError(expected(f"rules.{name}", "hyper-parameters by name", repr(settings)))
    given = dict(settings or {})
    network = given.pop("network", None) or {}  # its arguments are looked at where it is made
    if not isinstance(network, Mapping):
        raise ValueError(expected(f"rules.{name}.network", "arguments of the network by name", repr(network)))
    first = given.pop("from_st", None) if "from_st" in RULES[name].__dataclass_fields__ else None
    if first is not None and not isinstance(first, Mapping):
        raise ValueError(expected(f"rules.{name}.from_st", "share, latent_lr and lr by name, or null", repr(first)))
    found = {**typed(f"rules.{name}", RULES[name], given), "network": dict(network)}
    if first is not None:
        found["from_st"] = FromST(**typed(f"rules.{name}.from_st", FromST, dict(first)))
    return RULES[name](**found)
