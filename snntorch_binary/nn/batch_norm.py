"""Batch norm through time: the statistics and the scale of every time step are its own."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snntorch_binary._errors import expected

__all__ = ["BatchNormThroughTime"]


class BatchNormThroughTime(nn.Module):
    r"""Normalise each channel at each time step over the batch (and the image), all steps in one call.

    With mean and variance over batch and positions in training, and their running averages in evaluation:

    .. math::
        y_{t,c} = \gamma_{t,c} \frac{x_{t,c} - \mu_{t,c}}{\sqrt{\sigma_{t,c}^2 + \epsilon}}

    There is no shift. This is what ``snntorch.BatchNormTT1d`` and ``BatchNormTT2d`` compute one step at a time; here
    one tensor [T, C] holds the scales of all steps.

    Source: Kim and Panda, "Revisiting Batch Normalization for Training Low-Latency Deep Spiking Neural Networks From
    Scratch", Frontiers in Neuroscience 15, 2021, arXiv 2010.01729.

    Args:
        num_features: channels C.
        num_steps: time steps T; the layer takes sequences of this length only.
        eps: added to the variance.
        momentum: weight of the newest batch in the running averages, in (0, 1].

    Shapes:
        x [T, B, C, ...] to [T, B, C, ...].

    Raises:
        ValueError: an argument is out of range, x has another number of steps or channels, or training is asked for
            with one value for each channel, which has no variance.

    Example:
        >>> norm = BatchNormThroughTime(3, num_steps=5)
        >>> norm(torch.randn(5, 8, 3, 4, 4)).shape, norm.weight.shape
        (torch.Size([5, 8, 3, 4, 4]), torch.Size([5, 3]))
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int, num_steps: int, eps: float = 1e-4, momentum: float = 0.1) -> None:
        super().__init__()
        for name, size in (("num_features", num_features), ("num_steps", num_steps)):
            if not isinstance(size, int) or size < 1:
                raise ValueError(expected(name, "a positive integer", size))
        if not 0.0 < eps < math.inf:
            raise ValueError(expected("eps", "a positive float", eps))
        if not 0.0 < momentum <= 1.0:
            raise ValueError(expected("momentum", "a float in (0, 1]", momentum))
        self.num_features, self.num_steps, self.eps, self.momentum = num_features, num_steps, eps, momentum
        self.weight = nn.Parameter(torch.ones(num_steps, num_features))
        self.register_buffer("running_mean", torch.zeros(num_steps, num_features))
        self.register_buffer("running_var", torch.ones(num_steps, num_features))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102  # the class says it
        if x.dim() < 3 or x.shape[0] != self.num_steps or x.shape[2] != self.num_features:
            what = f"of shape [{self.num_steps}, B, {self.num_features}, ...]"
            raise ValueError(expected("x", what, list(x.shape)))
        if self.training and x[0, :, 0].numel() < 2:
            what = "more than one value for each channel and step in training"
            raise ValueError(expected("x", what, list(x.shape)))
        # One step at a time: its part is contiguous, where a norm over T * C channels would need a transposed copy.
        steps = zip(x.unbind(), self.running_mean, self.running_var, self.weight, strict=True)
        normal = [
            F.batch_norm(x_t, mean, variance, weight, None, self.training, self.momentum, self.eps)
            for x_t, mean, variance, weight in steps
        ]
        return torch.cat(normal).unflatten(0, x.shape[:2])  # unlike `stack`, this leaves images channels-last

    def extra_repr(self) -> str:  # noqa: D102  # the class says it
        return f"{self.num_features}, num_steps={self.num_steps}, eps={self.eps}, momentum={self.momentum}"
