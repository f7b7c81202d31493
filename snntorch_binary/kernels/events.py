"""Spikes as the list of those that are there: a product with them costs nothing where the inputs are silent."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from snntorch_binary.kernels.engine import compiled
from snntorch_binary.kernels.threads import in_threads, parts

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
        if kernels is None or not x.shape[-1]:
            return None
        rows = x.detach().view(-1, x.shape[-1])
        most = int(MAX_DENSITY * rows.numel())
        chosen = parts(len(rows), rows.numel())
        index = [torch.empty(min((end - begin) * x.shape[-1], most) + 8, dtype=torch.int32) for begin, end in chosen]
        start = [torch.empty(end - begin + 1, dtype=torch.int64) for begin, end in chosen]
        are_few = [False] * len(chosen)

        def find(begin: int, end: int) -> None:
            k = chosen.index((begin, end))
            bits = rows[begin:end].view(torch.int32).numpy()
            are_few[k] = kernels.find(bits, index[k].numpy(), start[k].numpy())

        in_threads(find, chosen)
        counts = [int(of_part[-1]) for of_part in start] if all(are_few) else [most + 1]
        if sum(counts) > most:
            return None
        starts = [of_part[:-1] + sum(counts[:k]) for k, of_part in enumerate(start)]
        found = torch.cat([of_part[:count] for of_part, count in zip(index, counts, strict=True)])
        return Events(x.shape, found, torch.cat([*starts, torch.tensor([sum(counts)])]))

    def times(self, weight: Tensor) -> Tensor | None:
        """Return x W^T [..., O] for weights [O, I]; ``None`` where no compiled kernel takes them."""
        kernels = compiled("events", weight.detach())
        if kernels is None:
            return None
        output = weight.new_empty(*self.shape[:-1], len(weight))
        table = weight.detach().T.contiguous().numpy()
        rows = output.view(-1, len(weight)).numpy()
        _sum_rows(kernels, self.index.numpy(), self.start.numpy(), table, rows)
        return output

    def outer(self, rows: Tensor) -> Tensor | None:
        """Return R^T x [O, I] for rows R [N, O]; ``None`` where no compiled kernel takes them."""
        rows = rows.detach().contiguous()
        kernels = compiled("events", rows)
        if kernels is None:
            return None
        output = rows.new_empty(self.shape[-1], rows.shape[1])
        index, start = kernels.transpose(self.index.numpy(), self.start.numpy(), self.shape[-1])
        _sum_rows(kernels, index, start, rows.numpy(), output.numpy())
        return output.T

    def dense(self) -> Tensor:
        """Return x."""
        x = torch.zeros(self.shape)
        rows = torch.repeat_interleave(torch.arange(len(self.start) - 1), self.start.diff())
        x.view(-1, self.shape[-1])[rows, self.index.long()] = 1.0
        return x


def _sum_rows(kernels: ModuleType, index: Any, start: Any, table: Any, out: Any) -> None:
    """Sum the rows of a table that each row of ``out`` lists, in several threads where they are many."""

    def of_part(begin: int, end: int) -> None:
        kernels.sum_rows(index, start[begin : end + 1], table, out[begin:end])

    in_threads(of_part, parts(len(out), len(index) * table.shape[1]))
