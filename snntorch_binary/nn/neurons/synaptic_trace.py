"""The synaptic filter of BiSNN on the input side of a layer: the pre-synaptic trace."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from snntorch_binary.kernels.scan import exponential_filter
from snntorch_binary.nn.neurons.base import Neuron
from snntorch_binary.nn.neurons.description import POSITIVE, Constant, NeuronDescription, Operations, Option

__all__ = ["SynapticTrace", "SynapticTraceState"]


class SynapticTraceState(NamedTuple):
    """The state of the trace after a time step, each tensor [B, ...]: P and Q."""

    membrane: Tensor
    synaptic: Tensor


def update(x: Tensor, state: SynapticTraceState, of: Any) -> tuple[Tensor, SynapticTraceState]:
    """One time step."""
    alpha, beta = of.decays
    p, q = state
    p = alpha * p + q
    q = beta * q + of.gain * x
    return p, SynapticTraceState(p, q)


class SynapticTrace(Neuron):
    r"""Second-order low-pass filter of spikes, before the weights.

    With :math:`\alpha = e^{-1/\tau_{mem}}`, :math:`\beta = e^{-1/\tau_{syn}}` and everything zero at the start:

    .. math::
        P_t = \alpha P_{t-1} + Q_{t-1}, \qquad Q_t = \beta Q_{t-1} + g\, x_t

    P takes the *old* Q, so that a layer delays by one step. P_t is the pre-synaptic factor of the three-factor rule,
    and stays right while the weights behind it change at every time step. With fixed weights ``SRM`` filters behind
    them.

    Source: Jang, Skatchkovsky and Simeone, arXiv 2012.08300.

    Args:
        tau_mem: time constant of the membrane, in time steps, > 0.
        tau_syn: time constant of the synapse, in time steps, > 0.
        normalize: choose g so that a constant input of 1 ends in a trace of 1. Without, g = 1 (the paper's code), where
            it ends in 1 / ((1 - alpha)(1 - beta)), 68.5 with the default time constants.
        step: build the one-step form.
        init_hidden: build the one-step form that keeps its state itself (implies ``step``).

    Shapes:
        - time-first: x [T, B, ...] to traces P [T, B, ...]
        - ``step``: x [B, ...] and state to (P, state); with ``init_hidden`` x [B, ...] to P

    Raises:
        ValueError: a time constant is not positive, or x has too few dimensions or not the shape of the state.
        TypeError: x is not a floating point tensor, or a state is passed where none is taken.

    Example:
        >>> import torch
        >>> x = torch.zeros(5, 1, 1)
        >>> x[0] = 1.0
        >>> [round(p, 4) for p in SynapticTrace()(x).flatten().tolist()]
        [0.0, 1.0, 1.7513, 2.3012, 2.6887]
    """

    State = SynapticTraceState
    description = NeuronDescription(
        update=update,
        constants=(Constant("tau_mem", POSITIVE), Constant("tau_syn", POSITIVE)),
        options=(Option("normalize"),),
        operations=Operations(macs=2, additions=0, kept=2),
        is_filter=True,
        shows_potential=False,
        saved_since=2,
    )

    def __init__(
        self,
        tau_mem: float = 10.0,
        tau_syn: float = 6.0,
        normalize: bool = False,
        *,
        step: bool = False,
        init_hidden: bool = False,
    ) -> None:
        super().__init__(step=step, init_hidden=init_hidden, output=False)
        self._check(tau_mem=tau_mem, tau_syn=tau_syn)
        self.tau_mem, self.tau_syn, self.normalize = tau_mem, tau_syn, normalize

    @property
    def decays(self) -> tuple[float, float]:
        """The decays of membrane and synapse per time step."""
        return math.exp(-1 / self.tau_mem), math.exp(-1 / self.tau_syn)

    @property
    def gain(self) -> float:
        """The factor g of the input."""
        alpha, beta = self.decays
        return (1 - alpha) * (1 - beta) if self.normalize else 1.0

    def _sequence(self, x: Tensor) -> tuple[Tensor, None]:
        if x.shape[0] == 0:
            return x.clone(), None
        alpha, beta = (x.new_tensor(decay) for decay in self.decays)
        rest = torch.zeros_like(x[0])
        synaptic = exponential_filter(self.gain * x, beta, rest)
        return exponential_filter(torch.cat([rest[None], synaptic[:-1]]), alpha, rest), None
