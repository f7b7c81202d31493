"""`unbinarize_`: torch's own layers in place of binary ones, trainable again."""

from __future__ import annotations

import torch
from torch import nn

from snntorch_binary.convert.foreign import taken_apart
from snntorch_binary.convert.plain import become_plain, plain_class_of, plain_weight
from snntorch_binary.weights import require_binary_layers, sampled


def unbinarize_(model: nn.Module) -> nn.Module:
    """Turn every binary layer of a model back into torch's own, with a trainable real weight, in place.

    For :class:`Sign` the weight is the latent, so that ``binarize_`` and ``unbinarize_`` without training between them
    change nothing; for :class:`Bernoulli` it is the posterior mean, scale · tanh(w_r).

    Args:
        model: a model with binary layers.

    Returns:
        The same model.

    Raises:
        ValueError: the model has no binary layer.
        TypeError: one of its binary layers is of a class of your own, whose plain form is unknown.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> net = torch.nn.Linear(4, 2); before = net.weight.clone()
        >>> _ = sb.binarize_(net, sb.Sign()); _ = sb.unbinarize_(net)
        >>> type(net).__name__, bool((net.weight == before).all())
        ('Linear', True)
    """
    layers = require_binary_layers(model)
    for layer in layers.values():
        plain_class_of(layer)
    new = {}
    with sampled(model, "mean"), torch.no_grad():
        for layer in layers.values():
            latent = layer.latent
            new[id(latent)] = plain_weight(layer.weight) if layer.rule.has_posterior else latent.clone()
    with taken_apart(model):
        for layer in layers.values():
            latent = layer.latent
            become_plain(layer)
            layer.weight.data.copy_(new[id(latent)])
    return model
