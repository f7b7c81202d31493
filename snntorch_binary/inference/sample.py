"""Scores of networks drawn from the posterior: what predictions of every kind are made of."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary.inference.arguments import check_input
from snntorch_binary.inference.evaluated import evaluated
from snntorch_binary.inference.kept_state import state_put_back
from snntorch_binary.inference.norms import NormsOfDraws
from snntorch_binary.inference.readout import Readout, class_scores
from snntorch_binary.inference.turns import taking_turns
from snntorch_binary.inference.wrapped import answering
from snntorch_binary.weights import require_binary_layers, sampled


@torch.no_grad()
def sample_scores(
    net: nn.Module,
    x: Tensor | tuple[Any, ...],
    num_samples: int | None = None,
    *,
    readout: Readout | None = None,
    readout_scale: float | None = None,
    step: bool | None = None,
    time_dim: int | None = None,
    generator: torch.Generator | None = None,
    norms: NormsOfDraws | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the scores of the most probable network, [B, C], and of networks drawn from the posterior, [K, B, C].

    Every network sees the same input and runs in evaluation mode; the neurons' state and the mode are restored
    afterwards. Scores are class logits, or the values of a regression.

    Args:
        net: a network with binary layers, as :func:`snntorch_binary.predict` takes it.
        x: its input, or a tuple of its arguments, as there.
        num_samples: as in :func:`snntorch_binary.predict`.
        readout: as there.
        readout_scale: as there.
        step: as there.
        time_dim: as there.
        generator: where the draws come from; torch's global generator by default.
        norms: what gives batch norms statistics of their own for each network. Where it is given again, the generator
            has to give the same draws.

    Raises:
        TypeError: x is no floating-point tensor and no tuple of arguments that begins with one.
        ValueError: an argument is out of its range, x is not finite, or the network has no binary layer.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> from snntorch_binary.inference import sample_scores
        >>> net = torch.nn.Sequential(sb.nn.BinaryLinear(16, 3, weight=sb.Bernoulli()), sb.nn.Leaky(beta=0.9))
        >>> mode, members = sample_scores(net, torch.rand(25, 8, 16), num_samples=5)
        >>> mode.shape, members.shape
        (torch.Size([8, 3]), torch.Size([5, 8, 3]))
    """
    own = answering(net, num_samples, readout, readout_scale, step, time_dim)
    net = own.net
    check_input(x)
    layers = require_binary_layers(net)
    count = own.num_samples if any(layer.rule.is_drawn for layer in layers.values()) else 1

    def scores(key: str | int, net: nn.Module = net) -> Tensor:
        with nullcontext() if norms is None else norms.of(net, key):
            return class_scores(net, x, own.readout, own.readout_scale, own.step, own.time_dim)

    with taking_turns(net), evaluated(net), state_put_back(net):
        with sampled(net, "mode"):
            mode = scores("mode")
        if own.members is not None:
            passed = own.members(own.num_samples)
            return mode, torch.stack([scores(step, member) for step, member in passed.items()] or [mode])
        samples = []
        for member in range(count):
            with sampled(net, "binary", generator):
                samples.append(scores(member))
    return mode, torch.stack(samples)
