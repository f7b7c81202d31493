"""DisARM: the gradient of an expected loss over ±1 weights without bias, from the losses of two antithetic draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.weights.held import Forced, forcing
from snntorch_binary.weights.in_force import binary_layers
from snntorch_binary.weights.registry import Owner


def _disarm_layers(net: nn.Module) -> list[Owner]:
    """Return the layers whose rule asks for DisARM, of tied ones one."""
    layers = {id(layer.draw): layer for layer in binary_layers(net).values() if layer.rule.is_antithetic}
    if not layers:
        raise ValueError(expected("net", 'a network with Bernoulli(estimator="disarm") weights', type(net).__name__))
    return list(layers.values())


@contextmanager
def _in_force(layers: list[Owner], antithetic: bool) -> Iterator[list[Tensor]]:
    """Put one of the two draws in force and yield its weights."""
    changed = {}
    for layer in layers:
        before = layer.draw.forced or Forced(None, None, layer.draw.counter)
        changed[layer.draw] = dataclasses.replace(before, antithetic=antithetic, held=None)
    try:
        with forcing(changed):
            for layer in layers:
                layer.refresh()
            yield [layer.draw.weight(layer.latent, training=True) for layer in layers]
    finally:
        for layer in layers:
            layer.refresh()


def disarm_loss(net: nn.Module, loss: Callable[[], Tensor]) -> Tensor:
    r"""Return the mean loss of two antithetic draws, whose backward pass gives the latents DisARM's gradient.

    The two draws, w from the noise u and w̃ from 1 - u, are the ±1 weights in force in the two calls of ``loss``.
    With L and L̃ what it returns, the gradient of each natural parameter is

    .. math::
        g = (L - \tilde L)\, \frac{w - \tilde w}{2}\, \sigma(2 |w_r|),
        \qquad \mathbb{E}[g] = \nabla_{w_r} \mathbb{E}_q[L(w)]

    without bias and without a derivative of L for w. All other parameters (biases, gains, latents of other
    estimators) get the ordinary gradient of (L + L̃)/2. What comes back is a loss like any other: add a KL term,
    scale it for mixed precision, accumulate it over batches, average its gradient over processes.

    Args:
        net: a network with layers of ``Bernoulli(estimator="disarm")``, in training or evaluation mode.
        loss: evaluates the loss with the weights in force, a scalar tensor. It is called twice and must do the same
            both times: let it reset neurons that keep a state. Not for use with activation checkpointing, whose
            second look at the weights comes too late.

    Returns:
        The scalar (L + L̃)/2.

    Raises:
        TypeError: ``loss`` does not return a tensor.
        ValueError: ``loss`` does not return a scalar, or the network has no such layer.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> from snntorch_binary.weights import disarm_loss
        >>> net = sb.nn.BinaryLinear(8, 2, weight=sb.Bernoulli(estimator="disarm", init_scale=0.5))
        >>> optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.1, rho=1 / 100)
        >>> x, target = torch.ones(4, 8), torch.zeros(4, 2)
        >>> disarm_loss(net, lambda: (net(x) - target).square().mean()).backward()
        >>> optimizer.step(); optimizer.zero_grad()

    References:
        Dong, Mnih, Tucker, *DisARM: An Antithetic Gradient Estimator for Binary Latent Variables*, arXiv 2006.10680
        (there for weights in {0, 1} and the logit 2 w_r; hence a factor of 2).
    """
    layers = _disarm_layers(net)
    losses, weights = [], []
    for antithetic in (False, True):
        with _in_force(layers, antithetic) as drawn:
            value = loss()
        if not isinstance(value, Tensor):
            raise TypeError(expected("loss", "a function that returns a tensor", type(value).__name__))
        if value.dim():
            raise ValueError(expected("loss", "a function that returns a scalar", f"shape {tuple(value.shape)}"))
        losses.append(value)
        weights.append(drawn)
    mean = (losses[0] + losses[1]) / 2
    half_difference = (losses[0] - losses[1]).detach() / 2
    for layer, first, second in zip(layers, *weights, strict=True):
        latent = layer.latent
        gradient = half_difference.to(latent) * (first - second) * torch.sigmoid(2 * latent.detach().abs())
        mean = mean + (gradient * (latent - latent.detach())).sum().to(mean)  # adds zero, and the gradient
    return mean
