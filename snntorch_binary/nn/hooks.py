"""Who looks on when a module is called."""

from __future__ import annotations

from torch import nn


def is_watched(module: nn.Module) -> bool:
    """Say whether a hook wants to see each call of a module, or its gradients."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks)
