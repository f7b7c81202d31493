r"""Uploads of one bit a weight, from which the server moves its mean parameters without bias.

A client's weights have means :math:`\mu_k \in [-1, 1]`, the server's a mean μ. Client and server share the uniform
noise v ~ U(-1, 1) of the round, a function of the round's seed and the weight's position. The client sends
:math:`b_k = [\mu_k > v]`, one weight of a network sampled from its posterior, and :math:`2 b_k - 1` has the mean
:math:`\mu_k`. The server knows its own bit :math:`b = [\mu > v]` under the same noise, whose mean q = (1 + μ)/2 it knows
as well, and can therefore take the noise that both have in common off again:

.. math::
    \mu \leftarrow \mu + s \sum_k p_k \bigl(2 b_k - 2 q - 2 c\,(b - q)\bigr), \qquad \textstyle\sum_k p_k = 1.

The last term has mean zero for every c, so that the update is unbiased: its mean is
:math:`(1 - s)\,\mu + s \sum_k p_k \mu_k`. For one client with c = 1 its variance is
:math:`s^2 (2 |\mu_k - \mu| - (\mu_k - \mu)^2)`, nothing where a client has learned nothing new, against
:math:`s^2 (1 - \mu_k^2)` of independent bits (c = 0). As clients share v, their bits' noise does not average out over
them with c = 0, and hardly needs to with c = 1. The largest c for which the new mean cannot leave [-1, 1] whatever the
bits, so that nothing has to be clipped, is

.. math::
    c = \min\Bigl(1, \frac{1 - s}{s} \min\bigl(\tfrac{q}{1 - q}, \tfrac{1 - q}{q}\bigr)\Bigr).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.federated.averaging import normalised
from snntorch_binary.kernels.noise import uniform


def sample_bits(mean: Tensor, seed: int) -> Tensor:
    """Return the bits [mean > v], bool, with noise v that is a function of the seed and each element's position.

    Args:
        mean: in [-1, 1]; a bit is true with probability (1 + mean) / 2.
        seed: up to 64 bits.

    Example:
        >>> import torch
        >>> sample_bits(torch.tensor([1.0, -1.0]), seed=0)
        tensor([ True, False])
    """
    return mean > 2 * uniform(mean.shape, seed, mean.device) - 1


def pack_bits(bits: Tensor) -> Tensor:
    """Return bits as bytes, eight to one: uint8 [⌈N / 8⌉], what is left over zero.

    Example:
        >>> import torch
        >>> pack_bits(torch.tensor([True, False, False, False, False, False, False, True, True]))
        tensor([129, 128], dtype=torch.uint8)
    """
    return torch.from_numpy(np.packbits(bits.cpu().numpy()))


def unpack_bits(packed: Tensor, shape: Sequence[int]) -> Tensor:
    """Return what :func:`pack_bits` packed, as bool of its shape.

    Raises:
        ValueError: it is not the right number of bytes for the shape.

    Example:
        >>> import torch
        >>> unpack_bits(torch.tensor([128], dtype=torch.uint8), (1, 2))
        tensor([[ True, False]])
    """
    size = int(np.prod(shape, dtype=np.int64))
    if packed.dtype != torch.uint8 or packed.shape != ((size + 7) // 8,):
        got = f"{packed.dtype} of shape {tuple(packed.shape)}"
        raise ValueError(expected("packed", f"uint8 of shape ({(size + 7) // 8},)", got))
    return torch.from_numpy(np.unpackbits(packed.cpu().numpy(), count=size).astype(bool)).view(*shape)


def moved_by_bits(
    mean: Tensor,
    bits: Sequence[Tensor],
    seed: int,
    step: float = 0.5,
    weights: Sequence[float] | None = None,
) -> Tensor:
    """Return the server's means after a round of 1-bit uploads; see the equations above.

    Args:
        mean: the server's means, in [-1, 1].
        bits: what the clients sent, bool of the same shape, each by :func:`sample_bits` with the same seed.
        seed: of the round and tensor.
        step: s in (0, 1].
        weights: of the clients, such as numbers of examples; uniform by default.

    Returns:
        Means in [-1, 1], unbiased for ``(1 - step) * mean + step * (weighted mean of the clients' means)``.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> import torch
        >>> mean, theirs = torch.zeros(10_000), torch.full((10_000,), 0.5)
        >>> moved = moved_by_bits(mean, [sample_bits(theirs, seed=1)], seed=1, step=0.5)
        >>> round(moved.mean().item(), 1)
        0.2
    """
    if not 0 < step <= 1:
        raise ValueError(expected("step", "a float in (0, 1]", step))
    shares = normalised(bits, weights)
    q = (1 + mean.double()) / 2
    ones = torch.zeros_like(q)
    for share, sent in zip(shares, bits, strict=True):
        ones.add_(sent.to(ones), alpha=share)
    own = sample_bits(mean, seed).to(q)
    least, most = torch.minimum(q, 1 - q), torch.maximum(q, 1 - q)
    common = ((1 - step) / step * least / most).clamp(max=1)
    moved = q + step * (ones - q - common * (own - q))
    return (2 * moved - 1).clamp(-1, 1).to(mean.dtype)
