"""snnTorch's `utils.reset(net)` reaches the neurons of this package.

Up to version 1.0, it looks for snnTorch's own classes by name, and so leaves the membrane potentials of any other
neuron at what the last sequence made of them, in silence; later versions call ``reset_mem()`` of every module.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

from torch import nn


def reach_neurons(kind: type[nn.Module]) -> None:
    """Let snnTorch's reset, if snnTorch has been imported, reset the neurons of a class that are in its network."""
    utils: Any = sys.modules.get("snntorch.utils")
    look = getattr(utils, "_layer_check", None)  # what its reset calls first, also under a name imported before
    if look is None or getattr(look, "reaches_neurons", False):
        return

    @functools.wraps(look)
    def look_further(net: nn.Module) -> Any:
        for module in net.modules():
            if isinstance(module, kind):
                module.reset_mem()  # type: ignore[operator]
        return look(net)

    look_further.reaches_neurons = True  # type: ignore[attr-defined]
    utils._layer_check = look_further
