r"""The neurons of SpikingJelly that are ours by another name, described by their names: it need not be installed.

Its ``LIFNode``, ``IFNode`` and ``ParametricLIFNode`` charge, fire at H >= v_threshold, and reset in the same step:

.. math::
    H_t = V_{t-1} + (X_t - V_{t-1}) / \tau \; (\text{decay_input}) \quad \text{or} \quad V_{t-1} (1 - 1 / \tau) + X_t,
    \qquad V_t = H_t - S_t \vartheta \; (\text{v_reset=None}) \quad \text{or} \quad (1 - S_t) H_t \; (\text{v_reset=0})

H is the potential of ``SoftReset`` and of ``Leaky`` with a reset to zero, which reset one step later, before they leak;
β is 1 - 1 / τ, and 1 of an ``IFNode``. With ``decay_input`` it is that of τ H, with the threshold τ ϑ and a surrogate
gradient as wide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary.kernels.surrogates import ArcTan, Surrogate
from snntorch_binary.nn.neurons.base import Neuron
from snntorch_binary.nn.neurons.description import NeuronDescription, register
from snntorch_binary.nn.neurons.leaky import Leaky
from snntorch_binary.nn.neurons.soft_reset import SoftReset


@dataclass(frozen=True)
class Sigmoid(Surrogate):
    """dS/du = alpha s (1 - s) with s = 1 / (1 + exp(-alpha u)): the surrogate of SpikingJelly's neurons by default."""

    alpha: float = 4.0

    def derivative(self, u: Tensor) -> Tensor:  # noqa: D102  # the class says it
        s = torch.sigmoid(self.alpha * u)
        return self.alpha * s * (1 - s)


_SURROGATES: dict[str, type[Sigmoid | ArcTan]] = {"Sigmoid": Sigmoid, "ATan": ArcTan}


def over_time(node: Any, output: bool) -> Neuron | str:
    """Return ours for neurons of which the answers and gradients are the same, time-first; or why there is none."""
    surrogate = node.surrogate_function
    kind = _SURROGATES.get(type(surrogate).__name__)
    alpha = getattr(surrogate, "alpha", None)
    if kind is None or not isinstance(alpha, (int, float)):
        return f"a surrogate gradient of its own, {type(surrogate).__name__}"
    if not node.detach_reset:
        return "a gradient through its reset, detach_reset=False"
    weight = getattr(node, "w", None)
    if isinstance(weight, Tensor) and weight.requires_grad and (node.v_reset is None or node.decay_input):
        return "a time constant that learns, with decay_input=True or v_reset=None"
    reason = _other_equations(node)
    return reason or _ours(node, kind(alpha / _gain(node), fires_at_threshold=True), output)


def in_inference(node: Any, output: bool) -> Neuron | str:
    """Return ours for neurons of which the answers are the same, in the form that these have; or why there is none."""
    reason = _other_equations(node)
    if reason is not None:
        return reason
    ours = _ours(node, ArcTan(fires_at_threshold=True), output)
    if node.step_mode == "s":
        ours.one_step = ours.init_hidden = True
    return ours


def _other_equations(node: Any) -> str | None:
    """Return why ours do not answer as neurons do, or ``None`` where they do."""
    if node.v_reset not in (None, 0):
        return f"no time-first form with v_reset={node.v_reset}"
    threshold = node.v_threshold
    if not isinstance(threshold, (int, float)) or not 0 < threshold < math.inf:
        return "no time-first form with a threshold that is no positive number"
    spiking = getattr(node.surrogate_function, "spiking", False)  # a function may give anything
    if not spiking or getattr(node, "_neuron_precision", None) is not None:
        return "no time-first form with spikes or precisions of another kind"
    if _decays_input(node) and not float(torch.as_tensor(_beta(node)).detach()) < 1:
        return "no time-first form without a leak, where that decays the input"
    return None


def _ours(node: Any, surrogate: Surrogate, output: bool) -> Neuron:
    beta, threshold = _beta(node), _gain(node) * float(node.v_threshold)
    if node.v_reset is None:
        beta = float(beta.detach()) if isinstance(beta, Tensor) else beta
        return SoftReset(beta, threshold, surrogate, output=output)
    return Leaky(beta, threshold, surrogate, reset_mechanism="zero", output=output)


def _beta(node: Any) -> float | Tensor:
    """Return the decay per time step."""
    if isinstance(getattr(node, "w", None), Tensor):
        return 1 - node.w.sigmoid()
    return 1 - 1 / node.tau if hasattr(node, "tau") else 1.0


def _decays_input(node: Any) -> bool:
    return bool(getattr(node, "decay_input", False))


def _gain(node: Any) -> float:
    """Return how many times larger the potential of ours is: the time constant, where it divides the input."""
    if not _decays_input(node):
        return 1.0
    weight = getattr(node, "w", None)
    return 1 / float(weight.detach().sigmoid()) if isinstance(weight, Tensor) else float(node.tau)


def _takes_one_step(node: nn.Module) -> bool:
    return node.step_mode == "s"


for _name in ("LIFNode", "IFNode", "ParametricLIFNode"):
    register(
        f"spikingjelly.{_name}",
        NeuronDescription(over_time=over_time, in_inference=in_inference, takes_one_step=_takes_one_step),
    )
