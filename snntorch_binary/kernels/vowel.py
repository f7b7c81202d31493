"""One time step of VOWEL's hidden circuits: eligibility, and its sums weighted by the reward, over a batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from snntorch_binary.kernels.engine import compiled

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


def hidden_step(
    eligibility: Tensor,
    score: Tensor,
    traces: Tensor,
    reward: Tensor,
    averages: Averages,
    kappa: float,
    beta: float,
    active: Tensor,
) -> None:
    r"""Take the weights' eligibility and averages one time step on, in place.

    .. math::
        e_b &\leftarrow \kappa e_b + (1 - \kappa)\, D_b x_b^T \\
        g &\leftarrow \kappa g + (1 - \kappa)\, \langle (\ell_b - B)\, e_b \rangle_b

    and the running means of ℓ e² and e² with decay β.

    Args:
        eligibility: e [M, B, J].
        score: D [B, M].
        traces: x [B, J].
        reward: ℓ [B].
        averages: of M J elements; the baseline B is read only.
        kappa: decay of eligibility and direction.
        beta: decay of the other averages.
        active: bool [B, ceil(J / 64)], True where a block of 64 traces has been other than zero in this sequence; kept
            up here. Where it is False, e is zero and left alone.
    """
    found = (averages.reward_squares, averages.squares, averages.baseline, averages.direction)
    kernels = compiled("vowel", eligibility, *found)
    if kernels is not None:
        own, given = (tensor.contiguous().numpy() for tensor in (score.T, traces))
        rewards, e = reward.contiguous().numpy(), eligibility.numpy()
        kernels.mark(given, active.numpy())
        rows = (average.view(eligibility.shape[0], -1).numpy() for average in found)
        kernels.hidden_step(e, own, given, rewards, *rows, kappa, beta, active.numpy())
        return
    eligibility.mul_(kappa)
    for of_row, factor in zip(eligibility, (1 - kappa) * score.T, strict=True):
        of_row.addcmul_(factor.unsqueeze(1), traces)
    accumulate(eligibility.transpose(0, 1), reward, averages, kappa, beta)


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
