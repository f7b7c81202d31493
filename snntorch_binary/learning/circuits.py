"""What the local rules of winner-take-all networks share: their parameters, gradients and learning signal."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from snntorch_binary.nn.binary import BinaryLayer
from snntorch_binary.nn.wta.circuits import WTACircuits
from snntorch_binary.nn.wta.network import WTAStep


def learning_signal(step: WTAStep, gamma: float, silence: float) -> Tensor:
    r"""Return :math:`\sum_{out} \ln p(s_i) - \gamma \sum_{hidden} \ln (p(s_i) / r(s_i))` of each example, [B].

    The reference r says silence with probability ``silence`` and each symbol with an equal share of the rest.
    """
    reward = step.outputs.log_likelihood.sum(-1)
    if step.hidden is None or gamma == 0:
        return reward
    num_symbols = step.hidden.symbols.shape[-1]
    spikes = step.hidden.symbols.sum(-1)
    log_symbol, log_silence = math.log((1 - silence) / num_symbols), math.log(silence)
    reference = log_silence + (log_symbol - log_silence) * spikes
    return reward - gamma * (step.hidden.log_likelihood - reference).sum(-1)


def parameters_of(group: WTACircuits) -> dict[str, Tensor]:
    """Return what circuits learn by the names ``weight`` (of binary ones the latent), ``bias`` and ``feedback``."""
    linear = group.linear
    found = {"weight": linear.latent if isinstance(linear, BinaryLayer) else linear.weight, "bias": linear.bias}
    return found if group.feedback is None else {**found, "feedback": group.feedback}


def hand_over(group: WTACircuits, directions: dict[str, Tensor]) -> None:
    """Put directions of ascent for the weights in force, biases and feedback into ``.grad``, as those of descent."""
    linear = group.linear
    for name, parameter in parameters_of(group).items():
        if not parameter.requires_grad:
            continue
        if parameter.grad is None:
            parameter.grad = torch.empty_like(parameter)
        gradient = torch.neg(directions[name].view(parameter.shape), out=parameter.grad)
        if name == "weight":
            group.masked_(gradient)
            if isinstance(linear, BinaryLayer):
                gradient.mul_(float(linear._scale()))
                if linear.draw.derivative is not None:
                    gradient.mul_(linear.draw.derivative)
