"""Weight rules of balanced latents: centred real weights whose size is the scale, taken by sign or as a posterior."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.weights.rule import SIGNS, Kind, WeightRule, is_more_than_rounding, sign

_LEAST_TO_CENTRE = 16  # fewer weights cannot be balanced without loss: one alone would always be zero


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
        return sign(real), _falling(real, latent)


@dataclass(frozen=True, repr=False)
class BalancedBernoulli(BalancedSign):
    r"""A Bernoulli posterior whose latents are real weights: :class:`BalancedSign` with noise on them.

    :math:`P(w = +1) = \sigma(2 w_r)` with the natural parameter :math:`w_r = 2 s \sqrt n\, v` of a centred latent v and
    n inputs of an output, so that torch's layers start with a mean :math:`|w_r|` of the sharpness s, and weights that
    grow become surer. While training, the weights in force are one draw, held until the latent changes. The gradient
    for a draw is handed on as :class:`BalancedSign` does it, which is the natural gradient of the posterior (the
    gradient for its mean) times a factor that falls with the size of the latent.

    One line is enough: the network's own optimizer learns the latents at its own learning rate, in place of
    :class:`snntorch_binary.optim.BayesBiSNN`, which takes them for real weights. There is no prior, and no KL term.

    Args:
        sharpness: mean :math:`|w_r|` of a layer as torch initialises it, a positive float.

    Raises:
        ValueError: ``sharpness`` is no positive float.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> net = torch.nn.Sequential(torch.nn.Linear(20, 6), sb.nn.Leaky(beta=0.9))
        >>> _ = sb.binarize_(net, sb.BalancedBernoulli())
        >>> optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
        >>> sb.predict(net, torch.rand(25, 8, 20)).probs.shape  # of an ensemble of ten
        torch.Size([8, 6])

    References:
        Jang, Skatchkovsky, Simeone, *BiSNN*, arXiv 2012.08300 (the posterior); :class:`BalancedSign` (latents).
    """

    sharpness: float = 8.0

    name: ClassVar[str] = "balanced-bernoulli"
    training_kind: ClassVar[Kind] = "binary"
    levels: ClassVar[tuple[float, ...] | None] = SIGNS

    def __post_init__(self) -> None:
        number = isinstance(self.sharpness, (int, float)) and not isinstance(self.sharpness, bool)
        if not (number and 0 < self.sharpness < math.inf):
            raise ValueError(expected("sharpness", "a positive float", self.sharpness))

    def needs_noise(self, kind: Kind) -> bool:
        """Say whether weights of this kind are random."""
        return kind in ("relaxed", "binary")

    def natural_parameter(self, latent: Tensor) -> Tensor:
        """Return w_r of every weight."""
        inputs = max(1, latent.shape[1:].numel())
        return 2 * self.sharpness * inputs**0.5 * self.real_weight(latent)

    def weight_and_derivative(
        self, latent: Tensor, kind: Kind, uniform: Tensor | None, *, paper_exact: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Return the weight of this kind and the derivative that is handed on, in units of the scale."""
        slope = _falling(self.real_weight(latent), latent)
        natural = self.natural_parameter(latent)
        if kind == "mode":
            return sign(natural), slope
        if kind == "mean":
            return torch.tanh(natural), slope
        assert uniform is not None
        if kind == "binary":
            return sign(uniform - torch.sigmoid(-2 * natural)), slope
        return torch.tanh(natural + 0.5 * torch.logit(uniform)), slope


def _falling(real: Tensor, latent: Tensor) -> Tensor:
    """Return a derivative, in units of the scale, that falls linearly with the distance to a flip."""
    size = real.abs().mean()
    slope = (1 - real.abs() / (4 * size)).clamp(min=0) / (2 * size)
    return torch.where(is_more_than_rounding(size, latent), slope, 1.0)
