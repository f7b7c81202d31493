"""ST-BiSNN's weight rule: the sign of a real latent, with a straight-through gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.weights.rule import SIGNS, Kind, WeightRule, is_more_than_rounding, sign

_LEAST_TO_CENTRE = 16  # fewer weights cannot be balanced without loss: one alone would always be zero


@dataclass(frozen=True, repr=False)
class Sign(WeightRule):
    """w = sign(a) with sign(0) = +1; backward, the gradient for w is handed to the latent a.

    Args:
        straight_through: ``"clipped"`` passes the gradient only where ``|a| <= 1``, ``"identity"`` everywhere
            (the published ST-BiSNN).

    Raises:
        ValueError: ``straight_through`` is neither of the two.

    Example:
        >>> import snntorch_binary as sb
        >>> layer = sb.nn.BinaryLinear(3, 2, weight=sb.Sign(straight_through="identity"))
        >>> bool(((layer.weight * 3**0.5).round().abs() == 1).all())
        True

    References:
        Jang, Skatchkovsky, Simeone, *BiSNN*, arXiv 2012.08300 (ST-BiSNN).
    """

    straight_through: Literal["clipped", "identity"] = "clipped"

    name: ClassVar[str] = "sign"
    training_kind: ClassVar[Kind] = "mode"
    levels: ClassVar[tuple[float, ...] | None] = SIGNS
    latent_is_a_weight: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.straight_through not in ("clipped", "identity"):
            raise ValueError(expected("straight_through", "'clipped' or 'identity'", repr(self.straight_through)))

    def initial_latent(self, weight: Tensor) -> Tensor:
        """Return the weight itself: its sign is the binary weight, its size the distance to a flip."""
        return weight

    def weight_and_derivative(
        self, latent: Tensor, kind: Kind, uniform: Tensor | None, *, paper_exact: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Return sign(latent), this rule's weight of every kind, and its straight-through derivative."""
        if self.straight_through == "identity":
            return sign(latent), None
        return sign(latent), (latent.abs() <= 1).to(latent.dtype)


@dataclass(frozen=True, repr=False)
class BalancedSign(WeightRule):
    r"""w = sign(v), v = a - mean of a, a centred latent; backward, the larger ``|v|`` the less is handed to it.

    ST-BiSNN for networks in which :class:`Sign` loses much, such as residual ones, attention and regression. It does
    three things that are known from binary networks without spikes. The latents of each output (of a
    transposed convolution: of each input) are centred, so that about as many weights are +1 as -1, where there are at
    least 16 of them. The scale is twice the mean
    magnitude of what results, :math:`2 \bar v`, and learns with it (``scale="latent"``, this rule's default). And the
    derivative of the effective weight falls linearly, as :math:`\max(0, 1 - |v| / 4 \bar v)`, from one where a weight
    is about to flip to zero at twice the scale, in place of a limit that does not know how large latents are.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> net = torch.nn.Sequential(torch.nn.Linear(20, 6), sb.nn.Leaky(beta=0.9))
        >>> _ = sb.binarize_(net, sb.BalancedSign())
        >>> net[0].scale
        'latent'

    References:
        Rastegari et al., *XNOR-Net*, ECCV 2016 (scale); Qin et al., *Forward and Backward Information Retention for
        Accurate Binary Neural Networks*, CVPR 2020 (centring); Liu et al., *Bi-Real Net*, ECCV 2018 (derivative).
    """

    name: ClassVar[str] = "balanced-sign"
    training_kind: ClassVar[Kind] = "mode"
    levels: ClassVar[tuple[float, ...] | None] = SIGNS
    latent_is_a_weight: ClassVar[bool] = True
    default_scale: ClassVar[Literal["fan_in", "channel", "latent"]] = "latent"

    def initial_latent(self, weight: Tensor) -> Tensor:
        """Return the weight itself."""
        return weight

    def real_weight(self, latent: Tensor) -> Tensor:
        """Return the latent, centred over all but the first dimension where these have at least 16 entries."""
        if latent.dim() < 2 or latent.shape[1:].numel() < _LEAST_TO_CENTRE:
            return latent
        return latent - latent.mean(tuple(range(1, latent.dim())), keepdim=True)

    def weight_and_derivative(
        self, latent: Tensor, kind: Kind, uniform: Tensor | None, *, paper_exact: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Return the signs, this rule's weight of every kind, and their derivative in units of the scale."""
        real = self.real_weight(latent)
        size = real.abs().mean()
        slope = (1 - real.abs() / (4 * size)).clamp(min=0) / (2 * size)
        return sign(real), torch.where(is_more_than_rounding(size, latent), slope, 1.0)
