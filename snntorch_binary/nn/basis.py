"""Temporal basis functions: what a probabilistic neuron remembers of past spikes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected


@dataclass(frozen=True)
class RaisedCosine:
    r"""K raised cosines over the last τ time steps, on a logarithmic axis: narrow for recent spikes, wide for old ones.

    .. math::
        a^{(k)}_d = \tfrac12 + \tfrac12 \cos\big(\mathrm{clip}(\tfrac{\pi\mu}{\Delta}(n_d - c_k), -\pi, \pi)\big),
        \qquad n_d = \ln(d - 1 + \tau / 10), \qquad d = 1, \dots, \tau

    with centres :math:`c_k` spaced by Δ from :math:`n_1` to :math:`n_\tau` (for K = 1 the centre is :math:`n_1` and Δ
    the whole range). Lag d = 1 is the step before. Source: Pillow et al. 2008, in the form of VOWEL (arXiv 2004.09416).

    Args:
        num: number K of functions, at most τ.
        window: length τ of the memory in time steps.
        width: μ; the smaller, the wider.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> RaisedCosine(num=1, window=3).coefficients().shape
        torch.Size([1, 3])
    """

    num: int = 8
    window: int = 10
    width: float = 0.5

    def __post_init__(self) -> None:
        if not isinstance(self.window, int) or self.window < 1:
            raise ValueError(expected("window", "a positive integer", self.window))
        if not isinstance(self.num, int) or not 1 <= self.num <= self.window:
            raise ValueError(expected("num", f"an integer from 1 to `window` = {self.window}", self.num))
        if not 0 < self.width < math.inf:
            raise ValueError(expected("width", "a positive float", self.width))

    def coefficients(self) -> Tensor:
        """Return a [K, τ], float64; column 0 is lag 1."""
        lags = torch.log(torch.arange(self.window, dtype=torch.float64) + self.window / 10)
        span = float(lags[-1] - lags[0]) or 1.0
        spacing = span / (self.num - 1) if self.num > 1 else span
        centres = lags[0] + spacing * torch.arange(self.num, dtype=torch.float64)
        angle = (lags - centres[:, None]) * (math.pi * self.width / spacing)
        return 0.5 + 0.5 * torch.cos(angle.clamp(-math.pi, math.pi))

    def traces(self, batch_size: int, size: int, like: Tensor) -> _Window:
        """Return traces at rest of ``size`` signals each, of the dtype and device of ``like``."""
        return _Window(self.coefficients().to(like), batch_size, size)


@dataclass(frozen=True)
class Exponential:
    r"""K recursive exponential filters: one number of memory each in place of a window.

    .. math:: x^{(k)}_t = e^{-1/\tau_k} x^{(k)}_{t-1} + s_{t-1}

    Args:
        time_constants: τ_k in time steps, positive.

    Raises:
        ValueError: there is no time constant, or one is not positive.

    Example:
        >>> Exponential((2.0, 8.0)).num
        2
    """

    time_constants: Sequence[float] = (2.0, 8.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "time_constants", tuple(self.time_constants))
        if not self.time_constants or not all(0 < tau < math.inf for tau in self.time_constants):
            raise ValueError(expected("time_constants", "positive floats, at least one", self.time_constants))

    @property
    def num(self) -> int:
        """The number K of filters."""
        return len(self.time_constants)

    def traces(self, batch_size: int, size: int, like: Tensor) -> _Recursion:
        """Return traces at rest of ``size`` signals each, of the dtype and device of ``like``."""
        decays = torch.tensor([math.exp(-1 / tau) for tau in self.time_constants], dtype=torch.float64)
        return _Recursion(decays.to(like), batch_size, size)


Basis = RaisedCosine | Exponential


class _Window(nn.Module):
    """The last τ steps of [B, size] in a ring, seen through K functions. The state_dict holds all of it."""

    coefficients: Tensor
    ring: Tensor

    def __init__(self, coefficients: Tensor, batch_size: int, size: int) -> None:
        super().__init__()
        self.register_buffer("coefficients", coefficients, persistent=False)
        self.register_buffer("ring", coefficients.new_zeros(batch_size, coefficients.shape[1], size))
        self._newest = 0

    def push(self, signal: Tensor) -> None:
        """Take in one time step [B, size]."""
        self._newest = (self._newest + 1) % self.ring.shape[1]
        self.ring[:, self._newest] = signal

    def read(self) -> Tensor:
        """Return the traces [B, K, size]: lag 1 is what was pushed last."""
        window = self.ring.shape[1]
        lag = (self._newest - torch.arange(window, device=self.ring.device)) % window
        return self.coefficients[:, lag] @ self.ring

    def reset(self) -> None:
        """Forget everything."""
        self.ring.zero_()
        self._newest = 0

    def get_extra_state(self) -> Tensor:
        # Not undone by turning the ring: a product in another order has other last bits.
        return torch.tensor(self._newest)

    def set_extra_state(self, state: Tensor) -> None:
        self._newest = int(state)


class _Recursion(nn.Module):
    """K exponential filters of [B, size]. The state_dict holds all of it."""

    decays: Tensor
    traces: Tensor

    def __init__(self, decays: Tensor, batch_size: int, size: int) -> None:
        super().__init__()
        self.register_buffer("decays", decays[:, None], persistent=False)
        self.register_buffer("traces", decays.new_zeros(batch_size, len(decays), size))

    def push(self, signal: Tensor) -> None:
        """Take in one time step [B, size]."""
        self.traces = self.decays * self.traces + signal[:, None]

    def read(self) -> Tensor:
        """Return the traces [B, K, size]."""
        return self.traces

    def reset(self) -> None:
        """Forget everything."""
        self.traces = torch.zeros_like(self.traces)


Traces = _Window | _Recursion
