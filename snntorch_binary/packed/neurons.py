"""Neurons in the form the kernels take: a kind, a reset, and a row of constants for every neuron."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.nn.neurons.leaky import Leaky
from snntorch_binary.nn.neurons.srm import SRM
from snntorch_binary.nn.neurons.synaptic import Synaptic

_KINDS: dict[type[nn.Module], int] = {Leaky: 0, Synaptic: 1, SRM: 2}
_RESETS = {"none": 0, "subtract": 1, "zero": 2}
_AROUND_ZERO = (-1.0, -1e-38, 0.0, 1e-38, 1.0)


@dataclass(frozen=True)
class NeuronConstants:
    """What a compiled scan knows of its neurons.

    Attributes:
        kind: 0 Leaky, 1 Synaptic, 2 SRM.
        reset: 0 none, 1 subtract, 2 zero.
        values: float32 [5, C]: alpha, beta, gamma, threshold, and the number above which a neuron fires.
    """

    kind: int
    reset: int
    values: Tensor

    def per_member(self, members: int, width: int) -> Tensor:
        """Return the constants of K members of ``width`` channels, [5, K · width]; those past C never fire."""
        fill = width - self.values.shape[1]
        never = torch.full((2, fill), math.inf)
        padding = torch.cat([torch.zeros(3, fill), never])
        return torch.cat([self.values, padding], 1).repeat(1, members).contiguous()


def why_not_fused(neuron: nn.Module) -> str | None:
    """Say why a module cannot be the neurons of a packed layer, or ``None`` if it can be."""
    if type(neuron) not in _KINDS:
        return "not a time-first neuron of this package"
    if neuron.one_step:
        return "it takes one time step at a time"
    if neuron.output:
        return "its membrane potential is asked for"
    if isinstance(neuron, SRM):
        return None
    if not neuron.reset_delay:
        return "it resets without delay"
    if neuron._graded:
        return "its spikes are graded"
    if fires_at_threshold(neuron) is None:
        return "its spike_grad is no step at the threshold"
    return None


def constants(neuron: nn.Module, channels: int, spatial: int) -> NeuronConstants | None:
    """Return the constants of a neuron behind a layer, or ``None`` where they differ between positions or examples."""
    if isinstance(neuron, SRM):
        alpha, beta, gamma = (torch.full((channels,), decay) for decay in neuron._decays)
        threshold: Tensor | None = torch.full((channels,), neuron.threshold)
        assert threshold is not None
        values = [alpha, beta, gamma, threshold, _fires_above(threshold, neuron.surrogate.fires_at_threshold)]
        return NeuronConstants(_KINDS[SRM], 0, torch.stack(values))
    assert isinstance(neuron, (Leaky, Synaptic))
    decay = neuron.alpha.clamp(0, 1) if isinstance(neuron, Synaptic) else torch.zeros(())
    found = [_per_channel(value, channels, spatial) for value in (decay, neuron.beta.clamp(0, 1), neuron.threshold)]
    if any(value is None for value in found):
        return None
    alpha, beta, threshold = (value for value in found if value is not None)
    above = _fires_above(threshold, bool(fires_at_threshold(neuron)))
    values = [alpha, beta, torch.zeros(channels), threshold, above]
    return NeuronConstants(_KINDS[type(neuron)], _RESETS[neuron.reset_mechanism], torch.stack(values))


def fused_constants(neuron: nn.Module, channels: int, spatial: int) -> NeuronConstants:
    """Return the constants of a neuron behind a layer.

    Raises:
        ValueError: a layer cannot hold such a neuron.
    """
    reason = why_not_fused(neuron)
    found = constants(neuron, channels, spatial) if reason is None else None
    if found is None:
        reason = reason or "it has not one constant a channel"
        raise ValueError(expected("neuron", f"one that a layer can hold ({reason})", neuron))
    return found


def _fires_above(threshold: Tensor, at_threshold: bool) -> Tensor:
    """Return the number above which a potential fires: u >= v says the same as u > the next number below v."""
    return torch.nextafter(threshold, torch.tensor(-math.inf)) if at_threshold else threshold


def fires_at_threshold(neuron: nn.Module) -> bool | None:
    """Say whether a ``Leaky`` or ``Synaptic`` at the threshold fires; ``None`` if its spike function is no step."""
    with torch.no_grad():
        spikes = neuron.spike_grad(torch.tensor(_AROUND_ZERO))  # type: ignore[operator]
    below, tie, above = spikes[:2], float(spikes[2]), spikes[3:]
    is_step = bool((below == 0).all()) and bool((above == 1).all()) and tie in (0.0, 1.0)
    return bool(tie) if is_step else None


def _per_channel(value: Tensor, channels: int, spatial: int) -> Tensor | None:
    """Return a value that broadcasts against [B, C, positions] as [C], or ``None`` if it is not one per channel."""
    value = value.detach().to(torch.float32).cpu()
    if value.numel() == 1:
        return value.reshape(1).expand(channels)
    shape = (1,) * (2 + spatial - value.dim()) + tuple(value.shape)
    if shape != (1, channels, *(1,) * spatial):
        return None
    return value.reshape(channels)
