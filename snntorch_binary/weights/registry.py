"""Finding the binary layer that owns a latent, and telling it when an optimizer has moved that latent.

A Parameter attribute or subclass does not survive deepcopy, pickle, ``assign=True``, ``.to()``, DDP and Lightning
alike; the identity of the Parameter inside its living layer does. The registry holds layers weakly.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from snntorch_binary.weights.draw import Draw
from snntorch_binary.weights.rule import WeightRule


class Owner(Protocol):
    """What the rest of the package needs of a binary layer."""

    prior_latent: Tensor
    draw: Draw

    @property
    def latent(self) -> nn.Parameter:
        """The real Parameter that learns."""
        ...

    @property
    def rule(self) -> WeightRule:
        """The weight rule."""
        ...

    @property
    def weight(self) -> Tensor:
        """The effective weight in force, scale included."""
        ...

    def refresh(self) -> None:
        """Draw the weight in force now."""
        ...


_layers: weakref.WeakSet[Any] = weakref.WeakSet()


def register(layer: Owner) -> None:
    """Remember a living binary layer."""
    _layers.add(layer)


def unregister(layer: Owner) -> None:
    """Forget a layer that is binary no more."""
    _layers.discard(layer)


def owners() -> dict[int, Owner]:
    """Return the living binary layers by the identity of their latent; of tied layers, one."""
    return {id(layer.latent): layer for layer in _layers}


def owner_of(latent: object, other_than: object = None) -> Owner | None:
    """Return a living layer whose latent is this very Parameter, or ``None``."""
    return next((layer for layer in _layers if layer.latent is latent and layer is not other_than), None)


def announce_(parameters: Iterable[Tensor]) -> None:
    """Renew the draw of every latent among the parameters: they have been written to."""
    if not _layers:
        return
    moved = {id(parameter) for parameter in parameters}
    stale: dict[int, bool] = {}
    for layer in list(_layers):
        if id(layer.latent) in moved:
            draw = layer.draw
            if id(draw) not in stale:
                stale[id(draw)] = draw.moved()
            if stale[id(draw)]:
                layer.refresh()


def announce_step(optimizer: torch.optim.Optimizer) -> None:
    """Renew the draws that a step of an optimizer makes stale, for a hook of its own, which torch calls first.

    What looks at weights before that would be taken for a change by hand, and a draw be skipped.
    """
    if optimizer not in _announced:
        _after_step(optimizer, (), {})
        _announced.add(optimizer)


_announced: weakref.WeakSet[torch.optim.Optimizer] = weakref.WeakSet()


def _after_step(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
    if optimizer in _announced:
        _announced.discard(optimizer)
        return
    announce_(parameter for group in optimizer.param_groups for parameter in group["params"])
    if _layers and optimizer not in _looked_at:
        _looked_at.add(optimizer)
        _warn_of_strangers(optimizer)


_looked_at: weakref.WeakSet[torch.optim.Optimizer] = weakref.WeakSet()


def _warn_of_strangers(optimizer: torch.optim.Optimizer) -> None:
    """Warn of an optimizer that moves latents of a posterior and knows nothing of it."""
    if getattr(optimizer, "learns_posteriors", False):
        return
    known = owners()
    moved = [known.get(id(parameter)) for group in optimizer.param_groups for parameter in group["params"]]
    rules = [owner.rule for owner in moved if owner is not None and owner.rule.has_posterior]
    if rules:
        kind, lr = type(optimizer).__name__, float(optimizer.param_groups[0].get("lr", 1e-3))
        warnings.warn(
            f"{kind} has stepped latents of {rules[0]!r}, "
            "whose posterior it knows nothing of, so that hardly anything is learned. Make the optimizer, after "
            f"binarize_, by snntorch_binary.optim.BayesBiSNN(net.parameters(), base_lr={lr:g}). "
            "(See docs/guide/optimizer.md. An optimizer of your own that learns posteriors says so by an attribute "
            "learns_posteriors = True.)",
            UserWarning,
            stacklevel=4,
        )


def _before_step(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
    _announced.discard(optimizer)  # of a step whose last hooks were not reached


# Version counters miss fused optimizers; every optimizer's step runs these hooks.
register_optimizer_step_pre_hook(_before_step)
register_optimizer_step_post_hook(_after_step)
