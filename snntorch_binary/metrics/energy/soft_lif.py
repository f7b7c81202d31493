"""The energy of a network in spikes against that of its rate network, by the recipe of the soft LIF papers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from snntorch_binary._errors import expected
from snntorch_binary.convert import SpikingNetwork
from snntorch_binary.nn.locally_connected import LocallyConnected2d
from snntorch_binary.nn.neurons.spiking_lif import SpikingLIF

FLOPS_PER_SYNAPTIC_EVENT = 0.08
FLOPS_PER_UPDATE = 0.25


@dataclass(frozen=True)
class SpikingEnergy:
    """What one image costs, in units of one floating point operation on ordinary hardware.

    Attributes:
        neurons: number of neurons of each layer.
        synapses: connections of the layers of weights behind each.
        rates: mean firing rate of each, in Hz.
        rate_network: operations of the rate network.
        spiking_network: what the network in spikes costs.
    """

    neurons: tuple[int, ...]
    synapses: tuple[int, ...]
    rates: tuple[float, ...]
    rate_network: float
    spiking_network: float

    @property
    def efficiency(self) -> float:
        """How many times less the network in spikes costs; less than 1 means more."""
        return self.rate_network / self.spiking_network

    def __str__(self) -> str:
        shown = ", ".join(f"{rate:.1f}" for rate in self.rates)
        return (
            f"rate network {self.rate_network / 1e6:.2f} M, in spikes {self.spiking_network / 1e6:.2f} M operations an "
            f"image ({self.efficiency:.2f}x less); mean rates by layer {shown} Hz"
        )


def spiking_energy(net: SpikingNetwork, x: Tensor) -> SpikingEnergy:
    r"""Estimate what an image costs in spikes and in the rate network.

    .. math::
        E_{snn} = \Big(0.08 \sum_i S_i R_i + \frac{0.25}{dt} \sum_i N_i\Big)\, t_p, \qquad
        E_{ann} = \sum_i N_i + 2 \sum_i C_i

    with the N_i neurons of layer i, their mean rate R_i, the number S_i of connections behind them, the connections C_i
    of each layer of weights, and the time t_p that an image is shown. **It is an estimate for neuromorphic hardware of
    2016 and no measurement**; :func:`snntorch_binary.metrics.energy` counts operations, spikes and bytes.

    Source: Hunsberger and Eliasmith, arXiv 1611.05141.

    Args:
        net: what :func:`snntorch_binary.to_spiking` returned.
        x: images as it takes them.

    Raises:
        TypeError: ``net`` is another network.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> from snntorch_binary.metrics import spiking_energy
        >>> net = torch.nn.Sequential(torch.nn.Linear(16, 32), sb.nn.SoftLIF(), torch.nn.Linear(32, 3))
        >>> energy = spiking_energy(sb.to_spiking(net), torch.rand(1, 4, 16))
        >>> energy.neurons, energy.synapses, energy.rate_network
        ((32,), (96,), 1248.0)
    """
    if not isinstance(net, SpikingNetwork):
        raise TypeError(expected("net", "what to_spiking() returns", type(net).__name__))
    batch_size = len(x) if net.one_step else x.shape[1]
    order: list[nn.Module] = []
    connections: dict[nn.Module, int] = {}
    outputs: dict[nn.Module, list[Tensor]] = {}

    def count(module: nn.Module, inputs: Any, y: Tensor) -> None:
        if isinstance(module, SpikingLIF):
            outputs.setdefault(module, []).append(y if module.one_step else y.mean(0))
        elif module not in connections:
            steps = net.num_steps if outputs and not net.one_step else 1
            connections[module] = _connections(module, inputs[0], y) // (batch_size * steps)
        if module not in order:
            order.append(module)

    weighted = (nn.Linear, _ConvNd, LocallyConnected2d, SpikingLIF)
    hooks = [module.register_forward_hook(count) for module in net.modules() if isinstance(module, weighted)]
    try:
        net(x)
    finally:
        for hook in hooks:
            hook.remove()
    layers = [module for module in order if isinstance(module, SpikingLIF)]
    neurons = tuple(outputs[layer][0][0].numel() for layer in layers)
    rates = tuple(float(torch.stack(outputs[layer]).mean()) / layer.amplitude for layer in layers)
    places = [order.index(layer) for layer in layers] + [len(order)]
    synapses = tuple(sum(connections[module] for module in order[start + 1 : stop]) for start, stop in pairwise(places))
    events = sum(number * rate for number, rate in zip(synapses, rates, strict=True))
    updates = sum(neurons) / layers[0].dt
    seconds = net.num_steps * layers[0].dt
    return SpikingEnergy(
        neurons,
        synapses,
        rates,
        float(sum(neurons) + 2 * sum(connections.values())),
        (FLOPS_PER_SYNAPTIC_EVENT * events + FLOPS_PER_UPDATE * updates) * seconds,
    )


def _connections(module: Any, x: Tensor, y: Tensor) -> int:
    if isinstance(module, _ConvTransposeNd):
        return x.numel() * int(module.weight[0].numel())
    return y.numel() * (module.fan_in if isinstance(module, LocallyConnected2d) else int(module.weight[0].numel()))
