"""What a sensor of events does to spikes when it degrades: it loses some, adds some, and misses their time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from snntorch_binary.data.corruptions.corruption import corruption, normal, uniform


@corruption("spikes", "share of the spikes", (0.15, 0.3, 0.45, 0.6, 0.75))
def spikes_lost(spikes: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Lose each spike with a probability, independently.

    Args:
        spikes: [T, B, ...] in {0, 1}, of any type.
        strength: the probability, in [0, 1].
        generator: source of the noise.

    Returns:
        What is left, of the same shape and type.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> spikes_lost(torch.ones(100, 10, 10), 0.3, generator).mean().round(decimals=1)
        tensor(0.7000)
    """
    return spikes & (uniform(spikes.shape, spikes, generator) >= strength)


@corruption("spikes", "probability a cell and time step", (0.01, 0.02, 0.05, 0.1, 0.15))
def noise_spikes(spikes: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Add background activity: each cell spikes in each time step with a probability, whatever it sees.

    Args:
        spikes: [T, B, ...] in {0, 1}, of any type.
        strength: the probability, in [0, 1].
        generator: source of the noise.

    Returns:
        Spikes of the same shape and type; none is lost.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> noise_spikes(torch.zeros(100, 10, 10), 0.1, generator).mean().round(decimals=1)
        tensor(0.1000)
    """
    return spikes | (uniform(spikes.shape, spikes, generator) < strength)


@corruption("spikes", "share of the pixels", (0.1, 0.2, 0.3, 0.4, 0.5), of_sensor=True)
def dead_pixels(spikes: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Silence pixels, the same ones in all time steps, polarities and examples: they are of one sensor.

    Args:
        spikes: frames [T, B, C, H, W], of which a place (H, W) is a pixel, or [T, B, ...], of which each feature is
            one; in {0, 1}, of any type.
        strength: share of the pixels, in [0, 1], rounded to whole pixels.
        generator: chooses them.

    Returns:
        Spikes of the same shape and type.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> dead_pixels(torch.ones(2, 3, 4), 0.5, torch.Generator().manual_seed(0)).sum(-1).unique()
        tensor([2.])
    """
    return spikes & ~_pixels(spikes, strength, generator)


@corruption("spikes", "share of the pixels", (0.01, 0.02, 0.05, 0.1, 0.15), of_sensor=True)
def hot_pixels(spikes: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Have pixels spike in every time step and polarity, the same ones in all examples: they are of one sensor.

    Args:
        spikes: as in :func:`dead_pixels`.
        strength: share of the pixels, in [0, 1], rounded to whole pixels.
        generator: chooses them.

    Returns:
        Spikes of the same shape and type.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> hot_pixels(torch.zeros(2, 3, 4), 0.25, torch.Generator().manual_seed(0)).sum(-1).unique()
        tensor([1.])
    """
    return spikes | _pixels(spikes, strength, generator)


def _pixels(spikes: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Return a mask of pixels, [H, W] of frames and else of all features."""
    features = spikes.shape[2:]
    shape = features[1:] if len(features) == 3 else features
    count = math.prod(shape)
    chosen = torch.randperm(count, generator=generator, device=generator.device)[: round(share * count)]
    mask = torch.zeros(count, dtype=torch.bool, device=spikes.device)
    mask[chosen.to(spikes.device)] = True
    return mask.view(shape)


@corruption("spikes", "standard deviation in time steps", (0.5, 1.0, 2.0, 3.0, 5.0), high=1000.0)
def time_jitter(spikes: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Move each spike in time by a normal number of steps, rounded to whole ones.

    At the ends of the recording time is reflected. A spike that would fall onto another one stays where it was, or is
    lost where that place is taken, too.

    Args:
        spikes: [T, B, ...] in {0, 1}, of any type.
        strength: the standard deviation in time steps, in [0, 1000].
        generator: source of the noise.

    Returns:
        Spikes of the same shape and type; of each cell as many or fewer.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> time_jitter(torch.eye(4).view(4, 1, 4), 2.0, torch.Generator().manual_seed(0)).sum(0)
        tensor([[1., 1., 1., 1.]])
    """
    num_steps, flat = len(spikes), spikes.flatten(1)
    step, cell = flat.nonzero(as_tuple=True)
    moved = step + (strength * normal(step.shape, spikes, generator)).round().long()
    moved = moved % (2 * num_steps)
    moved = torch.minimum(moved, 2 * num_steps - 1 - moved)
    place, order = (moved * flat.shape[1] + cell).sort(stable=True)
    beaten = order[1:][place[1:] == place[:-1]]
    jittered = torch.zeros_like(flat)
    jittered.view(-1)[place] = True
    jittered[step[beaten], cell[beaten]] = True
    return jittered.view_as(spikes)


@corruption("spikes", "time steps", (1, 2, 3, 4, 6), high=1000, whole=True)
def refractory_loss(spikes: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Lose the spikes of a cell that follow one which is not lost within some time steps: the cell has to recover.

    Args:
        spikes: [T, B, ...] in {0, 1}, of any type.
        strength: whole number of silent time steps after a spike, in [0, 1000].
        generator: not used; there is no noise.

    Returns:
        What is left, of the same shape and type.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> refractory_loss(torch.ones(7, 1, 1), 2, torch.Generator()).flatten().tolist()
        [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0]
    """
    silent = torch.zeros(spikes.shape[1:], dtype=torch.int32, device=spikes.device)
    left = []
    for spike in spikes:
        seen = spike & (silent == 0)
        silent = (silent - 1).clamp_min_(0).masked_fill_(seen, int(strength))
        left.append(seen)
    return torch.stack(left)


@corruption("spikes", "share by which frames are longer", (-0.5, -0.25, 0.25, 0.5, 1.0), low=-0.9, high=9.0)
def frame_length(spikes: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Bin the same spikes into as many frames of another length.

    In longer frames spikes of one cell merge, and after the end of the recording there are none; shorter frames see
    only its beginning. Within its frame a spike came at any time, uniformly.

    Args:
        spikes: [T, B, ...] in {0, 1}, of any type.
        strength: frames are 1 + strength times as long; in [-0.9, 9].
        generator: says when in its frame a spike came.

    Returns:
        Spikes of the same shape and type.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> frame_length(torch.ones(4, 1, 1), 1.0, torch.Generator().manual_seed(0)).flatten().tolist()
        [1.0, 1.0, 0.0, 0.0]
    """
    flat = spikes.flatten(1)
    step, cell = flat.nonzero(as_tuple=True)
    time = step.double() + uniform(step.shape, spikes, generator)
    frame = (time / (1 + strength)).long()
    seen = frame < len(spikes)
    binned = torch.zeros_like(flat)
    binned[frame[seen], cell[seen]] = True
    return binned.view_as(spikes)
