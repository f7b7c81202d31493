"""The spike response model of BiSNN."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.kernels.scan import srm_scan
from snntorch_binary.kernels.surrogates import Boxcar, Surrogate
from snntorch_binary.nn.neurons.base import Neuron
from snntorch_binary.nn.neurons.description import POSITIVE, Constant, KernelForm, NeuronDescription, Operations, Spike

__all__ = ["SRM", "SRMState"]


class SRMState(NamedTuple):
    """The state of an SRM after a time step, each tensor [B, ...]: the traces P, Q, R and the spikes s."""

    membrane: Tensor
    synaptic: Tensor
    refractory: Tensor
    spikes: Tensor

    @property
    def v(self) -> Tensor:
        """The membrane potential u = P - R, under the name that Norse's accumulators read."""
        return self.membrane - self.refractory


def update(x: Tensor, state: SRMState, of: Any) -> tuple[Tensor, SRMState]:
    """One time step."""
    alpha, beta, gamma = of.decays
    p, q, r, spikes = state
    p = alpha * p + q
    q = beta * q + x
    r = gamma * r + spikes
    if of.detach:
        r = r.detach()
    spikes = of.surrogate(p - r - of.threshold)
    return spikes, SRMState(p, q, r, spikes)


def kernel(neuron: Any) -> KernelForm:
    """The form that compiled kernels take."""
    alpha, beta, gamma = neuron.decays
    return KernelForm("srm", neuron.threshold, alpha=alpha, beta=beta, gamma=gamma)


class SRM(Neuron):
    r"""Spike response model: a second-order synapse, a refractory trace and a threshold.

    With the input current :math:`x_t = W s^{in}_t` of a layer, :math:`\alpha = e^{-1/\tau_{mem}}`,
    :math:`\beta = e^{-1/\tau_{syn}}`, :math:`\gamma = e^{-1/\tau_{ref}}` and everything zero at the start:

    .. math::
        P_t &= \alpha P_{t-1} + Q_{t-1}, \qquad Q_t = \beta Q_{t-1} + x_t \\
        R_t &= \gamma R_{t-1} + s_{t-1} \\
        u_t &= P_t - R_t, \qquad s_t = 1[u_t \ge \vartheta]

    Source: Jang, Skatchkovsky and Simeone, arXiv 2012.08300. P takes the *old* Q, so that a layer delays by
    one step, and with the threshold at 0 every neuron fires at t = 0.

    The paper filters the input spikes and then applies the weights. Here the weights come first and their
    product is filtered, which is the same for weights that hold still during a sequence and keeps the product
    binary. Two things follow. A bias of the layer before is filtered as well: build that layer without one.
    And a rule that changes the weights within a sequence needs the traces on the input side, not this module.

    Args:
        tau_mem: time constant of the membrane, in time steps, > 0.
        tau_syn: time constant of the synapse, in time steps, > 0.
        tau_ref: time constant of the refractory trace, in time steps, > 0.
        threshold: membrane potential at which a neuron fires.
        surrogate: gradient of the spike; it also says whether u equal to the threshold fires (``Boxcar``
            does).
        detach: let no gradient through the neuron's own past spikes. The gradient of the weights is then the
            paper's three-factor rule: error times surrogate derivative times the filtered input spikes. (The
            synaptic traces keep theirs: without it no weight would learn, for u_t does not depend on x_t.)
        step: build the one-step form.
        init_hidden: build the one-step form that keeps its state itself (implies ``step``).
        output: also return the membrane potential u.

    Shapes:
        - time-first: x [T, B, ...] to spikes [T, B, ...]; with ``output`` (spikes, u)
        - ``step``: x [B, ...] and state to (spikes, state); with ``output`` (spikes, state, u). A state of
          ``None`` is the state at rest.
        - ``init_hidden``: x [B, ...] to spikes [B, ...]; with ``output`` (spikes, u)

    Raises:
        ValueError: a time constant is not positive, or x has too few dimensions or not the shape of the
            state.
        TypeError: x is not a floating point tensor, or a state is passed where none is taken.

    Example:
        >>> import torch
        >>> srm = SRM(output=True)
        >>> current = torch.zeros(5, 1, 1)
        >>> current[0] = 10.0
        >>> spikes, membrane_potential = srm(current)
        >>> spikes.flatten().tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0]
        >>> [round(u, 3) for u in membrane_potential.flatten().tolist()]
        [0.0, 9.0, 15.907, 21.037, 24.69]
    """

    State = SRMState
    description = NeuronDescription(
        update=update,
        constants=(
            Constant("tau_mem", POSITIVE),
            Constant("tau_syn", POSITIVE),
            Constant("tau_ref", POSITIVE),
            Constant("threshold"),
        ),
        spike=Spike("surrogate", Boxcar()),
        operations=Operations(macs=3, additions=2, kept=3),  # three traces; their difference, the threshold
        saved_since=1,
        kernel=kernel,
    )

    def __init__(
        self,
        tau_mem: float = 10.0,
        tau_syn: float = 6.0,
        tau_ref: float = 2.0,
        threshold: float = 0.0,
        surrogate: Surrogate = Boxcar(),  # noqa: B008  # frozen
        *,
        detach: bool = False,
        step: bool = False,
        init_hidden: bool = False,
        output: bool = False,
    ) -> None:
        super().__init__(step=step, init_hidden=init_hidden, output=output)
        self._check(tau_mem=tau_mem, tau_syn=tau_syn, tau_ref=tau_ref)
        if not isinstance(surrogate, Surrogate):
            raise TypeError(expected("surrogate", "a surrogate gradient", type(surrogate).__name__))
        self.tau_mem, self.tau_syn, self.tau_ref = tau_mem, tau_syn, tau_ref
        self.threshold = float(threshold)
        self.surrogate = surrogate
        self.detach = detach

    @property
    def decays(self) -> tuple[float, float, float]:
        """The decays of membrane, synapse and refractory trace per time step."""
        return math.exp(-1 / self.tau_mem), math.exp(-1 / self.tau_syn), math.exp(-1 / self.tau_ref)

    def _potential(self, x: Tensor, state: SRMState) -> Tensor:
        return state.membrane - state.refractory

    def _sequence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.shape[0] == 0:
            return x.clone(), x.clone()
        return srm_scan(x, self.decays, self.threshold, self.surrogate, self.detach)

    def extra_repr(self) -> str:  # noqa: D102  # the class says it
        return (
            f"tau_mem={self.tau_mem}, tau_syn={self.tau_syn}, tau_ref={self.tau_ref}, "
            f"threshold={self.threshold}, surrogate={self.surrogate}, "
            f"detach={self.detach}, step={self.one_step}"
        )
