"""Latents at a learning rate of their own, with any optimizer of torch that takes groups."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary._numbers import is_number
from snntorch_binary.weights import require_binary_layers


def parameter_groups(net: nn.Module, latent_lr: float = 5e-3) -> list[dict[str, Any]]:
    """Return the parameters of a network for an optimizer: latents at one rate, all others at the optimizer's.

    The rate that is right for a network's weights need not be that of its latents: these have to cross zero, of which
    only their own size decides how far it is. With Adam, 5e-3 is better for deep networks and autoencoders that were
    measured and worse for some others, whose own rates were 5e-4 to 2e-2 (the recipes of the documentation).

    Args:
        net: a network with binary weights whose latents are real weights, :class:`snntorch_binary.Sign`,
            :class:`snntorch_binary.BalancedSign` or :class:`snntorch_binary.BalancedBernoulli`.
        latent_lr: learning rate of the latents, positive. A schedule that multiplies rates keeps the proportion; one
            that sets them wants one of each: ``OneCycleLR(optimizer, max_lr=[5e-3, 5e-4], ...)``.

    Returns:
        Two groups, the latents and the others, each parameter once; the second has no rate, and so the optimizer's.

    Raises:
        ValueError: the network has no binary weights, or some of :class:`snntorch_binary.Bernoulli`, which
            :class:`BayesBiSNN` learns; or the rate is out of its range.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> net = torch.nn.Sequential(torch.nn.Linear(20, 6), sb.nn.Leaky(beta=0.9))
        >>> _ = sb.binarize_(net, sb.BalancedSign())
        >>> optimizer = torch.optim.Adam(sb.optim.parameter_groups(net), lr=5e-4)
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.005, 0.0005]
    """
    if not (is_number(latent_lr) and 0 < latent_lr < math.inf):
        raise ValueError(expected("latent_lr", "a positive float", latent_lr))
    layers = require_binary_layers(net)
    posterior = next((name for name, layer in layers.items() if layer.rule.has_posterior), None)
    if posterior is not None:
        what = "a network without Bernoulli weights, which sb.optim.BayesBiSNN(net.parameters()) learns"
        raise ValueError(expected("net", what, f"the layer {posterior!r}"))
    latents = list({id(layer.latent): layer.latent for layer in layers.values()}.values())
    known = {id(latent) for latent in latents}
    others = [parameter for parameter in net.parameters() if id(parameter) not in known]
    return [{"params": latents, "lr": float(latent_lr)}, {"params": others}]
