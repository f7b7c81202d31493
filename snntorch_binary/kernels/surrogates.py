"""Surrogate gradients: a spike forward, a smooth derivative backward.

A spike is a step of the membrane potential, and its true derivative is zero almost everywhere. A surrogate
keeps the step in the forward pass and puts a bump around the threshold in its place in the backward pass.
Each one here is a small frozen object, called as ``surrogate(u)`` on the membrane potential minus the
threshold; it fits the ``spike_grad`` argument of snnTorch's neurons too, pickles, keeps the dtype and works
under ``torch.func.vmap``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from snntorch_binary._errors import expected

__all__ = ["ArcTan", "Boxcar", "FastSigmoid", "Surrogate", "Triangular", "get"]


def _positive(u: Tensor) -> Tensor:
    """1[u > 0] in the dtype of u."""
    # Four times as fast as a comparison to bool and a cast, and known to vmap, unlike a comparison in place.
    return u.sign().clamp(min=0)


class _Spike(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(u: Tensor, surrogate: Surrogate) -> Tensor:
        return surrogate.fire(u)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Surrogate], output: Tensor) -> None:
        u, ctx.surrogate = inputs
        ctx.save_for_backward(u)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (u,) = ctx.saved_tensors
        return grad * ctx.surrogate.derivative(u), None


@dataclass(frozen=True)
class Surrogate(ABC):
    """What every surrogate gradient is: ``surrogate(u)`` gives spikes, ``derivative(u)`` stands in for dS/du.

    ``fires_at_threshold`` says on which side a tie falls: True fires at u >= 0 (BiSNN), False only at u > 0
    (snnTorch). A subclass is a frozen dataclass of positive floats.
    """

    fires_at_threshold: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "fires_at_threshold" and not 0.0 < value < math.inf:
                raise ValueError(expected(name, "a positive float", value))

    def __call__(self, u: Tensor) -> Tensor:
        """Spikes {0, 1} of the centred membrane potential ``u``, any shape, with this surrogate gradient."""
        if not u.is_floating_point():
            raise TypeError(expected("u", "a floating point tensor", u.dtype))
        return _Spike.apply(u, self)

    def fire(self, u: Tensor) -> Tensor:
        """The same spikes without a gradient, in the dtype of ``u``."""
        u = u.detach()
        return 1 - _positive(-u) if self.fires_at_threshold else _positive(u)

    @abstractmethod
    def derivative(self, u: Tensor) -> Tensor:
        """The stand-in for dS/du at the centred membrane potential ``u``: same shape, same dtype."""


@dataclass(frozen=True)
class Boxcar(Surrogate):
    """dS/du = height for -width/2 < u <= width/2, else 0: the surrogate of BiSNN (arXiv 2012.08300).

    Example:
        >>> u = torch.tensor([-0.5, 0.0, 0.5, 0.6], requires_grad=True)
        >>> spikes = Boxcar()(u)
        >>> spikes.sum().backward()
        >>> spikes.tolist(), u.grad.tolist()
        ([0.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0])
    """

    width: float = 1.0
    height: float = 1.0
    fires_at_threshold: bool = field(default=True, kw_only=True)

    def derivative(self, u: Tensor) -> Tensor:  # noqa: D102  # the class says it
        half = self.width / 2
        return self.height * (_positive(u + half) - _positive(u - half))


@dataclass(frozen=True)
class ArcTan(Surrogate):
    """dS/du = (alpha/2) / (1 + (pi alpha u / 2)^2): ``snntorch.surrogate.atan`` (Fang et al., ICCV 2021)."""

    alpha: float = 2.0

    def derivative(self, u: Tensor) -> Tensor:  # noqa: D102  # the class says it
        return (self.alpha / 2) / (1 + (u * (math.pi / 2 * self.alpha)).square())


@dataclass(frozen=True)
class FastSigmoid(Surrogate):
    """``dS/du = 1 / (1 + slope |u|)^2``: ``snntorch.surrogate.fast_sigmoid(slope)`` (Zenke and Ganguli, 2018)."""

    slope: float = 25.0

    def derivative(self, u: Tensor) -> Tensor:  # noqa: D102  # the class says it
        return (1 + self.slope * u.abs()).square().reciprocal()


@dataclass(frozen=True)
class Triangular(Surrogate):
    """``dS/du = height max(0, 1 - |u| / (width/2))``: a triangle of base ``width`` (Bellec et al., 2018)."""

    width: float = 2.0
    height: float = 1.0

    def derivative(self, u: Tensor) -> Tensor:  # noqa: D102  # the class says it
        return self.height * (1 - u.abs() * (2 / self.width)).clamp(min=0)


def kernel_form(surrogate: Surrogate) -> tuple[int, float, float] | None:
    """Return the kind, size and height by which compiled kernels know a surrogate, or ``None`` for a user's own."""
    forms: dict[type, tuple[int, str]] = {
        Boxcar: (0, "width"),
        ArcTan: (1, "alpha"),
        FastSigmoid: (2, "slope"),
        Triangular: (3, "width"),
    }
    if type(surrogate) not in forms:
        return None
    kind, size = forms[type(surrogate)]
    return kind, float(getattr(surrogate, size)), float(getattr(surrogate, "height", 1.0))


_BY_NAME: dict[str, type[Surrogate]] = {
    "arctan": ArcTan,
    "boxcar": Boxcar,
    "fast_sigmoid": FastSigmoid,
    "triangular": Triangular,
}


def get(name: str, **parameters: Any) -> Surrogate:
    """The surrogate called ``name``, for configuration files that hold plain values.

    Args:
        name: ``"arctan"``, ``"boxcar"``, ``"fast_sigmoid"`` or ``"triangular"``.
        **parameters: the constructor arguments of that surrogate.

    Raises:
        ValueError: there is no such surrogate, or a parameter is out of range.

    Example:
        >>> get("arctan", alpha=2.0)
        ArcTan(fires_at_threshold=False, alpha=2.0)
    """
    if name not in _BY_NAME:
        raise ValueError(expected("name", f"one of {', '.join(_BY_NAME)}", name))
    return _BY_NAME[name](**parameters)
