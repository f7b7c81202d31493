"""`sampled` and `resample_`: saying which weights of a network are in force, and when new ones are drawn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary.weights.draw import Draw, _mix, new_seed
from snntorch_binary.weights.held import Forced, forcing
from snntorch_binary.weights.registry import Owner
from snntorch_binary.weights.rule import KINDS, Kind


def binary_layers(net: nn.Module) -> dict[str, Owner]:
    """Return the binary layers of a network by name, each module once."""
    found: dict[str, Any] = dict(net.named_modules())
    return {name: module for name, module in found.items() if isinstance(getattr(module, "draw", None), Draw)}


def require_binary_layers(net: nn.Module) -> dict[str, Owner]:
    """Return the binary layers by name, or say that there are none.

    Raises:
        ValueError: the network has no binary layer.
    """
    layers = binary_layers(net)
    if not layers:
        raise ValueError(
            expected("net", "a network with binary layers (see snntorch_binary.binarize_)", type(net).__name__)
        )
    return layers


def _refresh(net: nn.Module) -> None:
    for layer in binary_layers(net).values():
        layer.refresh()


def _draws(net: nn.Module) -> list[Draw]:
    """Return the draws of a network, one per latent: tied layers share theirs."""
    return list({id(layer.draw): layer.draw for layer in require_binary_layers(net).values()}.values())


def resample_(net: nn.Module, generator: torch.Generator | None = None) -> None:
    """Draw new weights for every binary layer, in place.

    Training loops need no such call: an optimizer step renews the draw.

    Args:
        net: a network with binary layers.
        generator: where the layers' new seeds come from, so that equal generators give equal draws; without
            one the present seeds go on to their next draw.

    Raises:
        ValueError: the network has no binary layer.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> layer = sb.nn.BinaryLinear(64, 64, weight=sb.Bernoulli(init_scale=0.5))
        >>> before = layer.weight.clone()
        >>> sb.resample_(layer)
        >>> bool((layer.weight == before).all())
        False
    """
    for draw in _draws(net):
        if generator is not None:
            draw.seed, draw.counter = new_seed(generator), 0
        draw.advance()
    _refresh(net)


@contextmanager
def sampled(net: nn.Module, kind: Kind, generator: torch.Generator | None = None) -> Iterator[nn.Module]:
    """Put one kind of weights in force for as long as the context lasts.

    ``"relaxed"`` and ``"binary"`` draw on entry from a stream of their own, so that looking at an ensemble does not
    change the draws that training will make, and hold the draw while the latents stay the same.

    It holds in the thread or asyncio task that entered it and in no other, so that several can look at one network at
    once. Tasks started inside inherit it; threads started inside do not.

    Args:
        net: a network with binary layers.
        kind: ``"relaxed"``, ``"binary"``, ``"mode"`` or ``"mean"``. For :class:`Sign` all are the sign.
        generator: where the draw's seed comes from; torch's global generator by default.

    Yields:
        The network.

    Raises:
        ValueError: the kind is unknown, or the network has no binary layer.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> net = sb.nn.BinaryLinear(64, 2, weight=sb.Bernoulli())
        >>> with sb.sampled(net, "mean"):
        ...     bool((net.weight.abs() < 1 / 8).all())  # tanh(3) / sqrt(64)
        True
    """
    if kind not in KINDS:
        raise ValueError(expected("kind", f"one of {list(KINDS)}", repr(kind)))
    draws = _draws(net)
    with _one_at_a_time if _has_compiled_parts(net) else nullcontext():
        _refresh(net)  # takes notice of an update that nobody has looked at yet
        seed = new_seed(generator) if any(draw.rule.needs_noise(kind) for draw in draws) else None
        seeds = [None if seed is None else _mix(seed, index) for index in range(len(draws))]
        scope = {draw: Forced(kind, own, draw.counter) for draw, own in zip(draws, seeds, strict=True)}
        try:
            with forcing(scope):
                _refresh(net)
                yield net
        finally:
            _refresh(net)


_one_at_a_time = threading.RLock()  # a compiled graph knows no context: it reads what was put in force last


def _has_compiled_parts(net: nn.Module) -> bool:
    return any(
        "_orig_mod" in module._modules or getattr(module, "_compiled_call_impl", None) is not None
        for module in net.modules()
    )
