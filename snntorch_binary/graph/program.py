"""A graph as a program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import fx


def program_of(graph: fx.Graph) -> Callable[..., Any]:
    """Return a function of the module that a graph calls the parts of, and of what it takes."""
    code = graph.python_code("self")
    found: dict[str, Any] = dict(code.globals)
    exec(compile(code.src, "<graph over time>", "exec"), found)
    return found["forward"]
