"""Networks that cannot answer two questions at once: threads that ask one take turns."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import nn

_locks: weakref.WeakKeyDictionary[nn.Module, Any] = weakref.WeakKeyDictionary()
_one = threading.Lock()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_locks.clear)  # another thread may have held one


@contextmanager
def taking_turns(net: nn.Module) -> Iterator[None]:
    """Have a network alone, unless it is in evaluation mode and known to remember nothing from call to call."""
    with _lock_of(net) if _may_remember(net) else nullcontext():
        yield


def _lock_of(net: nn.Module) -> Any:
    with _one:
        return _locks.setdefault(net, threading.RLock())


def _may_remember(net: nn.Module) -> bool:
    return any(module.training or not _is_known(module) for module in net.modules())


def _is_known(module: nn.Module) -> bool:
    """Whether a module is one of torch's or ours that keeps no state."""
    kind = type(module)
    known = kind.__module__.startswith(("torch.nn.", "snntorch_binary.")) and "plain_class" not in kind.__dict__
    return known and not getattr(module, "init_hidden", False)
