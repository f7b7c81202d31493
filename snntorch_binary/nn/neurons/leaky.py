"""The leaky integrate-and-fire neuron of snnTorch, time-first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from snntorch_binary.nn._scan import leaky_scan
from snntorch_binary.nn.neurons.lif import LIF
from snntorch_binary.nn.surrogate import Surrogate

__all__ = ["Leaky", "LeakyState"]


class LeakyState(NamedTuple):
    """The state of a Leaky neuron after a time step: its membrane potential [B, ...]."""

    mem: Tensor


class Leaky(LIF):
    r"""First-order leaky integrate-and-fire neuron: the time-first twin of ``snntorch.Leaky``.

    With the input current :math:`x_t`, everything zero at the start, and the reset decided by the old
    potential:

    .. math::
        r_t &= 1[u_{t-1} > \vartheta] \\
        u_t &= \beta u_{t-1} + x_t - r_t \vartheta \quad (\text{subtract}), \qquad
        u_t = \beta (1 - r_t) u_{t-1} + x_t \quad (\text{zero}) \\
        s_t &= 1[u_t > \vartheta]

    Source: ``snntorch.Leaky`` 1.0. Given equal input currents in float32 the spikes are the same bit for
    bit, and a checkpoint of one loads into the other. No gradient flows through a delayed reset, as there.

    Args:
        beta: decay of the membrane potential per time step, in [0, 1]; a number, or a tensor that broadcasts
            against x [B, ...] (one decay per neuron). A tensor is clamped to [0, 1] at use.
        threshold: membrane potential above which a neuron fires; a number or a tensor, as ``beta``.
        spike_grad: surrogate gradient, a callable of u - threshold. Default ``ArcTan(2.0)``, as in snnTorch.
            Those of ``snntorch_binary.nn.surrogate`` run as one scan; any other (snnTorch's, yours) step by
            step.
        init_hidden: build the one-step form that keeps its state itself (implies ``step``).
        inhibition: not supported, must be False.
        learn_beta: make ``beta`` a Parameter.
        learn_threshold: make ``threshold`` a Parameter.
        reset_mechanism: ``"subtract"`` the threshold, set to ``"zero"``, or ``"none"``.
        output: also return the membrane potential.
        graded_spikes_factor: what a spike is worth; fixed at construction or by a checkpoint, unless learned.
        learn_graded_spikes_factor: make it a Parameter.
        reset_delay: True resets one step after the spike, False in the same step (another neuron, and
            slower).
        step: build the one-step form.

    Shapes:
        - time-first: x [T, B, ...] and optionally the first mem [B, ...] to spikes [T, B, ...]; with
          ``output`` (spikes, mem), both [T, B, ...]
        - ``step``: x [B, ...] and mem to (spikes, mem). A mem of ``None``, or ``init_leaky()``, is the state
          at rest; unlike snnTorch, nothing is kept on the module.
        - ``init_hidden``: x [B, ...] to spikes [B, ...]; with ``output`` (spikes, mem)

    Raises:
        ValueError: an argument is out of range, or x has too few dimensions or not the shape of the state.
        TypeError: x is not a floating point tensor, or a mem is passed with ``init_hidden``.

    Example:
        >>> import torch
        >>> spikes, mem = Leaky(beta=0.5, output=True)(torch.full((4, 1, 1), 1.2))
        >>> spikes.flatten().tolist()
        [1.0, 0.0, 1.0, 0.0]
        >>> [round(u, 2) for u in mem.flatten().tolist()]
        [1.2, 0.8, 1.6, 1.0]
    """

    State = LeakyState

    def __init__(
        self,
        beta: float | Tensor,
        threshold: float | Tensor = 1.0,
        spike_grad: Callable[[Tensor], Tensor] | None = None,
        *,
        init_hidden: bool = False,
        inhibition: bool = False,
        learn_beta: bool = False,
        learn_threshold: bool = False,
        reset_mechanism: str = "subtract",
        output: bool = False,
        graded_spikes_factor: float | Tensor = 1.0,
        learn_graded_spikes_factor: bool = False,
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
            graded_spikes_factor=graded_spikes_factor,
            learn_graded_spikes_factor=learn_graded_spikes_factor,
            reset_delay=reset_delay,
            step=step,
        )

    def step(self, x: Tensor, state: LeakyState | None = None) -> tuple[Tensor, LeakyState]:
        """One time step, whatever the form: spikes and state of x [B, ...] and the state (None: at rest)."""
        (mem,) = self._at_hand(x, state)
        reset = self._fire(mem).detach()
        if self.reset_mechanism == "zero":
            mem = (1 - reset) * mem
        mem = self.beta.clamp(0, 1) * mem + x
        if self.reset_mechanism == "subtract":
            mem = mem - reset * self.threshold
        spikes, mem = self._settle(mem, reset)
        return self._grade(spikes), LeakyState(mem)

    def forward(self, x: Tensor, mem: Tensor | None = None) -> Any:
        """Spikes, and what else the form of this module returns (see the class)."""
        x = self._checked(x)
        state = None if mem is None else LeakyState(mem)
        spikes, state = self._advance(x, state) if self.one_step else self._sequence(x, state)
        explicit = self.one_step and not self.init_hidden
        return (spikes, *state) if self.output or explicit else spikes

    def _sequence(self, x: Tensor, state: Any) -> tuple[Tensor, LeakyState]:
        surrogate = self.spike_grad
        if x.shape[0] == 0 or not self.reset_delay or not isinstance(surrogate, Surrogate):
            return self._loop(x, state)
        (mem,) = self._at_hand(x[0], state)
        beta = self.beta.clamp(0, 1)
        spikes, mem = leaky_scan(x, mem, beta, self.threshold, self.reset_mechanism, surrogate)
        return self._grade(spikes), LeakyState(mem)

    def init_leaky(self) -> Tensor:
        """The membrane potential at rest, for the first step; also resets the kept state (``reset_mem``)."""
        return self.reset_mem().mem
