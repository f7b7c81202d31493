"""The product of spikes and ±1 weights on tensor cores, see :mod:`snntorch_binary.kernels.product`."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from snntorch_binary.kernels.triton.launch import launch, launch_on_grid

_BLOCK = 1024
_ROWS, _OUTPUTS, _INPUTS = 64, 64, 32


@triton.jit
def _find_other(values, size, is_exact, BLOCK: tl.constexpr):
    """Clear ``is_exact`` where a value is none of -1, 0 and 1."""
    # As many elements as memory holds: 64-bit positions.
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(values + i, i < size, other=0.0)
    other = ~((value == 0.0) | (tl.abs(value) == 1.0))
    if tl.max(other.to(tl.int32), 0) > 0:
        tl.store(is_exact, 0)


@triton.jit
def _linear(
    x,
    weight,
    is_exact,
    out,
    rows,
    inputs,
    outputs,
    ROWS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    INPUTS: tl.constexpr,
):
    n = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    o = tl.program_id(1) * OUTPUTS + tl.arange(0, OUTPUTS)
    i = tl.arange(0, INPUTS)
    x += n.to(tl.int64)[:, None] * inputs + i[None, :]
    weight += o.to(tl.int64)[None, :] * inputs + i[:, None]
    total = tl.zeros((ROWS, OUTPUTS), tl.float32)
    # Read on the device: no copy waits for it.
    if tl.load(is_exact) != 0:
        for start in range(0, inputs, INPUTS):
            of_x = tl.load(x, (n[:, None] < rows) & (i[None, :] < inputs - start), other=0.0)
            of_weight = tl.load(weight, (o[None, :] < outputs) & (i[:, None] < inputs - start), other=0.0)
            total = tl.dot(of_x.to(tl.float16), of_weight.to(tl.float16), total)
            x += INPUTS
            weight += INPUTS
    else:
        for start in range(0, inputs, INPUTS):
            of_x = tl.load(x, (n[:, None] < rows) & (i[None, :] < inputs - start), other=0.0)
            of_weight = tl.load(weight, (o[None, :] < outputs) & (i[:, None] < inputs - start), other=0.0)
            total = tl.dot(of_x, of_weight, total, input_precision="ieee")
            x += INPUTS
            weight += INPUTS
    out += n.to(tl.int64)[:, None] * outputs + o[None, :]
    tl.store(out, total, (n[:, None] < rows) & (o[None, :] < outputs))


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """Return x W^T of float32 x [N, I] and weights [O, I].

    In half precision with float32 sums where all of x and W is -1, 0 or 1, which is exact; else in float32.
    """
    (rows, inputs), outputs = x.shape, weight.shape[0]
    out = x.new_empty(rows, outputs)
    is_exact = torch.ones(1, dtype=torch.int32, device=x.device)
    for values in (x, weight):
        launch(_find_other, values.numel(), _BLOCK, (values,), values.numel(), is_exact)
    grid = (triton.cdiv(rows, _ROWS), triton.cdiv(outputs, _OUTPUTS))
    blocks: dict[str, Any] = {"ROWS": _ROWS, "OUTPUTS": _OUTPUTS, "INPUTS": _INPUTS}
    launch_on_grid(_linear, grid, (x, weight, is_exact, out), rows, inputs, outputs, **blocks)
    return out
