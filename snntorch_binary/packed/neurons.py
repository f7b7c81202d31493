"""Neurons in the form the kernels take: a kind, a reset, and a row of constants for every neuron."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.nn.neurons.description import KernelForm, description_of

_KINDS = {"leaky": 0, "synaptic": 1, "srm": 2}
_LANES = 16
_RESETS = {"none": 0, "subtract": 1, "zero": 2}


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


def live_of(outputs: int) -> int:
    """Return how many neurons are computed of those that fill whole words: whole vectors."""
    return _LANES * -(-outputs // _LANES)


def _form(neuron: Any) -> KernelForm | str:
    """Return the form that kernels take, or why a module cannot be the neurons of a packed layer."""
    description = description_of(neuron)
    if description is None or description.kernel is None:
        return "not a time-first neuron of this package"
    if neuron.one_step:
        return "it takes one time step at a time"
    if neuron.output:
        return "its membrane potential is asked for"
    form = description.kernel(neuron)
    if isinstance(form, KernelForm) and description.fires_at_threshold(neuron) is None:
        return f"its {description.spike.name if description.spike else 'output'} is no step at the threshold"
    return form


def constants(neuron: nn.Module, channels: int, spatial: int) -> NeuronConstants | str:
    """Return the constants of neurons behind a layer, or why the layer cannot hold them."""
    form = _form(neuron)
    if isinstance(form, str):
        return form
    numbers = (form.alpha, form.beta, form.gamma, form.threshold)
    found = [_per_channel(torch.as_tensor(number), channels, spatial) for number in numbers]
    values = [value for value in found if value is not None]
    if len(values) < len(found):
        return "it has not one constant a channel"
    description = description_of(neuron)
    assert description is not None
    above = _fires_above(values[-1], bool(description.fires_at_threshold(neuron)))
    return NeuronConstants(_KINDS[form.kind], _RESETS[form.reset], torch.stack([*values, above]))


def fused_constants(neuron: nn.Module, channels: int, spatial: int) -> NeuronConstants:
    """Return the constants of neurons behind a layer.

    Raises:
        ValueError: a layer cannot hold such neurons.
    """
    found = constants(neuron, channels, spatial)
    if isinstance(found, str):
        raise ValueError(expected("neuron", f"one that a layer can hold ({found})", neuron))
    return found


def same_constants(neurons: Sequence[nn.Module | None], channels: int, spatial: int) -> bool:
    """Say whether neurons behind the same layer of several networks are the same, so that those of one do for all."""
    found = [None if neuron is None else constants(neuron, channels, spatial) for neuron in neurons]
    first = found[0]
    if not isinstance(first, NeuronConstants):
        return all(each == first for each in found)
    return all(
        isinstance(each, NeuronConstants)
        and (each.kind, each.reset) == (first.kind, first.reset)
        and torch.equal(each.values, first.values)
        for each in found
    )


def _fires_above(threshold: Tensor, at_threshold: bool) -> Tensor:
    """Return the number above which a potential fires: u >= v says the same as u > the next number below v."""
    return torch.nextafter(threshold, torch.tensor(-math.inf)) if at_threshold else threshold


def _per_channel(value: Tensor, channels: int, spatial: int) -> Tensor | None:
    """Return a value that broadcasts against [B, C, positions] as [C], or ``None`` if it is not one per channel."""
    value = value.detach().to(torch.float32).cpu()
    if value.numel() == 1:
        return value.reshape(1).expand(channels)
    shape = (1,) * (2 + spatial - value.dim()) + tuple(value.shape)
    if shape != (1, channels, *(1,) * spatial):
        return None
    return value.reshape(channels)
