"""Names that have moved: the old place answers for one version, with a warning that says the new one."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any


def moved(module: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module some of whose names are in other modules now.

    Args:
        module: the old place.
        places: the new place of each name.
    """

    def getattr_of_module(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        what = f"{module}.{name} is {places[name]}.{name} now; the old name will be removed in the next version."
        warnings.warn(what, FutureWarning, stacklevel=2)
        return getattr(importlib.import_module(places[name]), name)

    return getattr_of_module
