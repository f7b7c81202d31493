"""The LIF neuron in spikes that a soft LIF rate neuron stands for."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.kernels.spiking_lif import LIFConstants, spiking_lif
from snntorch_binary.nn.neurons.base import Neuron
from snntorch_binary.nn.neurons.description import POSITIVE, Constant, NeuronDescription

__all__ = ["SpikingLIF", "SpikingLIFState"]


class SpikingLIFState(NamedTuple):
    """The state after a time step, each tensor [B, ...].

    Membrane potential, time steps left of the refractory period, and the two stages of the synapse.
    """

    potential: Tensor
    refractory: Tensor
    rise: Tensor
    synapse: Tensor


def update(x: Tensor, state: SpikingLIFState, of: Any) -> tuple[Tensor, SpikingLIFState]:
    """One time step."""
    y, after = spiking_lif(x[None], 1, state, of.discrete)
    return y[0], SpikingLIFState(*after)


class SpikingLIF(Neuron):
    r"""Leaky integrate-and-fire neuron with a refractory period, and an alpha synapse at its output.

    .. math::
        \tau_{rc} \dot V = -V + J, \quad J = a x + 1; \qquad V = 1: \text{ a spike, } V = 0 \text{ for } \tau_{ref}

    with V >= 0. The input is constant in a time step, for which the equation is solved exactly, spike times and the end
    of the refractory period between steps included: for a constant input the rate is that of
    :class:`snntorch_binary.nn.SoftLIF` with ``gamma=0``. There is no gradient: a network learns with ``SoftLIF``
    neurons, and :func:`snntorch_binary.to_spiking` makes these of them.

    A spike is an impulse of unit area, of height 1 / dt in its time step, times m. The output is the filtered spikes,
    whose mean is m times the rate: :math:`h(t) = t\, e^{-t / \tau_s} / \tau_s^2`, as two low-pass filters in a row,
    with the discrete response :math:`(1 - b)^2 (n + 1) b^n`, :math:`b = e^{-dt / \tau_s}`, of exactly unit area.

    Source: Hunsberger and Eliasmith, arXiv 1510.08829 and 1611.05141.

    Args:
        amplitude: m, > 0.
        tau_ref: refractory period in seconds, at least ``dt``, so that there is one spike in a time step at most.
        tau_rc: time constant of the membrane in seconds, > 0.
        gain: a, > 0.
        tau_syn: time constant of the synapse in seconds, >= 0; 0 is no synapse.
        dt: time step in seconds, > 0.
        carry: let a sequence in the time-first form go on from the state that the last one ended in, until
            ``reset_mem()``; otherwise it starts at rest.
        hold: in the time-first form, an input of a single time step is there for so many steps.
        step: build the one-step form.
        init_hidden: build the one-step form that keeps its state itself (implies ``step``).

    Shapes:
        - time-first: x [T, B, ...] to outputs [T, B, ...]
        - ``step``: x [B, ...] and state to (outputs, state); with ``init_hidden`` x [B, ...] to outputs

    Raises:
        ValueError: an argument is out of its range, or x has too few dimensions or not the shape of the state.
        TypeError: x is not a floating point tensor, or a state is passed where none is taken.

    Example:
        >>> import torch
        >>> y = SpikingLIF(amplitude=1.0)(torch.full((1000, 1, 1), 5.0))  # a second
        >>> int(y.count_nonzero()), round(float(y.mean()), 3)  # impulses of 1 / dt
        (166, 166.0)
    """

    State = SpikingLIFState
    description = NeuronDescription(
        update=update,
        constants=(
            *(Constant(name, POSITIVE) for name in ("amplitude", "tau_rc", "gain", "dt")),
            Constant("tau_ref"),
            Constant("tau_syn"),
        ),
        shows_potential=False,
    )

    def __init__(
        self,
        amplitude: float = 0.063,
        tau_ref: float = 0.002,
        tau_rc: float = 0.022,
        gain: float = 1.0,
        tau_syn: float = 0.0,
        dt: float = 0.001,
        *,
        carry: bool = False,
        hold: int | None = None,
        step: bool = False,
        init_hidden: bool = False,
    ) -> None:
        super().__init__(step=step, init_hidden=init_hidden, output=False)
        self._check(amplitude=amplitude, tau_rc=tau_rc, gain=gain, dt=dt)
        if not dt <= tau_ref < math.inf:
            raise ValueError(expected("tau_ref", f"a float of at least dt = {dt}", tau_ref))
        if not 0 <= tau_syn < math.inf:
            raise ValueError(expected("tau_syn", "a float of at least 0", tau_syn))
        if hold is not None and hold < 1:
            raise ValueError(expected("hold", "a positive integer (time steps) or None", hold))
        self.amplitude, self.tau_ref, self.tau_rc, self.gain = amplitude, tau_ref, tau_rc, gain
        self.tau_syn, self.dt, self.carry, self.hold = tau_syn, dt, carry, hold

    @property
    def discrete(self) -> LIFConstants:
        """The constants in time steps."""
        decay = math.exp(-self.dt / self.tau_syn) if self.tau_syn > 0 else 0.0
        return LIFConstants(self.amplitude / self.dt, self.tau_ref / self.dt, self.tau_rc / self.dt, self.gain, decay)

    @torch.no_grad()
    def forward(self, x: Tensor, state: SpikingLIFState | None = None) -> Any:
        """Outputs, and what else the form of this module returns (see the class)."""
        return super().forward(x, state)

    def _sequence(self, x: Tensor) -> tuple[Tensor, None]:
        if len(x) == 0:
            return x.clone(), None
        num_steps = self.hold if self.hold is not None and len(x) == 1 else len(x)
        y, last = spiking_lif(x, num_steps, self._at_hand(x[0], self._kept if self.carry else None), self.discrete)
        if self.carry:
            self._kept = SpikingLIFState(*last)
        return y, None

    def extra_repr(self) -> str:  # noqa: D102  # the class says it
        names = ("amplitude", "tau_ref", "tau_rc", "gain", "tau_syn", "dt", "carry", "hold")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)
