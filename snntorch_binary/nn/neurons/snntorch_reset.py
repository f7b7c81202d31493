"""snnTorch's resets reach the neurons of this package, and copies that it makes of snnTorch's.

Up to version 1.0, `utils.reset(net)` and `snn.Leaky.reset_hidden()` look for snnTorch's own classes by name and reset
all that were constructed, and so leave the membrane potentials of any other neuron, and of copies, at what the last
sequence made of them, in silence; later versions call ``reset_mem()`` of every module.
"""

from __future__ import annotations

import functools
import sys
import threading
import weakref
from typing import Any

from torch import Tensor, nn

from snntorch_binary.nn.neurons.known import is_of_library

_COPIED = "_copied_by_snntorch_binary"
_COPIES: weakref.WeakSet[nn.Module] = weakref.WeakSet()
_REACHED: set[type[nn.Module]] = set()
_one_at_a_time = threading.RLock()  # the list that snnTorch goes through is one for all threads


def let_reset_find_copies(twin: nn.Module) -> None:
    """Let snnTorch's resets find the neurons of a copied network: `forward` may begin with one."""
    for module in twin.modules():
        if is_of_library(module, "snntorch") and hasattr(module, "reset_mem"):
            module.__dict__[_COPIED] = True
            with _one_at_a_time:
                _COPIES.add(module)
            reach_neurons()
            for owner in type(module).__mro__:
                for name in ("reset_hidden", "detach_hidden"):
                    if isinstance(owner.__dict__.get(name), classmethod):
                        _let_find_copies(owner, name)


def _let_find_copies(owner: Any, name: str) -> None:
    """Let a method that goes through all neurons that were constructed go through copies, too."""
    original = owner.__dict__[name].__func__
    if getattr(original, "finds_copies", False):
        return

    @functools.wraps(original)
    def with_copies(cls: Any, *args: Any, **kwargs: Any) -> Any:
        with _one_at_a_time:
            instances: list[Any] = cls.instances
            count = len(instances)
            # A DeltaLeaky at rest has no membrane potential, on which snnTorch's methods fail.
            instances.extend(copy for copy in list(_COPIES) if isinstance(getattr(copy, "mem", None), Tensor))
            try:
                return original(cls, *args, **kwargs)
            finally:
                del instances[count:]

    with_copies.finds_copies = True  # type: ignore[attr-defined]  # a mark on a function
    setattr(owner, name, classmethod(with_copies))


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
            if isinstance(module, tuple(_REACHED)):
                module.reset_mem()  # type: ignore[operator]  # each of these classes has it
            elif _COPIED in module.__dict__:
                with _one_at_a_time:
                    _COPIES.add(module)  # a copy of a copy
        return look(net)

    look_further.reaches_neurons = True  # type: ignore[attr-defined]  # a mark on a function
    utils._layer_check = look_further
