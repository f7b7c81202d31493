"""snnTorch's `utils.reset(net)` reaches the neurons of this package, and copies that it makes of snnTorch's.

Up to version 1.0, it looks for snnTorch's own classes by name and resets all that were constructed, and so leaves the
membrane potentials of any other neuron, and of copies, at what the last sequence made of them, in silence; later
versions call ``reset_mem()`` of every module.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

from torch import nn

from snntorch_binary.nn.neurons.known import is_of_library

_COPIED = "_copied_by_snntorch_binary"
_REACHED: set[type[nn.Module]] = set()


def let_reset_find_copies(twin: nn.Module) -> None:
    """Let snnTorch's reset find the neurons of a copied network: `forward` may begin with it."""
    for module in twin.modules():
        if is_of_library(module, "snntorch") and hasattr(module, "reset_mem"):
            module.__dict__[_COPIED] = True
            reach_neurons()


def reach_neurons(*kinds: type[nn.Module]) -> None:
    """Let snnTorch's reset, if snnTorch has been imported, reset neurons of these classes and copies in its network."""
    _REACHED.update(kinds)
    utils: Any = sys.modules.get("snntorch.utils")
    look = getattr(utils, "_layer_check", None)  # what its reset calls first, also under a name imported before
    if look is None or getattr(look, "reaches_neurons", False):
        return

    @functools.wraps(look)
    def look_further(net: nn.Module) -> Any:
        for module in net.modules():
            if isinstance(module, tuple(_REACHED)) or _COPIED in module.__dict__:
                module.reset_mem()  # type: ignore[operator]
        return look(net)

    look_further.reaches_neurons = True  # type: ignore[attr-defined]
    utils._layer_check = look_further
