"""A winner-take-all network's parameters as FL-SNN exchanges them: synapses by basis function, and everything else."""

from __future__ import annotations

import torch
from torch import Tensor

from snntorch_binary.federated.averaging import State
from snntorch_binary.learning.circuits import parameters_of
from snntorch_binary.nn.wta.network import WTANetwork


def synapses(net: WTANetwork) -> Tensor:
    """Return the weights of all connections there are, hidden circuits' first, as a copy [S, K_a].

    Example:
        >>> from snntorch_binary.nn import WTANetwork
        >>> synapses(WTANetwork(num_inputs=676, num_hidden=0, num_outputs=2)).shape  # and each output from the other
        torch.Size([1354, 8])
    """
    return torch.cat([weight[there] for weight, there in _by_basis(net)]).detach()


@torch.no_grad()
def set_synapses_(net: WTANetwork, values: Tensor) -> None:
    """Set the weights of all connections there are to values [S, K_a]."""
    parts = _by_basis(net)
    for (weight, there), value in zip(parts, values.split([int(there.sum()) for _, there in parts]), strict=True):
        weight[there] = value


def _by_basis(net: WTANetwork) -> list[tuple[Tensor, Tensor]]:
    """Return, for each group of circuits, a view [N, J, K_a] of its weights and where there is a connection [N, J]."""
    found = []
    for group in net.circuits().values():
        weight = parameters_of(group)["weight"].unflatten(1, (-1, net.basis.num))
        there = group.masked_(torch.ones_like(weight).flatten(1)).unflatten(1, (-1, net.basis.num))[..., 0] > 0
        found.append((weight, there))
    return found


def biases_and_feedback(net: WTANetwork) -> State:
    """Return copies of the biases and feedback weights, by name."""
    return {name: value.detach().clone() for name, value in _biases_and_feedback(net).items()}


@torch.no_grad()
def set_biases_and_feedback_(net: WTANetwork, values: State) -> None:
    """Set the biases and feedback weights to values of :func:`biases_and_feedback`."""
    for name, parameter in _biases_and_feedback(net).items():
        parameter.copy_(values[name])


def _biases_and_feedback(net: WTANetwork) -> State:
    return {
        f"{group}.{name}": value
        for group, circuits in net.circuits().items()
        for name, value in parameters_of(circuits).items()
        if name != "weight"
    }
