"""Answers of a soft LIF network that runs in spikes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor
from torch.utils.data import DataLoader

from snntorch_binary._errors import expected
from snntorch_binary.data import collate
from snntorch_binary.experiments.data import Batches
from snntorch_binary.experiments.rules import Presentation
from snntorch_binary.lightning.spiking_module import SpikingModule

_BATCH_SIZE = 4  # so many examples over hundreds of time steps fit into memory that is not new at every layer


@contextmanager
def running_in_spikes(module: SpikingModule, given: Presentation) -> Iterator[None]:
    """Let a module's network run in spikes as long as the context lasts."""
    net = module.net
    module.net = given.in_spikes(net)
    try:
        yield
    finally:
        module.net = net


def in_small_batches(batches: Batches) -> DataLoader[tuple[Tensor, Tensor]]:
    """Return a data set in its order."""
    dataset = getattr(batches, "dataset", None)
    if dataset is None:
        raise TypeError(
            expected("data", "a data set of images for networks that run in spikes", type(batches).__name__)
        )
    return DataLoader(dataset, batch_size=_BATCH_SIZE, collate_fn=collate)
