"""A stock layer over all time steps at once."""

from __future__ import annotations

from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.nn.neurons.description import is_neuron

__all__ = ["TimeFirst"]


class TimeFirst(nn.Module):
    """Run a layer without memory on [T, B, ...] as one batch of T * B examples.

    For the layers of torch that expect one batch dimension: pooling, norms, ``Flatten``, ``Upsample``. A
    batch norm inside takes its statistics over time and batch together.

    Args:
        module: the layer, kept as ``.module``. It must keep the first dimension of what it is given.

    Shapes:
        x [T, B, ...] to [T, B, ...]; T or B may be 0 where the layer takes an empty batch.

    Raises:
        TypeError: the module holds a neuron, which would take examples for time steps.
        ValueError: x has fewer than two dimensions, or too few for the layer, or the layer changed the number of
            examples.

    Example:
        >>> import torch
        >>> TimeFirst(nn.MaxPool2d(2))(torch.zeros(10, 4, 3, 8, 8)).shape
        torch.Size([10, 4, 3, 4, 4])
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        if any(is_neuron(inner) for inner in module.modules()):
            raise TypeError(expected("module", "a layer without memory", module))
        self.module = module

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102  # the class says it
        if x.dim() < 2:
            raise ValueError(expected("x", "a tensor of shape [T, B, ...] (time-first)", list(x.shape)))
        steps, batch = x.shape[:2]
        try:
            y = self.module(x.flatten(0, 1))
        except IndexError as error:  # torch's layers, for a dimension that is not there
            what = f"of a shape that {type(self.module).__name__} can take"
            raise ValueError(f"{expected('x', what, list(x.shape))} ({error})") from None
        if y.shape[:1] != (steps * batch,):
            raise ValueError(expected("module", f"a layer that keeps {steps * batch} examples", list(y.shape)))
        return y.unflatten(0, (steps, batch))
