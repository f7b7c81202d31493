"""Noise that is a function of a key and a position: any part of it can be made again, in any order, on any device."""

from __future__ import annotations

import torch
from torch import Tensor

from snntorch_binary.kernels.engine import compiled, flat

_LOW, _ALL = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF


def signed(value: int) -> int:
    """Return the int32 with these 32 bits."""
    value &= _LOW
    return value - (1 << 32) if value >> 31 else value


def mix(*values: int) -> int:
    """Return a well-mixed 64-bit number made of integers (the finaliser of SplitMix64, after each value)."""
    state = 0
    for value in values:
        state = (state + value + 0x9E3779B97F4A7C15) & _ALL
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _ALL
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _ALL
        state ^= state >> 31
    return state


def keys_of(seed: int) -> tuple[int, int]:
    """Return the two 32-bit keys that a seed of up to 64 bits stands for."""
    mixed = mix(seed)
    return mixed & _LOW, mixed >> 32


def uniform(shape: torch.Size, seed: int, device: torch.device) -> Tensor:
    r"""Return i.i.d. U(0, 1) noise, float32, of which the element at position i is a function of seed and i alone.

    The seed is mixed into two keys. The position, with the first, goes through one round of mixing, and with the second
    added through the three of a 32-bit hash; the result's upper 23 bits say which of :math:`2^{23}` intervals it is the
    middle of, so that neither 0 nor 1 occurs.

    Args:
        shape: of the noise.
        seed: up to 64 bits; different seeds give unrelated noise.
        device: where it is made.

    References:
        The hash is ``triple32``, the first round one of ``lowbias32`` (C. Wellons, *Prospecting for hash functions*,
        2018, public domain).
    """
    noise = torch.empty(shape, device=device)
    kernels = compiled("noise", noise)
    if kernels is not None:
        kernels.uniform(flat(noise), *keys_of(seed))
        return noise
    return _by_torch(noise, seed)


def _by_torch(noise: Tensor, seed: int) -> Tensor:
    first, second = keys_of(seed)
    x = torch.arange(noise.numel(), dtype=torch.int32, device=noise.device).bitwise_xor_(signed(first))
    _round(x, 16, 0x21F0AAAD).add_(signed(second))
    _round(x, 17, 0xED5AD4BB)
    _round(x, 11, 0xAC4C1B51)
    _round(x, 15, 0x31848BAB)
    x ^= _shifted(x, 14)
    return ((_shifted(x, 9).to(torch.float32) + 0.5) * 2.0**-23).view(noise.shape)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """Return x >> bits of unsigned numbers."""
    return (x >> bits).bitwise_and_((1 << (32 - bits)) - 1)


def _round(x: Tensor, bits: int, factor: int) -> Tensor:
    return x.bitwise_xor_(_shifted(x, bits)).mul_(signed(factor))
