"""The firing half of the spike response model: a threshold and a refractory trace."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.kernels.scan import refractory_trace
from snntorch_binary.kernels.surrogates import Boxcar, Surrogate
from snntorch_binary.nn.neurons.base import Neuron
from snntorch_binary.nn.neurons.description import POSITIVE, Constant, NeuronDescription, Operations, Spike

__all__ = ["Refractory", "RefractoryState"]


class RefractoryState(NamedTuple):
    """The state after a time step, each tensor [B, ...]: the refractory trace R and the spikes s."""

    refractory: Tensor
    spikes: Tensor


def update(x: Tensor, state: RefractoryState, of: Any) -> tuple[Tensor, RefractoryState]:
    """One time step."""
    r, spikes = state
    r = of.decay * r + spikes.detach()
    spikes = of.surrogate(x - r - of.threshold)
    return spikes, RefractoryState(r, spikes)


class Refractory(Neuron):
    r"""A neuron that inhibits itself after a spike and has no other memory.

    With the filtered input current :math:`x_t = W P_t` and :math:`\gamma = e^{-1/\tau_{ref}}`:

    .. math::
        R_t = \gamma R_{t-1} + s_{t-1}, \qquad u_t = x_t - R_t, \qquad s_t = 1[u_t \ge \vartheta]

    ``SynapticTrace``, a layer and ``Refractory`` are BiSNN's neuron with the filter on the input side. No gradient
    flows through R, so that the gradient of the weights is the three-factor rule: error · surrogate'(u_t) · P_t.

    Source: Jang, Skatchkovsky and Simeone, arXiv 2012.08300.

    Args:
        tau_ref: time constant of the refractory trace, in time steps, > 0.
        threshold: membrane potential at which a neuron fires.
        surrogate: gradient of the spike; it also says whether u equal to the threshold fires (``Boxcar`` does).
        step: build the one-step form.
        init_hidden: build the one-step form that keeps its state itself (implies ``step``).
        output: also return the membrane potential u.

    Shapes:
        - time-first: x [T, B, ...] to spikes [T, B, ...]; with ``output`` (spikes, u)
        - ``step``: x [B, ...] and state to (spikes, state); with ``output`` (spikes, state, u)
        - ``init_hidden``: x [B, ...] to spikes [B, ...]; with ``output`` (spikes, u)

    Raises:
        ValueError: the time constant is not positive, or x has too few dimensions or not the shape of the state.
        TypeError: x is not a floating point tensor, or a state is passed where none is taken.

    Example:
        >>> import torch
        >>> Refractory(threshold=1.0)(torch.full((5, 1, 1), 1.5)).flatten().tolist()
        [1.0, 0.0, 0.0, 1.0, 0.0]
    """

    State = RefractoryState
    description = NeuronDescription(
        update=update,
        constants=(Constant("tau_ref", POSITIVE), Constant("threshold")),
        spike=Spike("surrogate", Boxcar()),
        operations=Operations(macs=1, additions=2, kept=1),
        saved_since=2,
    )

    def __init__(
        self,
        tau_ref: float = 2.0,
        threshold: float = 0.0,
        surrogate: Surrogate = Boxcar(),  # noqa: B008
        *,
        step: bool = False,
        init_hidden: bool = False,
        output: bool = False,
    ) -> None:
        super().__init__(step=step, init_hidden=init_hidden, output=output)
        self._check(tau_ref=tau_ref)
        if not isinstance(surrogate, Surrogate):
            raise TypeError(expected("surrogate", "a surrogate gradient", type(surrogate).__name__))
        self.tau_ref = tau_ref
        self.threshold = float(threshold)
        self.surrogate = surrogate

    @property
    def decay(self) -> float:
        """The decay of the refractory trace per time step."""
        return math.exp(-1 / self.tau_ref)

    def _potential(self, x: Tensor, state: RefractoryState) -> Tensor:
        return x - state.refractory

    def _sequence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        membrane = x - refractory_trace(x.detach(), self.decay, self.threshold, self.surrogate) if len(x) else x
        return self.surrogate(membrane - self.threshold), membrane
