"""Neurons as a file holds them, by their descriptions: kind, constants, and whether they fire at the threshold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from snntorch_binary.nn.neurons.description import NeuronDescription, description_of, saved_neurons
from snntorch_binary.packed.file.entry import Entry, Kinds, Tensors


def neurons() -> Kinds:
    """Return the kinds of neurons that a file can hold, by name: those whose classes are there."""
    return {name: _kind(neuron) for name, neuron in saved_neurons().items()}


def fused_neurons() -> Kinds:
    """Return those that a packed layer can hold."""
    found: dict[str, Any] = saved_neurons()
    return {name: _kind(neuron) for name, neuron in found.items() if neuron.description.kernel is not None}


def first_version(module: nn.Module) -> int:
    """Return the first version of the format that has a module, if it is neurons."""
    description = description_of(module)
    return (description.saved_since if description else None) or 1


def gives_potentials(module: nn.Module) -> bool:
    """Say whether a module is neurons that give more than their spikes."""
    own: Any = module
    return description_of(module) is not None and (own.output or (own.one_step and not own.init_hidden))


def _kind(neuron: Any) -> tuple[type[nn.Module], Callable[..., dict[str, Any]], Callable[[Entry], nn.Module]]:
    description: NeuronDescription = neuron.description

    def to_entry(module: Any, path: str, tensors: Tensors) -> dict[str, Any]:
        return _to_entry(description, module, path, tensors)

    def of_entry(entry: Entry) -> nn.Module:
        return neuron(**_arguments(description, entry))

    return neuron, to_entry, of_entry


def _to_entry(description: NeuronDescription, neuron: Any, path: str, tensors: Tensors) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for constant in description.constants:
        value = getattr(neuron, constant.name)
        if constant.per_neuron:
            tensors[f"{path}.{constant.name}"] = value.detach().to(torch.float32).clone()
        else:
            values[constant.name] = float(value)
    if description.spike is not None:
        at_threshold = description.fires_at_threshold(neuron)
        if at_threshold is None:
            what = f"A packed file cannot hold the {description.spike.name} of {path}"
            raise TypeError(f"{what}: it is no step at the threshold.")
        values["fires_at_threshold"] = at_threshold
    values |= {option.name: getattr(neuron, option.name) for option in description.options}
    form = {"step": neuron.one_step, "init_hidden": neuron.init_hidden, "output": neuron.output}
    return values | {name: form[name] for name in _form(description)}


def _arguments(description: NeuronDescription, entry: Entry) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for constant in description.constants:
        if constant.per_neuron:
            arguments[constant.name] = entry.tensor(constant.name, torch.float32).clone()
        else:
            arguments[constant.name] = entry.number(constant.name)
    if description.spike is not None:
        spike = replace(description.spike.default, fires_at_threshold=entry.flag("fires_at_threshold"))
        arguments[description.spike.name] = spike
    for option in description.options:
        words = option.among
        arguments[option.name] = entry.choice(option.name, words) if words else entry.flag(option.name)
    return arguments | {name: entry.flag(name) for name in _form(description)}


def _form(description: NeuronDescription) -> tuple[str, ...]:
    return ("step", "init_hidden", "output") if description.shows_potential else ("step", "init_hidden")
