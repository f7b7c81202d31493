"""Who looks on when a module is called."""

from __future__ import annotations

from torch import nn
from torch.nn.modules import module as of_all


def is_watched(module: nn.Module) -> bool:
    """Say whether a hook, of it or of all modules, wants to see each call of a module, or its gradients."""
    own = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    common = (of_all._global_forward_hooks, of_all._global_forward_pre_hooks, of_all._global_backward_hooks)
    return any(own) or any(common) or bool(of_all._global_backward_pre_hooks)
