"""A module of single time steps over a whole sequence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.convert import reset


class EachStep(nn.Module):
    """Run a module on one time step after another: [T, B, ...] to [T, B, ...].

    Neurons in it that keep their state themselves (``init_hidden=True``) start every sequence at rest.

    Args:
        module: takes one time step [B, ...]; of a tuple it returns, the first is passed on.
        all_outputs: return a tuple of sequences where the module returns a tuple.

    Raises:
        ValueError: there is no time step.
    """

    def __init__(self, module: nn.Module, all_outputs: bool = False) -> None:
        super().__init__()
        self.module, self.all_outputs = module, all_outputs

    def forward(self, x: Tensor) -> Any:  # noqa: D102  # the class says it
        if x.shape[0] == 0:
            raise ValueError(expected("x", "of shape [T, B, ...] with T >= 1", tuple(x.shape)))
        reset(self.module)
        outputs = [self.module(x_t) for x_t in x.unbind(0)]
        if self.all_outputs and isinstance(outputs[0], tuple):
            return tuple(map(torch.stack, zip(*outputs, strict=True)))
        return torch.stack([output[0] if isinstance(output, tuple) else output for output in outputs])
