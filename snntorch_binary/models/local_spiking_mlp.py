"""A fully connected network whose layers learn locally and online, as a plain float module."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from snntorch_binary.kernels.surrogates import ArcTan
from snntorch_binary.learning import LocalNetwork
from snntorch_binary.models.start import check_sizes, uniform_linear
from snntorch_binary.nn.neurons.refractory import Refractory
from snntorch_binary.nn.neurons.synaptic_trace import SynapticTrace
from snntorch_binary.nn.time_first import TimeFirst


class LocalSpikingMLP(LocalNetwork):
    """A fully connected network of spike response neurons, each layer with a fixed random readout of its own.

    Its layers can learn locally and online, as in BiSNN: the synaptic filter is on their input side.

    Args:
        input_size: features per time step; further feature dimensions are flattened.
        hidden_sizes: neurons of the layers; the last one's readout is the answer.
        num_outputs: outputs C.
        drive: weights start uniform in ±drive/sqrt(fan_in).
        readout_scale: see :class:`snntorch_binary.learning.LocalNetwork`.
        burn_in: time steps that are neither learned from nor read out.
        tau_mem: time constant of the membrane, in time steps.
        tau_syn: time constant of the synapse, in time steps.
        seed: of the readouts.

    Shape:
        spikes [T, B, ...] -> readouts [T - burn_in, B, C].

    Raises:
        ValueError: a size or the drive is not positive, or there is no layer.

    Example:
        >>> import torch
        >>> LocalSpikingMLP(20, [32, 32], 2, burn_in=10)(torch.ones(100, 4, 20)).shape
        torch.Size([90, 4, 2])
    """

    def __init__(
        self,
        input_size: int,
        hidden_sizes: Sequence[int],
        num_outputs: int,
        drive: float = 4.0,
        readout_scale: float = 1.0,
        burn_in: int = 0,
        tau_mem: float = 10.0,
        tau_syn: float = 6.0,
        seed: int = 0,
    ) -> None:
        sizes = [input_size, *hidden_sizes]
        check_sizes(sizes, drive)
        blocks = [
            nn.Sequential(
                TimeFirst(nn.Flatten()),
                SynapticTrace(tau_mem, tau_syn, normalize=True),
                uniform_linear(fan_in, size, drive),
                Refractory(surrogate=ArcTan(fires_at_threshold=True)),
            )
            for fan_in, size in pairwise(sizes)
        ]
        super().__init__(blocks, num_outputs, (input_size,), readout_scale, burn_in, seed)
