r"""Uploads of one bit a weight that say how a client's mean has changed.

A bit whose update is unbiased whatever the client's mean must be able to take the server's mean to -1 and to 1; that is
the noise of :mod:`snntorch_binary.federated.one_bit`. Where clients change little in a round, less will do. With a
small reach r that both know, the client sends

.. math::
    b_k = [m_k > v], \qquad m_k = \mathrm{clip}\bigl((\mu_k - \mu) / r, -1, 1\bigr), \qquad v \sim U(-1, 1)

under the noise v that it shares with the server, which takes off what an unchanged client would have sent, b = [0 > v]:

.. math::
    \mu \leftarrow \mu + \sum_k p_k \, 2 r\, (b_k - b), \qquad \textstyle\sum_k p_k = 1.

Its mean is :math:`\mu + \sum_k p_k (\mu_k - \mu)` for all changes up to r; a larger one counts as r. The variance of
one client's bit is :math:`2 r |\mu_k - \mu| - (\mu_k - \mu)^2`: nothing where a client has learned nothing new.

A posterior's mean :math:`\mu = \tanh w_r` moves by :math:`1 - \mu^2` times the change of its natural parameter,
so that r is

.. math::
    r = \min\bigl(h\,(1 - \mu^2), \; \tfrac{2}{5} (1 - |\mu|)\bigr), \qquad
    h = \kappa \, \overline{\min(|\mu_k - \mu| / (1 - \mu^2), 1)},

with one number h for each client's tensor, which travels along: κ times the mean change of its natural parameters. The
second bound keeps one round from taking a mean further than four fifths of its way to ±1. Latents of
:class:`snntorch_binary.Sign` are their own means, with a reach of h <= 1 for all of them, and end at ±1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.federated.averaging import normalised
from snntorch_binary.federated.one_bit import sample_bits

_LARGEST = 0.4


def reach(mean: Tensor, scale: Tensor | float, posterior: bool = True) -> Tensor:
    r"""Return r, the largest change of each mean that a bit can say; see the equations above.

    Args:
        mean: the server's means, in [-1, 1].
        scale: h, at least 0.
        posterior: the means are those of Bernoulli posteriors; else latents, whose reach is h.

    Example:
        >>> import torch
        >>> reach(torch.tensor([0.0, 0.9]), 0.1)
        tensor([0.1000, 0.0190])
    """
    scale = max(float(scale), 0.0)  # another's number: whatever it is, the bounds hold
    if not posterior:
        return torch.full_like(mean, min(scale, 1.0))
    return torch.minimum(scale * (1 - mean.square()), _LARGEST * (1 - mean.abs()))


def change_bits(
    mean: Tensor, theirs: Tensor, seed: int, width: float = 1.5, posterior: bool = True
) -> tuple[Tensor, Tensor]:
    """Return what a client sends: bool bits of the means' shape, and the scale h, float32 [].

    Args:
        mean: the server's means, in [-1, 1].
        theirs: the client's, of the same shape.
        seed: of the round and tensor.
        width: κ, positive.
        posterior: see :func:`reach`.

    Raises:
        ValueError: an argument is out of its range.
    """
    if not width > 0:
        raise ValueError(expected("width", "a positive float", width))
    change = theirs.double() - mean.double()
    unit = (1 - mean.double().square()).clamp_min(torch.finfo(torch.float32).tiny) if posterior else 1.0
    scale = (width * (change / unit).abs().clamp(max=1).mean()).float() if change.numel() else torch.zeros(())
    limit = reach(mean.double(), scale, posterior).clamp_min(torch.finfo(torch.float32).tiny)
    return sample_bits((change / limit).clamp(-1, 1), seed), scale


def moved_by_change_bits(
    mean: Tensor,
    bits: Sequence[Tensor],
    scales: Sequence[Tensor],
    seed: int,
    weights: Sequence[float] | None = None,
    posterior: bool = True,
) -> Tensor:
    """Return the server's means after a round.

    Args:
        mean: the server's means, in [-1, 1].
        bits: what the clients sent, by :func:`change_bits` with the same seed.
        scales: theirs.
        seed: of the round and tensor.
        weights: of the clients, such as numbers of examples; uniform by default.
        posterior: see :func:`reach`.

    Example:
        >>> import torch
        >>> mean = torch.zeros(10_000)
        >>> bits, scale = change_bits(mean, torch.full((10_000,), 0.1), seed=1)
        >>> round(moved_by_change_bits(mean, [bits], [scale], seed=1).mean().item(), 2)
        0.1
    """
    own = sample_bits(torch.zeros_like(mean), seed).double()
    moved = mean.double()
    for share, sent, scale in zip(normalised(bits, weights), bits, scales, strict=True):
        moved = moved + share * 2 * reach(mean.double(), scale, posterior) * (sent.double() - own)
    return moved.clamp(-1, 1).to(mean.dtype)
