"""What several processes that train one network must have in common."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch.distributed
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary.weights import binary_layers

_SHARDING = (FSDPStrategy, ModelParallelStrategy, DeepSpeedStrategy)


def check_processes(trainer: L.Trainer, net: nn.Module) -> None:
    """Make sure that the processes of a trainer can train this network together.

    Raises:
        ValueError: the strategy gives every process a part of a parameter, or the processes were given different
            networks.
    """
    if isinstance(trainer.strategy, _SHARDING):
        what = "'ddp' or one device, for a layer needs its whole latent to draw from"
        raise ValueError(expected("strategy", what, type(trainer.strategy).__name__))
    if trainer.world_size == 1 or not torch.distributed.is_initialized():
        return
    of_all: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(of_all, _description(net))
    for rank, of_rank in enumerate(of_all[1:], 1):
        for name in {**of_all[0], **of_rank}:
            first, other = (of.get(name, "not there") for of in (of_all[0], of_rank))
            if first != other:
                what = "the same network in every process"
                raise ValueError(
                    expected("net", what, f"{name!r} that is {first} in rank 0 and {other} in rank {rank}")
                )


def share_draws_(trainer: L.Trainer, net: nn.Module) -> None:
    """Give every process the seeds and counters of the first one's draws, in place."""
    if trainer.world_size == 1:
        return
    layers = binary_layers(net).values()
    for layer in layers:
        layer.refresh()  # takes notice of parameters that came from the first process
    draws = trainer.strategy.broadcast([(layer.draw.seed, layer.draw.counter) for layer in layers])
    for layer, (seed, counter) in zip(layers, draws, strict=True):
        layer.draw.seed, layer.draw.counter = seed, counter
        layer.draw.forget()
        layer.refresh()


def _description(net: nn.Module) -> dict[str, str]:
    """Return what each module of a network is, as far as it bears on its parameters."""
    layers = binary_layers(net)
    found = {}
    for name, module in net.named_modules():
        rule = f" by {layers[name].rule!r}" if name in layers else ""
        found[name] = type(module).__name__ + rule
        shapes = ((key, tuple(value.shape)) for key, value in module.named_parameters(recurse=False))
        found.update({f"{name}.{key}".lstrip("."): f"of shape {shape}" for key, shape in shapes})
    return found
