"""The prior over binary weights: its KL divergence from the posterior, and setting it."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.weights import binary_layers
from snntorch_binary.weights.bernoulli import log_partition, squared_sech
from snntorch_binary.weights.registry import Owner
from snntorch_binary.weights.rule import with_derivative


def bernoulli_layers(net: nn.Module) -> list[Owner]:
    """Return the layers with a Bernoulli posterior, of tied ones the first.

    Raises:
        ValueError: there is none.
    """
    layers = {id(layer.latent): layer for layer in binary_layers(net).values() if layer.rule.has_posterior}
    if not layers:
        raise ValueError(expected("net", "a network with Bernoulli weights", type(net).__name__))
    return list(layers.values())


def kl_divergence(net: nn.Module) -> Tensor:
    r"""Return KL(q || p_0) of all Bernoulli weights of a network, in nats.

    .. math::
        KL = \sum_j (w_{r,j} - w_{r0,j}) \tanh w_{r,j} - \ln\cosh w_{r,j} + \ln\cosh w_{r0,j}

    Its gradient for w_r is ``(1 - tanh² w_r)(w_r - w_r0)``, computed so at every ``|w_r| <= 30``.

    Args:
        net: a network with Bernoulli layers; weights tied between layers count once.

    Returns:
        A scalar that can be added to a loss: with mean cross-entropy over N examples, ``loss + kl_divergence(net) / N``
        is the free energy per example. :class:`snntorch_binary.optim.BayesBiSNN` has this term built in (``rho``).

    Raises:
        ValueError: the network has no Bernoulli weight.

    Example:
        >>> import snntorch_binary as sb
        >>> net = sb.nn.BinaryLinear(10, 10, weight=sb.Bernoulli(init_scale=30.0))
        >>> round(sb.kl_divergence(net).item() / 100, 4)  # a known bit costs ln 2
        0.6931
    """
    terms = []
    for layer in bernoulli_layers(net):
        latent = layer.latent
        prior = layer.prior_latent.to(latent.dtype)
        distance = latent - prior
        value = distance * torch.tanh(latent) - log_partition(latent) + log_partition(prior)
        terms.append(with_derivative(value, squared_sech(latent) * distance, latent).sum())
    return torch.stack([term.to(terms[0]) for term in terms]).sum()


Prior = float | Tensor | Literal["posterior"]


def _natural_prior(prior: Prior, latent: Tensor) -> Tensor:
    """Return the prior's natural parameter, one number or one per latent.

    Raises:
        ValueError: the prior is not a probability, or does not fit the latents.
    """
    if isinstance(prior, str):
        if prior != "posterior":
            raise ValueError(expected("prior", "a probability or 'posterior'", repr(prior)))
        return latent.detach().clone()
    probability = torch.as_tensor(prior, dtype=torch.float64)
    if not bool(((probability > 0) & (probability < 1)).all()):
        raise ValueError(expected("prior", "probabilities between 0 and 1, both excluded", prior))
    natural = (0.5 * torch.logit(probability)).to(latent)
    if not natural.dim():
        return natural
    try:
        return natural.expand(latent.shape).clone()
    except RuntimeError:
        shapes = f"that broadcasts to the latents' shape {tuple(latent.shape)}"
        raise ValueError(expected("prior", shapes, f"shape {tuple(natural.shape)}")) from None


@torch.no_grad()
def set_prior_(net: nn.Module, prior: Prior | Mapping[str, Prior]) -> None:
    """Set the prior of the Bernoulli weights of a network, in place.

    Args:
        net: a network with Bernoulli layers.
        prior: the probability P(w = +1) in (0, 1), a number or a tensor that broadcasts to the latents; or
            ``"posterior"``, which makes today's posterior the prior of what is learned next (continual learning).
            A dictionary says it by layer: its keys are layer names or patterns such as ``"features.*"``, of several
            that match a layer the last one counts, and layers that no key matches keep their prior.

    Raises:
        ValueError: the network has no Bernoulli weight, the prior is not a probability or of another shape, or a key
            matches no Bernoulli layer; no prior has been changed then.

    Example:
        >>> import snntorch_binary as sb
        >>> net = sb.nn.BinaryLinear(10, 10, weight=sb.Bernoulli())
        >>> sb.set_prior_(net, "posterior")
        >>> sb.kl_divergence(net).item()
        0.0
        >>> net = torch.nn.ModuleDict({"fc1": net, "fc2": sb.nn.BinaryLinear(10, 2, weight=sb.Bernoulli())})
        >>> sb.set_prior_(net, {"fc1": 0.3, "fc2": 0.7})
    """
    bernoulli_layers(net)
    layers = {name: layer for name, layer in binary_layers(net).items() if layer.rule.has_posterior}
    by_pattern = prior if isinstance(prior, Mapping) else {"*": prior}
    values: dict[int, Tensor] = {}
    for pattern, value in by_pattern.items():
        matched = [name for name in layers if fnmatchcase(name, pattern)]
        if not matched:
            raise ValueError(
                expected("prior", f"a dictionary whose keys match layers of {list(layers)}", repr(pattern))
            )
        for latent in {id(layers[name].latent): layers[name].latent for name in matched}.values():
            values[id(latent)] = _natural_prior(value, latent)
    for layer in layers.values():
        if id(layer.latent) in values:
            layer.prior_latent = values[id(layer.latent)]
