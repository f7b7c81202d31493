"""The energy of a spiking network against its twin of real numbers, as papers on such networks estimate it."""

from __future__ import annotations

from dataclasses import dataclass

from snntorch_binary._errors import expected
from snntorch_binary.metrics.energy.table import FLOAT_ADDITION_PJ, MAC_PJ, Energy


@dataclass(frozen=True)
class SpikeRateEnergy:
    """Operations of one inference, and what they cost in a 45 nm process.

    Attributes:
        accumulates: float32 additions of the spiking network, over all time steps.
        macs: multiply-accumulates of the twin, which takes one step.
    """

    accumulates: float
    macs: float

    @property
    def spiking_nj(self) -> float:
        """Energy of the additions in nJ, 0.9 pJ each."""
        return 1e-3 * FLOAT_ADDITION_PJ * self.accumulates

    @property
    def twin_nj(self) -> float:
        """Energy of the twin's multiply-accumulates in nJ, 4.6 pJ each."""
        return 1e-3 * MAC_PJ * self.macs

    @property
    def ratio(self) -> float:
        """How many times the energy of the spiking network the twin takes."""
        return self.twin_nj / self.spiking_nj if self.accumulates else float("inf")


def spike_rate_energy(counted: Energy, num_steps: int) -> SpikeRateEnergy:
    r"""Estimate the energy of a spiking network from measured firing rates, and that of its twin of real numbers.

    With the products :math:`N_l` of layer l in one step, and the share :math:`r_{l-1}` of the neurons before it that
    spike in a step (of the inputs that are not zero, for the first layer):

    .. math::
        E_{spiking} = 0.9\,\mathrm{pJ} \cdot T \sum_l r_{l-1} N_l, \qquad E_{twin} = 4.6\,\mathrm{pJ} \cdot \sum_l N_l

    Unlike :func:`energy`, this takes what comes out of a pooling of spikes for spikes (each could be added with a
    smaller weight), signed input spikes too, and leaves out updates of neurons and memory. It is an estimate from
    single operations, no measurement of any chip.

    Source: of the energies M. Horowitz, ISSCC 2014; of the recipe Panda, Aketi and Roy, "Toward Scalable, Efficient,
    and Accurate Deep Spiking Neural Networks With Backward Residual Connections, Stochastic Softmax, and
    Hybridization", Frontiers in Neuroscience 14, 2020.

    Args:
        counted: what :func:`energy` counted of a spiking network whose layers follow each other.
        num_steps: time steps T of the input it was counted with.

    Raises:
        ValueError: ``num_steps`` is not positive, or a layer but the last has no neurons behind it.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> from snntorch_binary.metrics import energy, spike_rate_energy
        >>> net = torch.nn.Sequential(torch.nn.Linear(10, 4), sb.nn.Leaky(beta=0.9), torch.nn.Linear(4, 2))
        >>> x = torch.zeros(5, 8, 10)
        >>> x[:, :, 0] = -1.0
        >>> _ = torch.nn.init.constant_(net[0].weight, 1.0), torch.nn.init.zeros_(net[0].bias)
        >>> found = spike_rate_energy(energy(net, x), num_steps=5)
        >>> found.accumulates, found.macs  # a tenth of 5 * 40, and nobody fires
        (20.0, 48.0)
    """
    if not isinstance(num_steps, int) or num_steps < 1:
        raise ValueError(expected("num_steps", "a positive integer", num_steps))
    rates = [counted.rows[0].input_density]
    for row in counted.rows[:-1]:
        if row.firing_rate is None:
            raise ValueError(expected("counted", "of layers with spiking neurons behind all but the last", row.name))
        rates.append(row.firing_rate)
    accumulates = sum(rate * row.dense_macs for rate, row in zip(rates, counted.rows, strict=True))
    return SpikeRateEnergy(accumulates, counted.dense_macs / num_steps)
