"""LIF neurons in spikes with a refractory period and an alpha synapse at their outputs, over a whole sequence."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from snntorch_binary.kernels.engine import array, compiled, flat


class LIFConstants(NamedTuple):
    """What the neurons of a layer have in common; times are in time steps.

    Attributes:
        height: of a spike at the output.
        tau_ref: refractory period, at least 1.
        tau_rc: time constant of the membrane.
        gain: input current for an input of 1.
        decay: of each of the two stages of the synapse in a time step; 0 is no synapse.
    """

    height: float
    tau_ref: float
    tau_rc: float
    gain: float
    decay: float


def spiking_lif(
    x: Tensor, num_steps: int, state: tuple[Tensor, ...], of: LIFConstants
) -> tuple[Tensor, tuple[Tensor, ...]]:
    r"""Return outputs [T, B, ...] and the last state.

    In a step with the constant current J = a x + 1, a neuron that has been refractory for its first part integrates for
    the rest of it, the time :math:`\delta`, exactly:

    .. math::
        V' = \max(0, J + (V - J) e^{-\delta / \tau_{rc}})

    Where V' > 1 it fired at the time :math:`t = \tau_{rc} \log((J - V) / (J - 1))` of its integration: V is 0 from then
    on, and of the refractory period :math:`\tau_{ref} - (\delta - t)` is left. The synapse is two low-pass filters in a
    row, :math:`y \leftarrow b y + (1 - b) x`, whose impulse response :math:`(1 - b)^2 (n + 1) b^n` has the sum 1.

    Args:
        x: inputs [T, B, ...], or [1, B, ...] that are there in all steps.
        num_steps: T.
        state: membrane potential, time left of the refractory period, and both stages of the synapse, each [B, ...].
        of: constants of the neurons.
    """
    x = x.detach().contiguous()
    potential, refractory, rise, synapse = (tensor.detach().clone().contiguous() for tensor in state)
    kernels = compiled("spiking_lif", x, potential, refractory, rise, synapse)
    y = x.new_empty(num_steps, *x.shape[1:])
    if kernels is not None:
        states = (flat(potential), flat(refractory), flat(rise), flat(synapse))
        kernels.spiking_lif(array(x).reshape(len(x), -1), array(y).reshape(num_steps, -1), *states, tuple(of))
        return y, (potential, refractory, rise, synapse)
    for t in range(num_steps):
        current = of.gain * x[t if len(x) > 1 else 0] + 1
        active = (1 - refractory).clamp(0, 1)
        after = (current + (potential - current) * torch.exp(-active / of.tau_rc)).clamp_min(0)
        fired = after > 1
        late = active - of.tau_rc * torch.log(torch.where(fired, (current - potential) / (current - 1), 1))
        left = of.tau_ref - torch.minimum(late.clamp_min(0), active)
        refractory = torch.where(fired, left, (refractory - 1).clamp_min(0))
        potential = torch.where(fired, 0, after)
        spikes = of.height * fired.to(x.dtype)
        rise = of.decay * rise + (1 - of.decay) * spikes
        synapse = of.decay * synapse + (1 - of.decay) * rise
        y[t] = synapse
    return y, (potential, refractory, rise, synapse)
