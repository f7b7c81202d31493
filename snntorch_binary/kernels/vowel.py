"""One time step of VOWEL's hidden circuits: eligibility, and its sums weighted by the reward, over a batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from snntorch_binary.kernels.engine import compiled

BLOCK = 64
TINY = 1e-30
"""Squares below are noise, and numbers below are slow: they are taken for zero."""


@dataclass(frozen=True)
class Averages:
    """What the rule keeps of one parameter of P elements, each [P].

    Attributes:
        reward_squares: running mean of ℓ e².
        squares: running mean of e².
        baseline: what is subtracted from the reward.
        direction: running mean of (ℓ - baseline) e, the direction of ascent.
    """

    reward_squares: Tensor
    squares: Tensor
    baseline: Tensor
    direction: Tensor


class Eligibility:
    """The eligibility of M J weights for each of B examples, in blocks of 64 traces; zero at the start.

    In a block those examples have the first slots whose traces there have been other than zero: what is silent costs
    nothing, and what is not lies together. Memory is B M J numbers, J rounded up to whole blocks.

    Args:
        num_rows: M.
        batch_size: B.
        num_traces: J.
        like: of the wanted dtype and device.
        memory: an eligibility of other sequences whose memory may be used.
    """

    def __init__(
        self, num_rows: int, batch_size: int, num_traces: int, like: Tensor, memory: Eligibility | None = None
    ) -> None:
        num_blocks = -(-num_traces // BLOCK)
        shape = (num_rows, num_blocks, batch_size, BLOCK)
        kept = None if memory is None else memory.values
        if kept is None or kept.shape != shape or kept.dtype != like.dtype or kept.device != like.device:
            kept = like.new_empty(shape)
        self.values: Tensor = kept.zero_()  # memory that is not new costs no page faults
        self.num_traces = num_traces
        self._slot_of = torch.full((num_blocks, batch_size), -1, dtype=torch.int64)
        self._example_in = torch.zeros(num_blocks, batch_size, dtype=torch.int64)
        self._count = torch.zeros(num_blocks, dtype=torch.int64)

    def step(
        self, score: Tensor, traces: Tensor, reward: Tensor, averages: Averages, kappa: float, beta: float
    ) -> None:
        r"""Take eligibility and averages one time step on, in place.

        .. math::
            e_b &\leftarrow \kappa e_b + (1 - \kappa)\, D_b x_b^T \\
            g &\leftarrow \kappa g + (1 - \kappa)\, \langle (\ell_b - B)\, e_b \rangle_b

        and the running means of ℓ e² and e² with decay β.

        Args:
            score: D [B, M].
            traces: x [B, J].
            reward: ℓ [B].
            averages: of M J elements; the baseline B is read only.
            kappa: decay of eligibility and direction.
            beta: decay of the other averages.
        """
        padded = F.pad(traces, (0, self.values.shape[1] * BLOCK - self.num_traces))
        blocks = padded.unflatten(1, (-1, BLOCK)).transpose(0, 1).contiguous()  # [blocks, B, 64]
        found = (averages.reward_squares, averages.squares, averages.baseline, averages.direction)
        kernels = compiled("vowel", self.values, *found)
        if kernels is not None:
            slots = (self._example_in.numpy(), self._count.numpy())
            kernels.admit(blocks.numpy(), self._slot_of.numpy(), *slots)
            own, rewards = score.T.contiguous().numpy(), reward.contiguous().numpy()
            rows = (average.view(-1, self.num_traces).numpy() for average in found)
            kernels.hidden_step(self.values.numpy(), own, blocks.numpy(), rewards, *rows, kappa, beta, *slots)
            return
        # Every example has its own slot from the start.
        for of_row, factor in zip(self.values, (1 - kappa) * score.T, strict=True):
            of_row.mul_(kappa).addcmul_(factor[:, None], blocks)
        examples = self.values.permute(2, 0, 1, 3).flatten(2)[..., : self.num_traces]
        accumulate(examples, reward, averages, kappa, beta)


def accumulate(eligibility: Tensor, reward: Tensor, averages: Averages, kappa: float, beta: float) -> None:
    """Take the averages one time step on, from eligibility [B, ...] of P elements each and rewards [B]."""
    batch_size = len(reward)
    sums = [torch.zeros_like(averages.squares) for _ in range(4)]
    for of_example, value in zip(eligibility, reward, strict=True):
        e = of_example.reshape(-1)
        square = e.square()
        sums[0] += e
        sums[1].addcmul_(e, value)
        sums[2] += square
        sums[3].addcmul_(square, value)
    direction = (sums[1] - averages.baseline * sums[0]) / batch_size
    averages.direction.mul_(kappa).add_(direction, alpha=1 - kappa)
    averages.squares.mul_(beta).add_(sums[2], alpha=(1 - beta) / batch_size)
    averages.reward_squares.mul_(beta).add_(sums[3], alpha=(1 - beta) / batch_size)


def baseline_of(averages: Averages) -> Tensor:
    """Return E[ℓ e²] / E[e²], 0 where e has been zero."""
    seen = averages.squares > TINY
    return torch.where(seen, averages.reward_squares / averages.squares.clamp_min(TINY), 0.0)
