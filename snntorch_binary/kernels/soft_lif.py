r"""The firing rate of a LIF neuron with a softened threshold, its slope, and the noise that spikes would add."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from snntorch_binary.kernels.engine import compiled, flat
from snntorch_binary.kernels.noise import keys_of, uniform


class Constants(NamedTuple):
    """What the neurons of a layer have in common.

    Attributes:
        amplitude: m, the output is that many times the rate.
        tau_ref: refractory period in seconds.
        tau_rc: time constant of the membrane in seconds.
        gain: a, input current for an input of 1.
        gamma: width of the soft threshold; 0 is the hard one.
        noise: σ in Hz.
    """

    amplitude: float
    tau_ref: float
    tau_rc: float
    gain: float
    gamma: float
    noise: float


def soft_lif(x: Tensor, of: Constants, with_slope: bool, seed: int) -> tuple[Tensor, Tensor | None]:
    r"""Return rates and, where asked for, their slope, each of the shape of ``x``.

    .. math::
        j = \gamma \log(1 + e^{a x / \gamma}), \qquad
        f = \frac{m}{\tau_{ref} + \tau_{rc} \log(1 + 1 / j)}, \qquad
        f' = \frac{a\, \tau_{rc} f^2}{m\, j (j + 1) (1 + e^{-a x / \gamma})}

    and both 0 where j underflows. Noise is added where x > 0, and a rate is not less than
    zero; the slope knows nothing of it.

    Args:
        x: inputs, of any shape.
        of: constants of the neurons.
        with_slope: whether the slope is wanted.
        seed: of the noise, which is a function of seed and position.
    """
    x = x.contiguous()
    kernels = compiled("soft_lif", x) if of.gamma > 0 else None
    if kernels is not None:
        rates = torch.empty_like(x)
        slope = torch.empty_like(x) if with_slope else x.new_empty(0)
        kernels.soft_lif(flat(x), flat(rates), flat(slope), tuple(of), _lowest(x, of), *keys_of(seed))
        return rates, slope if with_slope else None
    rates, slope = _by_torch(x, of)
    if of.noise > 0:
        deviation = math.sqrt(2) * torch.erfinv(2 * uniform(x.shape, seed, x.device) - 1).to(x.dtype)
        noisy = (rates + of.amplitude * of.noise * deviation).clamp_min(0)
        rates = torch.where(x > 0, noisy, rates)
    return rates, slope if with_slope else None


def _lowest(x: Tensor, of: Constants) -> float:
    """Return a x / γ below which j underflows: four times the smallest normal number, below which numbers are slow."""
    return math.log(4 * torch.finfo(x.dtype).tiny) - math.log(of.gamma)


def _by_torch(x: Tensor, of: Constants) -> tuple[Tensor, Tensor]:
    if of.gamma > 0:
        y = x * (of.gain / of.gamma)
        silent, y = y < _lowest(x, of), y.clamp_min(_lowest(x, of))
        z = torch.exp(-y.abs())
        j = of.gamma * (y.clamp_min(0) + torch.log1p(z))
        fraction = torch.where(y > 0, 1, z) / (1 + z)  # of 1 / (1 + e^-y)
    else:
        j, fraction = of.gain * x, torch.ones_like(x)
        silent, j = x <= 0, j.clamp_min(torch.finfo(x.dtype).tiny)
    rates = of.amplitude / (of.tau_ref + of.tau_rc * torch.log1p(1 / j))
    slope = of.gain * of.tau_rc / of.amplitude * rates.square() * (fraction / j / (j + 1))
    return torch.where(silent, 0, rates), torch.where(silent, 0, slope)
