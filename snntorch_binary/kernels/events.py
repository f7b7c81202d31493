"""The product of spikes and weights, event-driven where spikes are few: a silent input costs nothing.

The sums are those of the matrix product in another order; with weights of ±1 they are integers, and equal.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from snntorch_binary.kernels.engine import compiled
from snntorch_binary.kernels.product import tensor_core_linear

MAX_DENSITY = 0.2
"""Share of spikes up to which the event-driven product is used: measured, a dense one is as fast at 0.25 to 0.3."""

_LEAST_OUTPUTS, _LEAST_WORK = 48, 1 << 20  # below, there is nothing to gain


def spike_linear(x: Tensor, weight: Tensor) -> Tensor:
    """Return x W^T of x [..., I] and weights [O, I], as ``torch.nn.functional.linear`` does.

    Event-driven on the CPU with numba, where x holds nothing but 0 and 1 and at most :data:`MAX_DENSITY` of it spikes;
    on tensor cores with Triton on a GPU.
    """
    on_tensor_cores = tensor_core_linear(x, weight)
    if on_tensor_cores is not None:
        return on_tensor_cores
    found = _find(x, weight)
    if found is None:
        return F.linear(x, weight)
    return _SpikeLinear.apply(x, weight, *found)


def _find(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor] | None:
    outputs, inputs = weight.shape
    if x.numel() * outputs < _LEAST_WORK or outputs < _LEAST_OUTPUTS or torch.is_autocast_enabled("cpu"):
        return None
    kernels = compiled("events", x.detach(), weight.detach())
    if kernels is None:
        return None
    if any(torch.autograd.forward_ad.unpack_dual(tensor).tangent is not None for tensor in (x, weight)):
        return None  # forward-mode differentiation, which the dense product knows
    x = x.detach()
    rows = x.view(-1, inputs)
    index = torch.empty(int(MAX_DENSITY * rows.numel()) + 8, dtype=torch.int32)
    start = torch.empty(len(rows) + 1, dtype=torch.int64)
    is_sparse = kernels.find(rows.view(torch.int32).numpy(), index.numpy(), start.numpy())
    return (index[: int(start[-1])].clone(), start) if is_sparse else None


class _SpikeLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, index: Tensor, start: Tensor) -> Tensor:
        learns = ctx.needs_input_grad[1]
        ctx.save_for_backward(*((x, index, start) if learns else (None, None, None)), weight)
        output = x.new_empty(*x.shape[:-1], weight.shape[0])
        kernels = compiled("events", output)
        assert kernels is not None
        table = weight.detach().T.contiguous().numpy()
        kernels.sum_rows(index.numpy(), start.numpy(), table, output.view(-1, weight.shape[0]).numpy())
        return output

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, index, start, weight = ctx.saved_tensors
        to_x = grad @ weight if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return to_x, None, None, None
        rows = grad.reshape(-1, weight.shape[0])
        kernels = None if torch.is_grad_enabled() else compiled("events", rows)
        if kernels is None:
            return to_x, rows.T @ x.reshape(-1, weight.shape[1]), None, None
        to_weight = weight.new_empty(weight.shape[1], weight.shape[0])
        by_input = kernels.transpose(index.numpy(), start.numpy(), weight.shape[1])
        kernels.sum_rows(*by_input, rows.detach().contiguous().numpy(), to_weight.numpy())
        return to_x, to_weight.T.contiguous(), None, None
