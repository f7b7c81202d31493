"""The leaky integrate-and-fire neuron of snnTorch, time-first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from snntorch_binary.kernels.scan import leaky_scan_and_last
from snntorch_binary.kernels.surrogates import Surrogate
from snntorch_binary.nn.neurons import lif
from snntorch_binary.nn.neurons.description import DECAY, Constant, KernelForm, NeuronDescription, NIRForm, Operations

__all__ = ["Leaky", "LeakyState", "RecurrentLeakyState"]


class LeakyState(NamedTuple):
    """The state of a Leaky neuron after a time step: its membrane potential [B, ...]."""

    mem: Tensor


class RecurrentLeakyState(NamedTuple):
    """The state of recurrent Leaky neurons after a time step: spikes and membrane potential [B, ...]."""

    spikes: Tensor
    mem: Tensor


def update(x: Tensor, state: LeakyState, of: Any) -> tuple[Tensor, LeakyState]:
    """One time step."""
    (mem,) = state
    reset = of.spike_grad(mem - of.threshold).detach()
    if of.reset_mechanism == "zero":
        mem = (1 - reset) * mem
    mem = of.beta.clamp(0, 1) * mem + x
    if of.reset_mechanism == "subtract":
        mem = mem - reset * of.threshold
    spikes, mem = lif.settled(mem, reset, of)
    return spikes, LeakyState(mem)


def kernel(neuron: Any) -> KernelForm | str:
    """The form that compiled kernels take."""
    reason = lif.why_no_kernel(neuron)
    return reason or KernelForm("leaky", neuron.threshold, neuron.reset_mechanism, beta=neuron.beta.clamp(0, 1))


def to_nir(node: Any) -> tuple[str, dict[str, Any]]:
    """With τ = dt / (1 - β) NIR's v is (1 - β) r u. Norse ignores r, so r is 1 and the factor is in the threshold."""
    leak = node.leak("beta")
    constants = {"tau": node.dt / leak, "r": node.ones(), "v_leak": node.zeros(), "v_reset": node.zeros()}
    return "LIF", {**constants, "v_threshold": node.constant("threshold") * leak}


def of_nir(node: Any) -> dict[str, Any]:
    """Arguments of a Leaky, from a LIF or an IF without a leak."""
    threshold, gain = node.threshold_and_gain()
    if node.kind == "IF":
        beta = 0 * threshold + 1
    else:
        leak = node.leak("tau")
        beta, gain = 1 - leak, gain * leak
    # A potential that is set to zero before it decays is zero as well, and a delayed reset is one scan.
    delay = bool(node.metadata.get("reset_delay", True))
    scaled = node.scaled(threshold, gain)
    return {"beta": node.tidy(beta), "threshold": node.tidy(scaled), "reset_mechanism": "zero", "reset_delay": delay}


class Leaky(lif.LIF):
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
    RecurrentState = RecurrentLeakyState
    description = NeuronDescription(
        update=update,
        constants=(Constant("beta", DECAY, per_neuron=True), lif.THRESHOLD, lif.FACTOR),
        options=lif.OPTIONS,
        spike=lif.SPIKE,
        operations=Operations(macs=1, additions=2, kept=1),  # the decay and the input; the reset, the threshold
        saved_since=1,
        kernel=kernel,
        nir=NIRForm(to_nir, lif.losses, of_nir, kinds=("LIF", "IF"), keeps=("reset_delay",), name="Leaky"),
    )

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

    def forward(self, x: Tensor, mem: Tensor | None = None) -> Any:
        """Spikes, and what else the form of this module returns (see the class)."""
        return self._from(x, mem)

    def _resumed(self, x: Tensor, state: Any) -> tuple[Tensor, LeakyState, LeakyState]:
        surrogate = self.spike_grad
        if x.shape[0] == 0 or not self.reset_delay or not isinstance(surrogate, Surrogate):
            return self._looped(x, state)
        (mem,) = self._at_hand(x[0], state)
        beta = self.beta.clamp(0, 1)
        spikes, mem, last = leaky_scan_and_last(x, mem, beta, self.threshold, self.reset_mechanism, surrogate)
        return lif.graded(spikes, self), LeakyState(mem), LeakyState(last)

    def init_leaky(self) -> Tensor:
        """The membrane potential at rest, for the first step; also resets the kept state (``reset_mem``)."""
        return self.reset_mem().mem
