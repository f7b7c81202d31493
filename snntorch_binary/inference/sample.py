"""Scores of networks drawn from the posterior: what predictions of every kind are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.inference.readout import Readout, check_readout, logits
from snntorch_binary.inference.run import check_input, run, state_put_back
from snntorch_binary.weights import require_binary_layers, sampled


@torch.no_grad()
def sample_scores(
    net: nn.Module,
    x: Tensor,
    num_samples: int = 10,
    *,
    readout: Readout = "rate",
    readout_scale: float | None = None,
    step: bool | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the scores of the most probable network, [B, C], and of networks drawn from the posterior, [K, B, C].

    Every network sees the same input and runs in evaluation mode; the neurons' state and the mode are restored
    afterwards. Scores are class logits, or the values of a regression.

    Args:
        net: a network with binary layers, as :func:`snntorch_binary.predict` takes it.
        x: its input.
        num_samples: networks drawn, at least 1. Where no weight is random (:class:`Sign`) one is enough and is used.
        readout: see :func:`snntorch_binary.inference.logits`.
        readout_scale: see :func:`snntorch_binary.inference.logits`.
        step: whether the network takes one time step at a time; implied by ``init_hidden=True`` and by Norse cells.
        generator: where the draws come from; torch's global generator by default.

    Raises:
        TypeError: x is not a floating-point tensor.
        ValueError: an argument is out of its range, x is not finite, or the network has no binary layer.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> from snntorch_binary.inference import sample_scores
        >>> net = torch.nn.Sequential(sb.nn.BinaryLinear(16, 3, weight=sb.Bernoulli()), sb.nn.Leaky(beta=0.9))
        >>> mode, members = sample_scores(net, torch.rand(25, 8, 16), num_samples=5)
        >>> mode.shape, members.shape
        (torch.Size([8, 3]), torch.Size([5, 8, 3]))
    """
    if not isinstance(num_samples, int) or num_samples < 1:
        raise ValueError(expected("num_samples", "an integer of at least 1", num_samples))
    check_readout(readout)
    check_input(x)
    layers = require_binary_layers(net)
    if not any(layer.rule.needs_noise("binary") for layer in layers.values()):
        num_samples = 1
    training = [(module, module.training) for module in net.modules()]
    net.eval()

    def scores() -> Tensor:
        return logits(run(net, x, step), readout, readout_scale)

    try:
        with state_put_back(net):
            with sampled(net, "mode"):
                mode = scores()
            samples = []
            for _ in range(num_samples):
                with sampled(net, "binary", generator):
                    samples.append(scores())
    finally:
        for module, was_training in training:
            module.training = was_training
        for layer in layers.values():
            layer.refresh()
    return mode, torch.stack(samples)
