"""Whether the prior, ½ for each weight, pulls a posterior too hard: a look at the first steps of training."""

from __future__ import annotations

import itertools
import math
import warnings

import torch
from torch import Tensor

from snntorch_binary.weights.bernoulli import squared_sech

STEPS = 30
MOST = 0.3
"""Of the pull of the loss. With 1,200 digits and the README's network (``python -m tests.benchmarks.one_line``) it is
.44 of that with rho = 1/N, whose ensembles have an ECE of .27, and .07 with rho = 1e-4, of .06."""


LOOKED_AT = 1 << 16
"""Weights of a latent, spread over it, which say it for all of them: a look at ten million costs six updates."""


class Pull:
    """Sums of the natural gradients of both terms of the free energy over the first steps, latent by latent.

    A sum over steps, as a single batch's gradient is mostly noise.
    """

    def __init__(self, is_over: bool = False) -> None:
        self._steps = STEPS if is_over else 0
        self._sums: dict[Tensor, tuple[Tensor, Tensor, int]] = {}  # with how many weights each of them speaks for

    @property
    def is_over(self) -> bool:
        """Whether enough has been seen."""
        return self._steps >= STEPS

    def add(self, latent: Tensor, grad: Tensor, rho: float) -> None:
        """Take up a gradient of the loss, before the step that it leads to."""
        stride = _stride(latent.numel())
        values, gradients = latent.detach().flatten()[::stride], grad.flatten()[::stride]
        loss, kl, _ = self._sums.setdefault(latent, (torch.zeros_like(values), torch.zeros_like(values), stride))
        loss.addcdiv_(gradients, squared_sech(values))
        kl.add_(values, alpha=rho)

    def stepped(self, rho: float) -> None:
        """Take notice of a step; after the last of them, warn where the prior is too strong."""
        self._steps += 1
        if not self.is_over or not self._sums:
            return
        squares = [[stride * float(one.square().sum()) for one in pair] for *pair, stride in self._sums.values()]
        loss, kl = (sum(both) ** 0.5 for both in zip(*squares, strict=True))
        self._sums.clear()
        if kl <= MOST * loss:
            return
        ratio = f"{kl / loss:.2g} times as strong as that of the loss" if loss else "all there is: the loss has none"
        better = f", and at most {0.1 * rho * loss / kl:.1g} would leave it a tenth" if loss else ""
        warnings.warn(
            f"In the first {STEPS} steps the pull of the KL term was {ratio} (rho={rho:g}): the posterior will stay "
            f"near its prior and its answers too unsure. rho=0, the default, has no such pull{better} "
            "(see docs/guide/optimizer.md).",
            stacklevel=6,
        )


def _stride(count: int) -> int:
    """Return a step from one weight to the next that is looked at, which visits all inputs and outputs alike."""
    stride = max(1, count // LOOKED_AT)
    return next(step for step in itertools.count(stride) if math.gcd(step, count) == 1)
