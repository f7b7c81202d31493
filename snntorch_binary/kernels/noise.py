"""Noise that is a function of a key and a position: any part of it can be made again, in any order, on any device."""

from __future__ import annotations

import torch
from torch import Tensor

from snntorch_binary.kernels.engine import compiled

_LOW = 0xFFFFFFFF


def _signed(value: int) -> int:
    """Return the int32 with these 32 bits."""
    value &= _LOW
    return value - (1 << 32) if value >> 31 else value


def keys_of(seed: int) -> tuple[int, int]:
    """Return the two 32-bit keys in a seed of up to 64 bits."""
    return seed & _LOW, (seed >> 32) & _LOW


def uniform(shape: torch.Size, seed: int, device: torch.device) -> Tensor:
    r"""Return i.i.d. U(0, 1) noise, float32, of which the element at position i is a function of seed and i alone.

    The position, keyed by the lower half of the seed, goes through three rounds of a 32-bit mixing function, with the
    upper half added after the first; the result's upper 23 bits are the middle of one of :math:`2^{23}` intervals,
    so that neither 0 nor 1 occurs.

    Args:
        shape: of the noise.
        seed: up to 64 bits; different seeds give unrelated noise.
        device: where it is made.

    References:
        The mixing function's constants are those of ``triple32`` (C. Wellons, *Prospecting for hash functions*, 2018,
        public domain).
    """
    noise = torch.empty(shape, device=device)
    kernels = compiled("noise", noise)
    if kernels is not None:
        kernels.uniform(noise.view(-1).numpy(), *keys_of(seed))
        return noise
    return _by_torch(noise, seed)


def _by_torch(noise: Tensor, seed: int) -> Tensor:
    first, second = keys_of(seed)
    x = torch.arange(noise.numel(), dtype=torch.int32, device=noise.device).bitwise_xor_(_signed(first))
    _round(x, 17, 0xED5AD4BB).add_(_signed(second))
    _round(x, 11, 0xAC4C1B51)
    _round(x, 15, 0x31848BAB)
    x ^= _shifted(x, 14)
    return ((_shifted(x, 9).to(torch.float32) + 0.5) * 2.0**-23).view(noise.shape)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """Return x >> bits of unsigned numbers."""
    return (x >> bits).bitwise_and_((1 << (32 - bits)) - 1)


def _round(x: Tensor, bits: int, factor: int) -> Tensor:
    return x.bitwise_xor_(_shifted(x, bits)).mul_(_signed(factor))
