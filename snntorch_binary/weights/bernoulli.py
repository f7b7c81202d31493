"""Bayes-BiSNN's weight rule: a Bernoulli posterior over {-1, +1} held by its natural parameter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType
from typing import ClassVar, Literal

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.kernels.engine import compiled, flat
from snntorch_binary.kernels.noise import keys_of
from snntorch_binary.weights.rule import SIGNS, Kind, WeightRule, sign

LATENT_LIMIT = 30.0
"""Natural parameters are kept within ±30: there 1 - tanh² is 3.5e-26, still a normal float32."""


def squared_sech(x: Tensor) -> Tensor:
    """Return sech²(x) = 1 - tanh²(x) to full relative precision, also where float32 tanh is exactly ±1."""
    decay = torch.exp(-2 * x.abs())
    return 4 * decay / (1 + decay).square()


def log_partition(latent: Tensor) -> Tensor:
    """Return log(2 cosh w_r), the log-partition function of the ±1 Bernoulli."""
    return torch.logaddexp(latent, -latent)


def natural_parameter(probability: float) -> float:
    """Return w_r with P(w = +1) = σ(2 w_r), that is ½ ln(p / (1 - p))."""
    return 0.5 * math.log(probability / (1 - probability))


@dataclass(frozen=True, repr=False)
class Bernoulli(WeightRule):
    r"""A mean-field posterior over binary weights, P(w = +1) = σ(2 w_r), with w_r the layer's latent.

    While training, the weights in force are one draw from it, held until the latent changes:

    .. math::
        w = \tanh((w_r + \delta) / \tau), \qquad \delta = \tfrac12 \ln\frac{\epsilon}{1 - \epsilon},
        \qquad \epsilon \sim U(0, 1)

    for ``estimator="gumbel"`` (the paper's relaxed sample, dw/dw_r = (1 - w²)/τ), or its sign, an exact ±1 sample.
    In evaluation the mode, sign(w_r), is in force; :func:`snntorch_binary.sampled` says otherwise.

    The estimators differ in how far the mean of their gradient is from the gradient of E_q[L(w)] over ±1 weights:

    - ``"hard"`` hands dL/dw to the posterior mean μ = tanh(w_r): (1 - μ²) dL/dw. No bias where L is affine in each
      single weight, a bias that no setting removes elsewhere; little variance.
    - ``"gumbel"`` is the gradient of E[L] over *relaxed* weights. Its bias falls as O(τ), its variance grows as O(1/τ).
    - ``"disarm"`` has no bias whatever L is, and needs no derivative of L, so no surrogate gradient either. Its
      variance grows with the number of weights, and in the natural gradient as 1/(1 - μ²): it is for small networks
      with a small ``init_scale``. The loss has to go through
      :func:`snntorch_binary.weights.disarm_loss`; a backward pass without it is an error.

    Args:
        tau: temperature of the relaxed sample, positive. Used by ``"gumbel"`` alone.
        prior: prior probability of w = +1, in (0, 1).
        estimator: ``"hard"``, ``"gumbel"`` or ``"disarm"``.
        init_scale: ``|w_r|`` at the start, in (0, 30]; the sign is that of the weight the layer starts from.
        shared_noise: under distributed training, let all processes draw the same weights, so that N processes equal
            one on the joined batch (seed them alike before building the model). By default they draw independently,
            which averages the gradient over N posterior samples.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> layer = sb.nn.BinaryLinear(784, 256, weight=sb.Bernoulli(estimator="gumbel", tau=0.5))
        >>> layer.latent.abs().unique().tolist()
        [3.0]

    References:
        Jang, Skatchkovsky, Simeone, *BiSNN*, arXiv 2012.08300 (Bayes-BiSNN).
    """

    tau: float = 1.0
    prior: float = 0.5
    estimator: Literal["hard", "gumbel", "disarm"] = "hard"
    init_scale: float = 3.0
    shared_noise: bool = False

    name: ClassVar[str] = "bernoulli"
    levels: ClassVar[tuple[float, ...] | None] = SIGNS

    def __post_init__(self) -> None:
        if not (self.tau > 0 and math.isfinite(self.tau)):
            raise ValueError(expected("tau", "a positive float", self.tau))
        if not 0 < self.prior < 1:
            raise ValueError(expected("prior", "a probability between 0 and 1, both excluded", self.prior))
        if self.estimator not in ("hard", "gumbel", "disarm"):
            raise ValueError(expected("estimator", "'hard', 'gumbel' or 'disarm'", repr(self.estimator)))
        if not 0 < self.init_scale <= LATENT_LIMIT:
            raise ValueError(expected("init_scale", f"a float in (0, {LATENT_LIMIT:g}]", self.init_scale))

    @property
    def training_kind(self) -> Kind:  # type: ignore[override]
        """The kind of weights in force while training, which is what the gradient estimator needs."""
        return "relaxed" if self.estimator == "gumbel" else "binary"

    @property
    def prior_latent(self) -> float | None:
        """The prior's natural parameter, ½ ln(p / (1 - p))."""
        return natural_parameter(self.prior)

    @property
    def shares_noise(self) -> bool:
        """Whether all processes of a distributed run draw the same weights."""
        return self.shared_noise

    @property
    def has_kernel(self) -> bool:
        """Whether compiled kernels draw these weights: not those of a subclass that draws others."""
        return type(self).weight_and_derivative is Bernoulli.weight_and_derivative

    @property
    def is_antithetic(self) -> bool:
        """Whether the estimator is DisARM."""
        return self.estimator == "disarm"

    def needs_noise(self, kind: Kind) -> bool:
        """Say whether weights of this kind are random."""
        return kind in ("relaxed", "binary")

    def why_no_gradient(self, kind: Kind) -> str | None:
        """Say that DisARM's ±1 draws learn from two losses."""
        if self.estimator != "disarm" or kind != "binary":
            return None
        return (
            'Weights with estimator="disarm" learn from the losses of two draws: '
            "call snntorch_binary.weights.disarm_loss(net, loss_function).backward() in place of loss.backward()."
        )

    def initial_latent(self, weight: Tensor) -> Tensor:
        """Return ±init_scale with the weight's sign: default torch weights of 0.03 taken as w_r learn nothing."""
        return sign(weight) * self.init_scale

    def weight_and_derivative(
        self, latent: Tensor, kind: Kind, uniform: Tensor | None, *, paper_exact: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Return the weight of this kind and dw/dw_r; for ±1 weights that of the mean, 1 - μ²."""
        if kind == "mode":
            return sign(latent), squared_sech(latent)
        if kind == "mean":
            return torch.tanh(latent), squared_sech(latent)
        assert uniform is not None
        if kind == "binary":
            # u >= σ(-2 w_r) is the sign of w_r + δ: the relaxed and the ±1 sample of one noise agree.
            return sign(uniform - torch.sigmoid(-2 * latent)), squared_sech(latent)
        argument = (latent + 0.5 * torch.logit(uniform)) / self.tau
        weight = torch.tanh(argument)
        slope = 1 - weight.square() + 1e-10 if paper_exact else squared_sech(argument)
        return weight, slope / self.tau

    def drawn(
        self, latent: Tensor, kind: Kind, seed: int | None, *, paper_exact: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Return weights of this kind and dw/dw_r, in one pass where there is a compiled kernel."""
        kernels = compiled("bernoulli", latent)
        if kernels is None or seed is None or not self.has_kernel:
            return super().drawn(latent, kind, seed, paper_exact=paper_exact)
        value, slope = torch.empty_like(latent), torch.empty_like(latent)
        what = drawn_by_kernel(kernels, kind, paper_exact)
        kernels.draw(flat(latent), flat(value), flat(slope), what, self.tau, *keys_of(seed))
        return value, slope


def drawn_by_kernel(kernels: ModuleType, kind: Kind, paper_exact: bool) -> int:
    """Return the compiled kernels' name for a kind of random weights."""
    if kind == "binary":
        return kernels.BINARY
    return kernels.PAPER_RELAXED if paper_exact else kernels.RELAXED
