"""`freeze`: a copy of a model in plain torch modules, for use without this package."""

from __future__ import annotations

import torch

from snntorch_binary._errors import expected
from snntorch_binary.convert.copies import Model, copy_model
from snntorch_binary.convert.foreign import taken_apart
from snntorch_binary.convert.plain import become_fixed, plain_class_of, plain_weight
from snntorch_binary.weights import binary_layers, require_binary_layers, sampled
from snntorch_binary.weights.rule import KINDS, Kind


def freeze(model: Model, kind: Kind = "mode", generator: torch.Generator | None = None) -> Model:
    """Return a copy of a model in plain torch modules whose weights are fixed at scale · (±1).

    The copy needs nothing of this package: it can be traced, exported, or handed to another library. The scale is part
    of the weight, so a sum may be rounded differently than in the binary layer, which scales after the product. Plain
    convolutions do not take [T, B, C, ...]: put :class:`snntorch_binary.nn.TimeFirst` around those that get it; what
    :func:`snntorch_binary.fuse` made with a sample gives them all steps as one batch.

    Args:
        model: a model with binary layers; it is left as it was.
        kind: ``"mode"`` (most probable weights), ``"binary"`` (one posterior draw), ``"mean"`` or ``"relaxed"``.
        generator: where the draw of ``"binary"`` and ``"relaxed"`` comes from.

    Returns:
        The frozen copy, whose former binary weights do not require gradients.

    Raises:
        ValueError: the kind is unknown, or the model has no binary layer.
        TypeError: one of its binary layers is of a class of your own, whose plain form is unknown.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> net = sb.nn.BinaryLinear(4, 2, weight=sb.Bernoulli())
        >>> frozen = sb.freeze(net)
        >>> type(frozen).__name__, frozen.weight.abs().unique().tolist()
        ('Linear', [0.5])
    """
    if kind not in KINDS:
        raise ValueError(expected("kind", f"one of {list(KINDS)}", repr(kind)))
    for own in require_binary_layers(model).values():
        plain_class_of(own)
    frozen = copy_model(model)
    with sampled(frozen, kind, generator), torch.no_grad():
        weights = {name: plain_weight(layer.weight) for name, layer in binary_layers(frozen).items()}
    with taken_apart(frozen):
        for name, weight in weights.items():
            become_fixed(frozen.get_submodule(name), weight)
    return frozen
