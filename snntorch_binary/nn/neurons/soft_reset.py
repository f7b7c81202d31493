"""The leaky neuron of FedSNN, which resets at its spike, before it leaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.kernels.scan import leaky_scan
from snntorch_binary.kernels.surrogates import Surrogate, Triangular
from snntorch_binary.nn.neurons.base import Neuron
from snntorch_binary.nn.neurons.description import DECAY, POSITIVE, Constant, NeuronDescription, Operations, Spike

__all__ = ["SoftReset", "SoftResetState"]


class SoftResetState(NamedTuple):
    """The state after a time step: the membrane potential [B, ...] before the reset of its own spike."""

    mem: Tensor


def update(x: Tensor, state: SoftResetState, of: Any) -> tuple[Tensor, SoftResetState]:
    """One time step."""
    (mem,) = state
    reset = of.spike_grad(mem - of.threshold).detach()
    mem = of.beta * (mem - of.threshold * reset) + x
    return of.spike_grad(mem - of.threshold), SoftResetState(mem)


class SoftReset(Neuron):
    r"""Leaky integrate-and-fire neuron that subtracts its threshold at the spike, and leaks what remains.

    With the input current :math:`x_t` and everything zero at the start:

    .. math::
        u_t = \beta (u_{t-1} - \vartheta s_{t-1}) + x_t, \qquad s_t = 1[u_t > \vartheta]

    ``Leaky`` subtracts after the leak, :math:`u_t = \beta u_{t-1} + x_t - \vartheta s_{t-1}`, as snnTorch does by
    default. No gradient flows through the reset. The default surrogate gradient is FedSNN's,
    0.3 max(0, 1 - abs(u - threshold)).

    Source: Venkatesha, Kim, Tassiulas and Panda, "Federated Learning with Spiking Neural Networks", IEEE Transactions
    on Signal Processing 69, 2021, arXiv 2106.06579.

    Args:
        beta: decay of the membrane potential per time step, in [0, 1].
        threshold: membrane potential above which a neuron fires, > 0.
        spike_grad: surrogate gradient, a callable of u - threshold. Those of ``snntorch_binary.nn.surrogate`` run as
            one scan, any other step by step.
        step: build the one-step form.
        init_hidden: build the one-step form that keeps its state itself (implies ``step``).
        output: also return the membrane potential.

    Shapes:
        - time-first: x [T, B, ...] to spikes [T, B, ...]; with ``output`` (spikes, mem), both [T, B, ...]
        - ``step``: x [B, ...] and state to (spikes, state); with ``output`` (spikes, state, mem)
        - ``init_hidden``: x [B, ...] to spikes [B, ...]; with ``output`` (spikes, mem)

    Raises:
        ValueError: an argument is out of range, or x has too few dimensions or not the shape of the state.
        TypeError: x is not a floating point tensor, or a state is passed where none is taken.

    Example:
        >>> spikes, mem = SoftReset(beta=0.5, output=True)(torch.full((4, 1, 1), 1.2))
        >>> spikes.flatten().tolist()
        [1.0, 1.0, 1.0, 1.0]
        >>> [round(u, 3) for u in mem.flatten().tolist()]
        [1.2, 1.3, 1.35, 1.375]
    """

    State = SoftResetState
    description = NeuronDescription(
        update=update,
        constants=(Constant("beta", DECAY), Constant("threshold", POSITIVE)),
        spike=Spike("spike_grad", Triangular(2.0, 0.3)),
        operations=Operations(macs=1, additions=2, kept=1),
        saved_since=2,
    )

    def __init__(
        self,
        beta: float = 0.95,
        threshold: float = 1.0,
        spike_grad: Callable[[Tensor], Tensor] = Triangular(2.0, 0.3),  # noqa: B008
        *,
        step: bool = False,
        init_hidden: bool = False,
        output: bool = False,
    ) -> None:
        super().__init__(step=step, init_hidden=init_hidden, output=output)
        self._check(beta=beta, threshold=threshold)
        if not callable(spike_grad):
            raise TypeError(expected("spike_grad", "a callable of u - threshold", spike_grad))
        self.beta, self.threshold, self.spike_grad = float(beta), float(threshold), spike_grad

    def _sequence(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        if x.shape[0] == 0 or not isinstance(self.spike_grad, Surrogate):
            return super()._sequence(x)
        images = x.dim() == 5 and x[0].is_contiguous(memory_format=torch.channels_last)
        if images:
            x = x.movedim(2, -1)  # as they lie in memory: the compiled scan takes nothing else
        beta, threshold = x.new_tensor(self.beta), x.new_tensor(self.threshold)
        rest = torch.zeros_like(x[0])
        spikes, mem = leaky_scan(x, rest, beta, threshold, "subtract_first", self.spike_grad)
        return (spikes.movedim(-1, 2), mem.movedim(-1, 2)) if images else (spikes, mem)
