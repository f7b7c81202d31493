"""Spiking networks in the forms that people write, each with a sample of its input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn

from models.by_hand import Feedback, InhibitedMembrane, Lists, OwnNeuron, Preallocated, RunningCount
from models.images import Autoencoder, Convolutional, Permuted, Residual, SharedNeuron, StaticConvolutional
from models.neurons import (
    Alpha,
    HiddenStates,
    Lapicque,
    LongShort,
    LoopOverTime,
    OneStep,
    Parallel,
    Recurrent,
    StaticImage,
    Subclassed,
    Synaptic,
)
from models.structures import (
    ActorCritic,
    BatchFirst,
    Concatenation,
    DeltaEncoded,
    LayerByLayer,
    LayerForEachStep,
    ListOfLayers,
    Nested,
    Population,
    RateEncoded,
    SelfAttention,
    TwoHeads,
)

T, B = 6, 3


def spikes(*shape: int) -> Tensor:
    return (torch.rand(shape) < 0.5).float()


def _sequential() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        snn.Leaky(beta=0.8, init_hidden=True, threshold=0.3),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 5),
        snn.Synaptic(alpha=0.7, beta=0.9, init_hidden=True, output=True, threshold=0.2),
    )


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any]]] = {
    "static image": (StaticImage, lambda: torch.rand(B, 12)),
    "loop over time": (LoopOverTime, lambda: spikes(T, B, 12)),
    "hidden states": (HiddenStates, lambda: spikes(T, B, 12)),
    "one step a call": (OneStep, lambda: spikes(T, B, 12)),
    "Synaptic": (Synaptic, lambda: spikes(T, B, 12)),
    "Alpha": (Alpha, lambda: spikes(T, B, 12)),
    "Lapicque": (Lapicque, lambda: spikes(T, B, 12)),
    "RLeaky and RSynaptic": (Recurrent, lambda: spikes(T, B, 12)),
    "SLSTM": (LongShort, lambda: torch.rand(T, B, 12)),
    "LeakyParallel": (Parallel, lambda: spikes(T, B, 12)),
    "convolutions with batch norm": (Convolutional, lambda: spikes(T, B, 2, 10, 10)),
    "static image, convolutions": (StaticConvolutional, lambda: torch.rand(B, 1, 10, 10)),
    "ModuleList": (ListOfLayers, lambda: spikes(T, B, 12)),
    "layer by layer": (LayerByLayer, lambda: spikes(T, B, 12)),
    "residual blocks": (Residual, lambda: torch.rand(B, 1, 6, 6)),
    "concatenation": (Concatenation, lambda: spikes(T, B, 12)),
    "autoencoder": (Autoencoder, lambda: torch.rand(B, 1, 8, 8)),
    "two heads": (TwoHeads, lambda: spikes(T, B, 12)),
    "population": (Population, lambda: spikes(T, B, 12)),
    "a layer for each step": (LayerForEachStep, lambda: torch.rand(B, 12)),
    "batch first": (BatchFirst, lambda: spikes(B, T, 12)),
    "permuted": (Permuted, lambda: spikes(B, T, 1, 8, 8)),
    "network in a network": (Nested, lambda: spikes(T, B, 12)),
    "delta-encoded": (DeltaEncoded, lambda: torch.rand(T, B, 12)),
    "rate-encoded": (RateEncoded, lambda: torch.rand(B, 12)),
    "actor and critic": (ActorCritic, lambda: torch.rand(B, 12)),
    "self-attention": (SelfAttention, lambda: spikes(T, B, 4, 12)),
    "own neuron": (OwnNeuron, lambda: spikes(T, B, 12)),
    "feedback": (Feedback, lambda: spikes(T, B, 12)),
    "shared neuron": (SharedNeuron, lambda: spikes(T, B, 1, 8, 8)),
    "running count": (RunningCount, lambda: spikes(T, B, 12)),
    "lists": (Lists, lambda: spikes(T, B, 12)),
    "preallocated": (Preallocated, lambda: spikes(T, B, 12)),
    "inhibited membrane": (InhibitedMembrane, lambda: spikes(T, B, 12)),
    "subclass and detach": (Subclassed, lambda: spikes(T, B, 12)),
    "Sequential": (_sequential, lambda: spikes(T, B, 1, 8, 8)),
}
"""Networks by form: what makes one, and what makes a sample."""
