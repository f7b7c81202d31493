"""A group of winner-take-all circuits: their membrane potentials, probabilities and draws."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snntorch_binary._errors import expected
from snntorch_binary.kernels.noise import uniform
from snntorch_binary.nn.binary import BinaryLayer

__all__ = ["CircuitStep", "WTACircuits"]


def symbol_log_probs(potentials: Tensor) -> Tensor:
    """Return the log-probabilities [..., C + 1] of silence (first) and C symbols for membrane potentials [..., C].

    Silence has potential 0. The normalisation is each circuit's own, so no potential of another one can overflow it.
    """
    return F.log_softmax(F.pad(potentials, (1, 0)), -1)


def draw_symbols(log_probs: Tensor, seed: int) -> Tensor:
    """Return symbols [..., C] drawn with log-probabilities [..., C + 1], each circuit's by one number of the seed's."""
    # In double precision no probability of zero is ever drawn.
    below = log_probs.double().exp().cumsum(-1)
    noise = uniform(log_probs.shape[:-1], seed, log_probs.device).double() * below[..., -1]
    drawn = (noise.unsqueeze(-1) >= below[..., :-1]).sum(-1)
    return F.one_hot(drawn, log_probs.shape[-1])[..., 1:].to(log_probs.dtype)


class CircuitStep(NamedTuple):
    """What hidden or output circuits did at one time step.

    Attributes:
        traces: what they saw of the past of other circuits, [B, J].
        own: what they saw of their own past, [B, N, C, K_b]; ``None`` without feedback.
        log_probs: log-probabilities of silence and the C symbols, [B, N, C + 1].
        symbols: what they emitted, one-hot or all zero, [B, N, C].
    """

    traces: Tensor
    own: Tensor | None
    log_probs: Tensor
    symbols: Tensor

    @property
    def log_likelihood(self) -> Tensor:
        """Log-probability of the emitted symbols of each circuit, [B, N]."""
        silent = 1 - self.symbols.sum(-1)
        # Not a product: a symbol that did not come may have a log-probability of -inf.
        chosen = torch.cat([silent.unsqueeze(-1), self.symbols], -1).argmax(-1, keepdim=True)
        return self.log_probs.gather(-1, chosen).squeeze(-1)

    @property
    def score(self) -> Tensor:
        """Derivative of the log-likelihood for the membrane potentials, s - p [B, N, C]."""
        return self.symbols - self.log_probs[..., 1:].exp()


class WTACircuits(nn.Module):
    r"""N circuits and all that leads to them.

    .. math::
        u_{i,c,t} = \sum_{j,c',k} W_{(i,c),(j,c',k)}\, x^{(k)}_{j,c',t} + \sum_k F_{i,c,k}\, z^{(k)}_{i,c,t} + b_{i,c}

    with traces x of the circuits that feed them and z of their own symbols; a symbol sees its own past only.

    Attributes:
        linear: W and b: ``Linear`` or ``BinaryLinear``, [N C, J] with rows (circuit, symbol). The columns are those of
            each source (inputs, hidden circuits, outputs) in turn, in the order (circuit, symbol, basis function).
        feedback: F [N, C, K_b], or ``None``.
        first_masked: the column from which on connections may be missing.
        mask: float [N C, J - first_masked], 0 where there is none; ``None`` where no connection is missing.
    """

    mask: Tensor | None

    def __init__(
        self, mask: Tensor, sizes: list[int], num_symbols: int, num_basis: int, num_feedback: int, init: float
    ) -> None:
        super().__init__()
        parts = mask.split(sizes, dim=1)
        self.sources = tuple(index for index, part in enumerate(parts) if part.any()) or (0,)
        columns = torch.cat([parts[i].repeat_interleave(num_symbols * num_basis, 1) for i in self.sources], 1)
        connected = columns.repeat_interleave(num_symbols, 0)
        complete = connected.all(0).long().cumprod(0)
        self.first_masked = int(complete.sum())
        masked = connected[:, self.first_masked :].float() if self.first_masked < len(complete) else None
        self.register_buffer("mask", masked, persistent=False)
        self.num_circuits, self.num_symbols = len(mask), num_symbols
        self.linear: nn.Linear = nn.Linear(connected.shape[1], connected.shape[0])
        self.linear.zeros_are_masked = True  # type: ignore[assignment]  # where there is no connection, whatever the weights are
        self.feedback = nn.Parameter(torch.empty(len(mask), num_symbols, num_feedback)) if num_feedback else None
        with torch.no_grad():
            self.linear.weight.uniform_(-init, init).mul_(connected)
            self.linear.bias.zero_()
            if self.feedback is not None:
                self.feedback.uniform_(-init, init)

    def unscaled_weight(self) -> tuple[Tensor, float]:
        """Return the weight in force before its scale and mask, and the scale."""
        weight, scale = self.linear.weight, 1.0
        if isinstance(self.linear, BinaryLayer):
            if isinstance(self.linear._scale(), Tensor):
                what = "'fan_in' or a number for winner-take-all circuits"
                raise ValueError(expected("scale", what, repr(self.linear.scale)))
            weight, scale = self.linear.in_force(), float(self.linear._scale())
        return weight, scale

    def masked_(self, weight: Tensor) -> Tensor:
        """Set a weight [N C, J] to zero where there is no connection, in place."""
        if self.mask is not None:
            weight[:, self.first_masked :].mul_(self.mask)
        return weight

    def forward(self, traces: Tensor, own: Tensor | None) -> Tensor:
        """Return the membrane potentials [B, N, C]."""
        weight, scale = self.unscaled_weight()
        first = self.first_masked
        product = traces[:, :first] @ weight[:, :first].T
        if self.mask is not None:
            product = product + traces[:, first:] @ (weight[:, first:] * self.mask).T
        potentials = (product * scale + self.linear.bias).unflatten(1, (-1, self.num_symbols))
        return potentials if own is None else potentials + torch.einsum("bnck,nck->bnc", own, self.feedback)
