"""The product of spikes and weights on a GPU's tensor cores, where it is exact.

Spikes are 0 or 1 and binary weights ±1: half precision holds them, and sums in float32 are exact up to 2^24 inputs.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from snntorch_binary.kernels.engine import compiled


def tensor_core_linear(x: Tensor, weight: Tensor) -> Tensor | None:
    """Return x W^T of x [..., I] and weights [O, I], or ``None`` where this is not for tensor cores.

    That is everywhere but on a GPU with ``use_engine("triton")``. Other values than -1, 0 and 1 are found on the device
    and multiplied in float32.
    """
    if compiled("product", x.detach(), weight.detach()) is None or torch.is_autocast_enabled(x.device.type):
        return None
    if any(torch.autograd.forward_ad.unpack_dual(tensor).tangent is not None for tensor in (x, weight)):
        return None  # forward-mode differentiation, which torch's product knows
    return _TensorCoreLinear.apply(x, weight)


class _TensorCoreLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        kernels = compiled("product", x.detach(), weight.detach())
        assert kernels is not None
        return kernels.linear(_rows(x.detach()), weight.detach()).view(*x.shape[:-1], weight.shape[0])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        # A gradient is real-valued, and half precision would round it.
        x, weight = ctx.saved_tensors
        to_x = grad @ weight if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return to_x, None
        return to_x, _rows(grad).T @ _rows(x)


def _rows(x: Tensor) -> Tensor:
    """Return [..., I] as [N, I]."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
