"""The networks of the shipped experiments, as plain float modules; a rule makes them binary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary.learning import LocalNetwork
from snntorch_binary.nn.basis import Basis
from snntorch_binary.nn.neurons.leaky import Leaky
from snntorch_binary.nn.neurons.refractory import Refractory
from snntorch_binary.nn.neurons.synaptic_trace import SynapticTrace
from snntorch_binary.nn.surrogate import ArcTan
from snntorch_binary.nn.time_first import TimeFirst
from snntorch_binary.nn.wta.network import WTANetwork, layered_mask


class SpikingMLP(nn.Sequential):
    """A fully connected time-first network of leaky neurons whose last layer is read out as input current.

    Args:
        input_size: features per time step; further feature dimensions are flattened.
        hidden_sizes: neurons of the hidden layers.
        num_classes: outputs C.
        beta: decay of the membrane potential per time step, in [0, 1].
        threshold: firing threshold.
        drive: weights start uniform in ±drive/sqrt(fan_in); torch's own start is 1, too little for neurons with
            a threshold of 1 to fire.
        reset_mechanism: of the membrane potential after a spike, ``"subtract"``, ``"zero"`` (which NIR can express) or
            ``"none"``.

    Shape:
        spikes [T, B, ...] -> currents [T, B, C].

    Raises:
        ValueError: a size or the drive is not positive.

    Example:
        >>> import torch
        >>> net = SpikingMLP(64, [32], 10)
        >>> net(torch.ones(10, 2, 64)).shape
        torch.Size([10, 2, 10])
    """

    def __init__(
        self,
        input_size: int,
        hidden_sizes: Sequence[int],
        num_classes: int,
        beta: float = 0.9,
        threshold: float = 1.0,
        drive: float = 3.0,
        reset_mechanism: str = "subtract",
    ) -> None:
        sizes = [input_size, *hidden_sizes, num_classes]
        _check(sizes, drive)
        modules: list[nn.Module] = [nn.Flatten(2)]
        for index, (fan_in, size) in enumerate(pairwise(sizes)):
            modules.append(_linear(fan_in, size, drive))
            if index < len(hidden_sizes):
                modules.append(Leaky(beta, threshold, ArcTan(), reset_mechanism=reset_mechanism))
        super().__init__(*modules)


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
        _check(sizes, drive)
        blocks = [
            nn.Sequential(
                TimeFirst(nn.Flatten()),
                SynapticTrace(tau_mem, tau_syn, normalize=True),
                _linear(fan_in, size, drive),
                Refractory(surrogate=ArcTan(fires_at_threshold=True)),
            )
            for fan_in, size in pairwise(sizes)
        ]
        super().__init__(blocks, num_outputs, (input_size,), readout_scale, burn_in, seed)


def has_polarities(input_shape: Sequence[int]) -> bool:
    """Say whether spikes of this shape are an event camera's, [2, H, W]."""
    return len(input_shape) == 3 and input_shape[0] == 2


def symbol_network(
    input_shape: Sequence[int], num_hidden: int, num_outputs: int, num_symbols: int, basis: Basis, init: float = 0.02
) -> WTANetwork:
    """Return a winner-take-all classifier with an input circuit for each pixel.

    It is feedforward: outputs see hidden circuits only, so that all they know has gone through these (without any, they
    see the inputs), and nobody the past of his own group. That of outputs is clamped while learning.

    Args:
        input_shape: shape of the spikes in one time step.
        num_hidden: number of hidden circuits.
        num_outputs: number of classes.
        num_symbols: number of symbols.
        basis: what circuits see of the past of others.
        init: weights start uniform in ±init.

    Example:
        >>> from snntorch_binary.nn import RaisedCosine
        >>> symbol_network((2, 34, 34), 16, 10, 2, RaisedCosine(2)).num_inputs
        1156
    """
    sizes = math.prod(input_shape) // (2 if has_polarities(input_shape) else 1), num_hidden, num_outputs
    mask = layered_mask(*sizes, hidden_lateral=False, output_lateral=False)
    if num_hidden:
        mask[num_hidden:, : sizes[0]] = False
    return WTANetwork(*sizes, num_symbols, basis=basis, feedback="none", mask=mask, init=init)


def _check(sizes: Sequence[int], drive: float) -> None:
    if min(sizes) < 1:
        raise ValueError(expected("sizes", "positive integers", sizes))
    if not drive > 0:
        raise ValueError(expected("drive", "a positive float", drive))


def _linear(fan_in: int, size: int, drive: float) -> nn.Linear:
    linear = nn.Linear(fan_in, size)
    nn.init.uniform_(linear.weight, -drive / math.sqrt(fan_in), drive / math.sqrt(fan_in))
    nn.init.zeros_(linear.bias)
    return linear
