"""The soft LIF rate neuron: what a spiking LIF neuron fires in the long run, with a slope at its threshold."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from snntorch_binary._errors import expected
from snntorch_binary.kernels.noise import mix
from snntorch_binary.kernels.soft_lif import Constants, soft_lif
from snntorch_binary.weights.draw import new_seed

__all__ = ["SoftLIF"]


class _Rates(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, constants: Constants, seed: int, with_slope: bool) -> tuple[Tensor, Tensor]:
        rates, slope = soft_lif(x, constants, with_slope, seed)
        return rates, x.new_empty(0) if slope is None else slope

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        return grad * ctx.saved_tensors[0], None, None, None


class SoftLIF(nn.Module):
    r"""Firing rate of a leaky integrate-and-fire neuron with a softened threshold.

    With the input current a x + 1, so that the threshold is at x = 0:

    .. math::
        j = \gamma \log(1 + e^{a x / \gamma}), \qquad
        f(x) = \frac{m}{\tau_{ref} + \tau_{rc} \log(1 + 1 / j)}

    The rate of the LIF neuron itself, ``gamma=0``, has j = max(a x, 0) and a slope without bound above the threshold.
    From a x = 17 γ on both are the same in float32. The gradient is the closed form, finite everywhere; rate and
    gradient are 0 where j underflows, which in float32 is where a x < -82 γ or so. It can be differentiated once.

    Spikes of the neuron add noise to its rate. In training, with σ > 0 and where x > 0 (where the LIF neuron fires):

    .. math::
        f_{noisy}(x) = \max(0, f(x) + m\, \varepsilon), \qquad \varepsilon \sim N(0, \sigma^2)

    fresh for each neuron and call; the gradient is that of f. As dropout's, noise is a function of the state of torch's
    random numbers, which no checkpoint of a network holds, but ``torch.utils.checkpoint`` brings back.

    Source: Hunsberger and Eliasmith, arXiv 1510.08829 and 1611.05141. The defaults are their constants for MNIST; those
    for CIFAR-10 are ``SoftLIF(0.063, 0.001, 0.05, 0.825, 0.02)``.

    Args:
        amplitude: m, > 0; the output is that many times the rate in Hz.
        tau_ref: refractory period in seconds, >= 0.
        tau_rc: time constant of the membrane in seconds, > 0.
        gain: a, input current for an input of 1, > 0.
        gamma: width of the soft threshold, >= 0.
        noise: σ in Hz, >= 0. A regular spike train, seen through a membrane, varies by 1 / (sqrt(12) tau_rc) around
            its rate, 13 Hz with the constants above.

    Shape:
        x of any shape to rates of this shape.

    Raises:
        ValueError: a constant is out of its range.
        TypeError: x is not a floating point tensor.

    Example:
        >>> import torch
        >>> [round(f, 3) for f in SoftLIF()(torch.tensor([-1.0, 0.0, 1.0, 5.0, 10.0])).tolist()]
        [0.053, 0.653, 3.652, 10.481, 15.378]
        >>> SoftLIF(gamma=0.0)(torch.tensor([-1.0, 0.0, 1.0])).tolist()[:2]
        [0.0, 0.0]
    """

    def __init__(
        self,
        amplitude: float = 0.063,
        tau_ref: float = 0.002,
        tau_rc: float = 0.022,
        gain: float = 1.0,
        gamma: float = 0.02,
        noise: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value in (("amplitude", amplitude), ("tau_rc", tau_rc), ("gain", gain)):
            if not 0 < value < math.inf:
                raise ValueError(expected(name, "a positive float", value))
        for name, value in (("tau_ref", tau_ref), ("gamma", gamma)):
            _check_at_least_zero(name, value)
        self.constants = Constants(*map(float, (amplitude, tau_ref, tau_rc, gain, gamma, 0.0)))
        self.noise = noise

    @property
    def noise(self) -> float:
        """σ in Hz, which may change while a network learns."""
        return self.constants.noise

    @noise.setter
    def noise(self, value: float) -> None:
        _check_at_least_zero("noise", value)
        self.constants = self.constants._replace(noise=float(value))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102  # the class says it
        if not isinstance(x, Tensor) or not x.is_floating_point():
            raise TypeError(expected("x", "a floating point tensor", getattr(x, "dtype", type(x).__name__)))
        if x.dtype in (torch.float16, torch.bfloat16) and torch.is_autocast_enabled(x.device.type):
            x = x.float()
        with_slope = torch.is_grad_enabled() and x.requires_grad
        if not self.training or self.constants.noise == 0:
            return _Rates.apply(x, self.constants._replace(noise=0.0), 0, with_slope)[0]
        return _Rates.apply(x, self.constants, _seed(), with_slope)[0]

    def extra_repr(self) -> str:  # noqa: D102  # the class says it
        return ", ".join(f"{name}={value}" for name, value in self.constants._asdict().items())


def _check_at_least_zero(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(expected(name, "a float of at least 0", value))


def _seed() -> int:
    # As a decorator it would import the compiler with this package.
    return torch.compiler.disable(_new_seed)() if torch.compiler.is_compiling() else _new_seed()


def _new_seed() -> int:
    distributed = torch.distributed
    rank = distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0
    with torch._C._DisableFuncTorch():  # a number of its own, which no transform maps
        return mix(new_seed(), rank)
