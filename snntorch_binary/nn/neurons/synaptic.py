"""The second-order leaky integrate-and-fire neuron of snnTorch, time-first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from snntorch_binary.kernels.scan import exponential_filter_and_last, leaky_scan_and_last
from snntorch_binary.kernels.surrogates import Surrogate
from snntorch_binary.nn.neurons import lif
from snntorch_binary.nn.neurons.description import DECAY, Constant, KernelForm, NeuronDescription, NIRForm, Operations

__all__ = ["RecurrentSynapticState", "Synaptic", "SynapticState"]


class SynapticState(NamedTuple):
    """The state of a Synaptic neuron after a time step: synaptic current, membrane potential [B, ...]."""

    syn: Tensor
    mem: Tensor


class RecurrentSynapticState(NamedTuple):
    """The state of recurrent Synaptic neurons after a time step: spikes, current and potential [B, ...]."""

    spikes: Tensor
    syn: Tensor
    mem: Tensor


def update(x: Tensor, state: SynapticState, of: Any) -> tuple[Tensor, SynapticState]:
    """One time step."""
    syn, mem = state
    reset = of.spike_grad(mem - of.threshold).detach()
    syn = of.alpha.clamp(0, 1) * syn + x
    mem = of.beta.clamp(0, 1) * mem + syn
    if of.reset_mechanism == "zero":
        mem = (1 - reset) * mem
    elif of.reset_mechanism == "subtract":
        mem = mem - reset * of.threshold
    spikes, mem = lif.settled(mem, reset, of)
    return spikes, SynapticState(syn, mem)


def kernel(neuron: Any) -> KernelForm | str:
    """The form that compiled kernels take."""
    decays = {"alpha": neuron.alpha.clamp(0, 1), "beta": neuron.beta.clamp(0, 1)}
    reason = lif.why_no_kernel(neuron)
    return reason or KernelForm("synaptic", neuron.threshold, neuron.reset_mechanism, **decays)


def to_nir(node: Any) -> tuple[str, dict[str, Any]]:
    """All loaders take r and w_in of ``CubaLIF``, with which it keeps u."""
    leak, threshold, synaptic_leak = node.leak("beta"), node.constant("threshold"), node.leak("alpha")
    times = {"tau_mem": node.dt / leak, "tau_syn": node.dt / synaptic_leak}
    zeros = {"v_leak": node.zeros(), "v_reset": node.zeros()}
    return "CubaLIF", {**times, **zeros, "r": 1 / leak, "w_in": 1 / synaptic_leak, "v_threshold": threshold}


def of_nir(node: Any) -> dict[str, Any]:
    """Arguments of a Synaptic, from a CubaLIF."""
    threshold, gain = node.threshold_and_gain()
    leak = node.leak("tau_mem")
    synaptic_leak = node.leak("tau_syn")
    scaled = node.scaled(threshold, gain * leak * synaptic_leak * node.constant("w_in"))
    constants = {"alpha": 1 - synaptic_leak, "beta": 1 - leak, "threshold": scaled}
    options = {"reset_mechanism": "zero", "reset_delay": False}
    return {**{name: node.tidy(values) for name, values in constants.items()}, **options}


class Synaptic(lif.LIF):
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
    RecurrentState = RecurrentSynapticState
    description = NeuronDescription(
        update=update,
        constants=(
            Constant("alpha", DECAY, per_neuron=True),
            Constant("beta", DECAY, per_neuron=True),
            lif.THRESHOLD,
        ),
        options=lif.OPTIONS,
        spike=lif.SPIKE,
        operations=Operations(macs=2, additions=2, kept=2),
        saved_since=1,
        kernel=kernel,
        nir=NIRForm(to_nir, lif.losses_with_delay, of_nir, kinds=("CubaLIF",), keeps=("reset_delay",), name="Synaptic"),
    )
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
        self._constants(alpha=(alpha, learn_alpha))

    def forward(self, x: Tensor, syn: Tensor | None = None, mem: Tensor | None = None) -> Any:
        """Spikes, and what else the form of this module returns (see the class)."""
        return self._from(x, syn, mem)

    def _resumed(self, x: Tensor, state: Any) -> tuple[Tensor, SynapticState, SynapticState]:
        surrogate = self.spike_grad
        slow = not self.reset_delay or self.reset_mechanism == "zero"
        if slow or x.shape[0] == 0 or not isinstance(surrogate, Surrogate):
            return self._looped(x, state)
        syn, mem = self._at_hand(x[0], state)
        syn, last = exponential_filter_and_last(x, self.alpha.clamp(0, 1), syn)
        beta = self.beta.clamp(0, 1)
        spikes, mem, last_mem = leaky_scan_and_last(syn, mem, beta, self.threshold, self.reset_mechanism, surrogate)
        return lif.graded(spikes, self), SynapticState(syn, mem), SynapticState(last, last_mem)

    def init_synaptic(self) -> SynapticState:
        """The state at rest, for the first step; also resets the kept state (``reset_mem``)."""
        return self.reset_mem()
