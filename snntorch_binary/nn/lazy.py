"""torch's lazy layers, which learn the size of their input from the first one, with binary weights."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from snntorch_binary.nn.binary import (
    BinaryConv1d,
    BinaryConv2d,
    BinaryConv3d,
    BinaryConvTranspose1d,
    BinaryConvTranspose2d,
    BinaryConvTranspose3d,
    BinaryLayer,
    BinaryLinear,
    check_rule,
)
from snntorch_binary.nn.scale import Scale, check_scale
from snntorch_binary.weights.rule import WeightRule
from snntorch_binary.weights.sign import Sign


class _Lazy:
    """What the lazy layers share. It comes before torch's class among a layer's bases."""

    binary: ClassVar[type[Any]]

    def __init__(self, *args: Any, weight: WeightRule | None = None, scale: Scale | None = None, **kwargs: Any) -> None:
        rule = check_rule(Sign() if weight is None else weight)
        scale = check_scale(scale, rule)
        super().__init__(*args, **kwargs)
        self._rule_and_scale = rule, scale

    def _infer_parameters(self, module: Any, args: Any, kwargs: Any = None) -> None:
        binary = self.binary
        super()._infer_parameters(module, args, kwargs)  # type: ignore[misc]  # after it the class is torch's
        rule, scale = module.__dict__.pop("_rule_and_scale")
        module.__class__ = binary
        assert isinstance(module, BinaryLayer)
        module._become_binary(rule, scale)

    def forward(self, input: Any) -> Any:
        # The call in which the layer becomes another one has looked up this method before.
        if isinstance(self, _Lazy):
            raise RuntimeError(f"A {type(self).__name__} learns its size from its first input, by calling the module.")
        return self.forward(input)


class LazyBinaryLinear(_Lazy, nn.LazyLinear):
    """A :class:`BinaryLinear` whose ``in_features`` is that of the first input; arguments as of torch's and of it.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> layer = sb.nn.LazyBinaryLinear(3, weight=sb.Bernoulli())
        >>> layer(torch.ones(2, 4)).shape, type(layer).__name__, layer.in_features
        (torch.Size([2, 3]), 'BinaryLinear', 4)
    """

    binary = BinaryLinear


class LazyBinaryConv1d(_Lazy, nn.LazyConv1d):  # type: ignore[misc]
    """A :class:`BinaryConv1d` whose ``in_channels`` is that of the first input."""

    binary = BinaryConv1d


class LazyBinaryConv2d(_Lazy, nn.LazyConv2d):  # type: ignore[misc]
    """A :class:`BinaryConv2d` whose ``in_channels`` is that of the first input."""

    binary = BinaryConv2d


class LazyBinaryConv3d(_Lazy, nn.LazyConv3d):  # type: ignore[misc]
    """A :class:`BinaryConv3d` whose ``in_channels`` is that of the first input."""

    binary = BinaryConv3d


class LazyBinaryConvTranspose1d(_Lazy, nn.LazyConvTranspose1d):  # type: ignore[misc]
    """A :class:`BinaryConvTranspose1d` whose ``in_channels`` is that of the first input."""

    binary = BinaryConvTranspose1d


class LazyBinaryConvTranspose2d(_Lazy, nn.LazyConvTranspose2d):  # type: ignore[misc]
    """A :class:`BinaryConvTranspose2d` whose ``in_channels`` is that of the first input."""

    binary = BinaryConvTranspose2d


class LazyBinaryConvTranspose3d(_Lazy, nn.LazyConvTranspose3d):  # type: ignore[misc]
    """A :class:`BinaryConvTranspose3d` whose ``in_channels`` is that of the first input."""

    binary = BinaryConvTranspose3d
