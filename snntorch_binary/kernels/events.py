"""Spikes as the list of those that are there: a product with them costs nothing where the inputs are silent."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from snntorch_binary.kernels.engine import compiled

MAX_DENSITY = 0.2
"""Share of spikes up to which a list is made: measured, a dense product is as fast at 0.25 to 0.3."""


@dataclass(frozen=True)
class Events:
    """The spikes of x [..., I].

    The sums are those of the matrix product in another order; with weights of ±1 they are integers, and equal.
    """

    shape: torch.Size
    index: Tensor
    """Which inputs spike, row by row; int32."""
    start: Tensor
    """Where the inputs of each row, and behind the last one, begin in ``index``; int64."""

    @staticmethod
    def of(x: Tensor) -> Events | None:
        """List the spikes of x, if it holds nothing but 0 and 1 and at most :data:`MAX_DENSITY` of it spikes."""
        kernels = compiled("events", x.detach())
        if kernels is None:
            return None
        rows = x.detach().view(-1, x.shape[-1])
        index = torch.empty(int(MAX_DENSITY * rows.numel()) + 8, dtype=torch.int32)
        start = torch.empty(len(rows) + 1, dtype=torch.int64)
        is_sparse = kernels.find(rows.view(torch.int32).numpy(), index.numpy(), start.numpy())
        return Events(x.shape, index[: int(start[-1])].clone(), start) if is_sparse else None

    def times(self, weight: Tensor) -> Tensor | None:
        """Return x W^T [..., O] for weights [O, I]; ``None`` where no compiled kernel takes them."""
        kernels = compiled("events", weight.detach())
        if kernels is None:
            return None
        output = weight.new_empty(*self.shape[:-1], len(weight))
        table = weight.detach().T.contiguous().numpy()
        kernels.sum_rows(self.index.numpy(), self.start.numpy(), table, output.view(-1, len(weight)).numpy())
        return output

    def outer(self, rows: Tensor) -> Tensor | None:
        """Return R^T x [O, I] for rows R [N, O]; ``None`` where no compiled kernel takes them."""
        rows = rows.detach().contiguous()
        kernels = compiled("events", rows)
        if kernels is None:
            return None
        output = rows.new_empty(self.shape[-1], rows.shape[1])
        by_input = kernels.transpose(self.index.numpy(), self.start.numpy(), self.shape[-1])
        kernels.sum_rows(*by_input, rows.numpy(), output.numpy())
        return output.T

    def dense(self) -> Tensor:
        """Return x."""
        x = torch.zeros(self.shape)
        rows = torch.repeat_interleave(torch.arange(len(self.start) - 1), self.start.diff())
        x.view(-1, self.shape[-1])[rows, self.index.long()] = 1.0
        return x
