"""The spike response model of BiSNN in Norse's form: a cell and a sequence module."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from snntorch_binary.kernels.scan import exponential_filter
from snntorch_binary.kernels.surrogates import Boxcar, Surrogate
from snntorch_binary.nn.neurons import srm
from snntorch_binary.nn.neurons.srm import SRMState

__all__ = ["SRM", "SRMCell", "SRMState"]


# Kernels and files are of the neuron that returns no state.
_DESCRIPTION = dataclasses.replace(srm.SRM.description, kernel=None, saved_since=None)


class SRMCell(srm.SRM):
    r"""One time step of the spike response model: ``(input, state) -> (spikes, state)``, as Norse's cells.

    The neuron is that of :class:`snntorch_binary.nn.SRM`, whose equations and arguments these are, and the spikes are
    the same bit for bit. It goes into ``norse.torch.SequentialState``, ``Lift`` and before a ``RegularizationCell``.
    Time constants are in time steps; there is no ``dt``.

    Args:
        tau_mem: time constant of the membrane, in time steps, > 0.
        tau_syn: time constant of the synapse, in time steps, > 0.
        tau_ref: time constant of the refractory trace, in time steps, > 0.
        threshold: membrane potential at which a neuron fires.
        surrogate: gradient of the spike.
        detach: let no gradient through the neuron's own past spikes.

    Shape:
        x [B, ...] and a state of tensors [B, ...], or ``None`` for the state at rest, to spikes [B, ...] and the state.

    Raises:
        ValueError: a time constant is not positive, or x has not the shape of the state.
        TypeError: x is not a floating point tensor.

    Example:
        >>> import norse.torch as norse, torch, snntorch_binary as sb
        >>> from snntorch_binary.norse import SRMCell
        >>> net = norse.Lift(norse.SequentialState(torch.nn.Linear(16, 3, bias=False), SRMCell()))
        >>> _ = sb.binarize_(net, sb.Bernoulli())
        >>> spikes, state = net(torch.rand(25, 8, 16).round())
        >>> spikes.shape, state[1].v.shape
        (torch.Size([25, 8, 3]), torch.Size([8, 3]))
    """

    description = _DESCRIPTION

    def __init__(
        self,
        tau_mem: float = 10.0,
        tau_syn: float = 6.0,
        tau_ref: float = 2.0,
        threshold: float = 0.0,
        surrogate: Surrogate = Boxcar(),  # noqa: B008
        *,
        detach: bool = False,
    ) -> None:
        super().__init__(tau_mem, tau_syn, tau_ref, threshold, surrogate, detach=detach, step=True)


class SRM(srm.SRM):
    r"""The spike response model over a sequence: ``(input, state) -> (spikes, state)``, as Norse's time modules.

    What :class:`SRMCell` computes step by step, spikes bit for bit. From rest one fused scan computes all time steps,
    as in :class:`snntorch_binary.nn.SRM`; from a given state they are computed one by one.

    Args:
        tau_mem: time constant of the membrane, in time steps, > 0.
        tau_syn: time constant of the synapse, in time steps, > 0.
        tau_ref: time constant of the refractory trace, in time steps, > 0.
        threshold: membrane potential at which a neuron fires.
        surrogate: gradient of the spike.
        detach: let no gradient through the neuron's own past spikes.
        record_states: return the states after all time steps, tensors [T, B, ...], in place of the last.

    Shape:
        x [T, B, ...] and a state of tensors [B, ...], or ``None`` for the state at rest, to spikes [T, B, ...] and the
        state after the last step.

    Raises:
        ValueError: a time constant is not positive, or x has too few dimensions or not the shape of the state.
        TypeError: x is not a floating point tensor.

    Example:
        >>> import torch
        >>> from snntorch_binary.norse import SRM, SRMCell
        >>> x = torch.randn(10, 2, 3)
        >>> spikes, state = SRM()(x[:6])
        >>> rest, state = SRM()(x[6:], state)
        >>> bool((torch.cat((spikes, rest)) == SRM()(x)[0]).all())
        True
    """

    description = _DESCRIPTION

    def __init__(
        self,
        tau_mem: float = 10.0,
        tau_syn: float = 6.0,
        tau_ref: float = 2.0,
        threshold: float = 0.0,
        surrogate: Surrogate = Boxcar(),  # noqa: B008
        *,
        detach: bool = False,
        record_states: bool = False,
    ) -> None:
        super().__init__(tau_mem, tau_syn, tau_ref, threshold, surrogate, detach=detach)
        self.record_states = record_states

    def forward(self, x: Tensor, state: SRMState | None = None) -> tuple[Tensor, SRMState]:
        """Spikes [T, B, ...], and the state after the last step or, with ``record_states``, after each."""
        x = self._checked(x)
        if x.shape[0] == 0:
            return x.clone(), self._at_hand(x.new_zeros(x.shape[1:]), state)
        if state is None:
            spikes, _ = self._sequence(x)
            states = self._states(x, spikes)
        else:
            spikes, states = self._loop(x, state)
        return spikes, states if self.record_states else SRMState(*(tensor[-1] for tensor in states))

    def _states(self, x: Tensor, spikes: Tensor) -> SRMState:
        """The states [T, B, ...] that a sequence from rest went through: its traces are filters of x and spikes."""
        alpha, beta, gamma = (x.new_tensor(decay) for decay in self.decays)
        rest = torch.zeros_like(x[:1])
        q = exponential_filter(x, beta, rest[0])
        p = exponential_filter(torch.cat((rest, q[:-1])), alpha, rest[0])
        past = spikes.detach() if self.detach else spikes
        r = exponential_filter(torch.cat((rest, past[:-1])), gamma, rest[0])
        return SRMState(p, q, r, spikes)
