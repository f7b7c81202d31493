"""Arguments and results as trees: what is inside tuples, lists, dictionaries, named tuples and slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def mapped(tree: Any, change: Callable[[Any], Any]) -> Any:
    """Return a tree of the same form whose leaves are what a function makes of them."""
    if isinstance(tree, tuple):
        parts = [mapped(item, change) for item in tree]
        if type(tree).__module__ == "torch.return_types":  # of `max(dim)`, `sort` and others
            return type(tree)(parts)
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    if isinstance(tree, list):
        return [mapped(item, change) for item in tree]
    if isinstance(tree, dict):
        return {key: mapped(item, change) for key, item in tree.items()}
    if isinstance(tree, slice):
        return slice(*(mapped(part, change) for part in (tree.start, tree.stop, tree.step)))
    return change(tree)


def leaves(tree: Any) -> list[Any]:
    """Return the leaves of a tree in their order."""
    return [leaf for _, leaf in named_leaves(tree)]


def named_leaves(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield the leaves of a tree, each with the indices that lead to it."""
    items: Any = None
    if isinstance(tree, (tuple, list)):
        items = enumerate(tree)
    elif isinstance(tree, dict):
        items = tree.items()
    elif isinstance(tree, slice):
        items = (("start", tree.start), ("stop", tree.stop), ("step", tree.step))
    if items is None:
        yield path, tree
    else:
        for key, item in items:
            yield from named_leaves(item, (*path, key))


def form(tree: Any) -> Any:
    """Return what two trees share that differ in nothing but their leaves."""
    return mapped(tree, lambda leaf: None)


def filled(tree: Any, values: list[Any]) -> Any:
    """Return a tree of the same form with other leaves."""
    rest = iter(values)
    return mapped(tree, lambda leaf: next(rest))
