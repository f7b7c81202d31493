"""The second-order leaky integrate-and-fire neuron of snnTorch, time-first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from snntorch_binary.nn._scan import exponential_filter, leaky_scan
from snntorch_binary.nn.neurons.lif import LIF
from snntorch_binary.nn.surrogate import Surrogate

__all__ = ["Synaptic", "SynapticState"]


class SynapticState(NamedTuple):
    """The state of a Synaptic neuron after a time step: synaptic current, membrane potential [B, ...]."""

    syn: Tensor
    mem: Tensor


class Synaptic(LIF):
    r"""Second-order leaky integrate-and-fire neuron: the time-first twin of ``snntorch.Synaptic``.

    With the input current :math:`x_t`, everything zero at the start, and the reset decided by the old
    potential:

    .. math::
        r_t &= 1[u_{t-1} > \vartheta], \qquad i_t = \alpha i_{t-1} + x_t \\
        u_t &= \beta u_{t-1} + i_t - r_t \vartheta \quad (\text{subtract}), \qquad
        u_t = (1 - r_t)(\beta u_{t-1} + i_t) \quad (\text{zero}) \\
        s_t &= 1[u_t > \vartheta]

    Source: ``snntorch.Synaptic`` 1.0. Note that the reset to zero takes the input of its step with it, as it
    does there and does not in ``Leaky``. Given equal input currents in float32 the spikes are the same bit
    for bit, and a checkpoint of one loads into the other.

    Args:
        alpha: decay of the synaptic current per time step, in [0, 1]; a number or a tensor, as ``beta``.
        beta: decay of the membrane potential per time step, in [0, 1]; a number, or a tensor that broadcasts
            against x [B, ...] (one decay per neuron). A tensor is clamped to [0, 1] at use.
        threshold: membrane potential above which a neuron fires; a number or a tensor, as ``beta``.
        spike_grad: surrogate gradient, a callable of u - threshold. Default ``ArcTan(2.0)``, as in snnTorch.
            Those of ``snntorch_binary.nn.surrogate`` run as one scan; any other (snnTorch's, yours) step by
            step.
        init_hidden: build the one-step form that keeps its state itself (implies ``step``).
        inhibition: not supported, must be False.
        learn_alpha: make ``alpha`` a Parameter.
        learn_beta: make ``beta`` a Parameter.
        learn_threshold: make ``threshold`` a Parameter.
        reset_mechanism: ``"subtract"`` the threshold, set to ``"zero"`` (slower), or ``"none"``.
        output: also return the synaptic current and the membrane potential.
        reset_delay: True resets one step after the spike, False in the same step (another neuron, and
            slower).
        step: build the one-step form.

    Shapes:
        - time-first: x [T, B, ...] and optionally the first syn and mem [B, ...] to spikes [T, B, ...]; with
          ``output`` (spikes, syn, mem), all [T, B, ...]
        - ``step``: x [B, ...], syn and mem to (spikes, syn, mem). ``None``, or what ``init_synaptic()``
          returns, is the state at rest; unlike snnTorch, nothing is kept on the module.
        - ``init_hidden``: x [B, ...] to spikes [B, ...]; with ``output`` (spikes, syn, mem)

    Raises:
        ValueError: an argument is out of range, or x has too few dimensions or not the shape of the state.
        TypeError: x is not a floating point tensor, or a state is passed with ``init_hidden``.

    Example:
        >>> import torch
        >>> current = torch.zeros(3, 1, 1)
        >>> current[0] = 1.0
        >>> spikes, syn, mem = Synaptic(alpha=0.9, beta=0.8, output=True)(current)
        >>> [round(u, 2) for u in mem.flatten().tolist()]
        [1.0, 1.7, 1.17]
    """

    State = SynapticState
    alpha: Tensor

    def __init__(
        self,
        alpha: float | Tensor,
        beta: float | Tensor,
        threshold: float | Tensor = 1.0,
        spike_grad: Callable[[Tensor], Tensor] | None = None,
        *,
        init_hidden: bool = False,
        inhibition: bool = False,
        learn_alpha: bool = False,
        learn_beta: bool = False,
        learn_threshold: bool = False,
        reset_mechanism: str = "subtract",
        output: bool = False,
        reset_delay: bool = True,
        step: bool = False,
    ) -> None:
        super().__init__(
            beta,
            threshold,
            spike_grad,
            init_hidden=init_hidden,
            inhibition=inhibition,
            learn_beta=learn_beta,
            learn_threshold=learn_threshold,
            reset_mechanism=reset_mechanism,
            output=output,
            graded_spikes_factor=1.0,
            learn_graded_spikes_factor=False,
            reset_delay=reset_delay,
            step=step,
        )
        self._decay("alpha", alpha, learn_alpha)

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, SynapticState]:
        """One time step, whatever the form: spikes and state of x [B, ...] and the state (None: at rest)."""
        syn, mem = self._at_hand(x, state)
        reset = self._fire(mem).detach()
        syn = self.alpha.clamp(0, 1) * syn + x
        mem = self.beta.clamp(0, 1) * mem + syn
        if self.reset_mechanism == "zero":
            mem = (1 - reset) * mem
        elif self.reset_mechanism == "subtract":
            mem = mem - reset * self.threshold
        spikes, mem = self._settle(mem, reset)
        return self._grade(spikes), SynapticState(syn, mem)

    def forward(self, x: Tensor, syn: Tensor | None = None, mem: Tensor | None = None) -> Any:
        """Spikes, and what else the form of this module returns (see the class)."""
        x = self._checked(x)
        state = None if syn is None and mem is None else (syn, mem)
        spikes, state = self._advance(x, state) if self.one_step else self._sequence(x, state)
        explicit = self.one_step and not self.init_hidden
        return (spikes, *state) if self.output or explicit else spikes

    def _sequence(self, x: Tensor, state: Any) -> tuple[Tensor, SynapticState]:
        surrogate = self.spike_grad
        slow = not self.reset_delay or self.reset_mechanism == "zero"
        if slow or x.shape[0] == 0 or not isinstance(surrogate, Surrogate):
            return self._loop(x, state)
        syn, mem = self._at_hand(x[0], state)
        syn = exponential_filter(x, self.alpha.clamp(0, 1), syn)
        beta = self.beta.clamp(0, 1)
        spikes, mem = leaky_scan(syn, mem, beta, self.threshold, self.reset_mechanism, surrogate)
        return self._grade(spikes), SynapticState(syn, mem)

    def init_synaptic(self) -> SynapticState:
        """The state at rest, for the first step; also resets the kept state (``reset_mem``)."""
        return self.reset_mem()
