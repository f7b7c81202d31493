"""What a camera does to images when it degrades or is moved, before spikes are made of their values.

After the published descriptions of MNIST-C (Mu and Gilmer, "MNIST-C: a robustness benchmark for computer vision", 2019)
and ImageNet-C (Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and
perturbations", 2019).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from snntorch_binary.data.corruptions.corruption import corruption, normal, uniform


@corruption("images", "standard deviation", (0.08, 0.12, 0.18, 0.26, 0.38))
def gaussian_noise(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Add normal noise to each value; what leaves [0, 1] is cut.

    Args:
        images: [N, H, W] or [N, C, H, W], values in [0, 1].
        strength: the standard deviation, in [0, 1].
        generator: source of the noise.

    Returns:
        Images of the same shape.

    Raises:
        TypeError: the images are no floating-point tensor.
        ValueError: an argument is out of its range.

    Example:
        >>> gaussian_noise(torch.full((1, 50, 50), 0.5), 0.1, torch.Generator().manual_seed(0)).std().round(decimals=1)
        tensor(0.1000)
    """
    return (images + strength * normal(images.shape, images, generator)).clamp(0, 1)


@corruption("images", "standard deviation in pixels", (0.5, 1.0, 1.5, 2.0, 3.0), high=64.0, length=True)
def blur(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Blur by a normal kernel; beyond its border an image goes on as it ends there.

    Args:
        images: [N, H, W] or [N, C, H, W], values in [0, 1].
        strength: standard deviation of the kernel in pixels, in [0, 64].
        generator: not used; there is no noise.

    Returns:
        Images of the same shape.

    Raises:
        TypeError: the images are no floating-point tensor.
        ValueError: an argument is out of its range.

    Example:
        >>> blur(torch.eye(5)[None], 0.5, torch.Generator())[0, 2, 1:4]
        tensor([0.1675, 0.6414, 0.1675])
    """
    radius = math.ceil(4 * strength)
    distance = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    kernel = (-0.5 * (distance / strength) ** 2).exp()
    kernel = kernel / kernel.sum()
    count = images.shape[1]
    for dim in (2, 3):
        shape = [1, 1, 1, 1]
        shape[dim] = len(kernel)
        pads = [0, 0, radius, radius] if dim == 2 else [radius, radius, 0, 0]
        weight = kernel.view(shape).repeat(count, 1, 1, 1)
        images = F.conv2d(F.pad(images, pads, mode="replicate"), weight, groups=count)
    return images.clamp(0, 1)  # a sum of float32 may leave the range by its last digit


@corruption("images", "share of the contrast that is lost", (0.1, 0.2, 0.3, 0.45, 0.6))
def contrast(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Bring all values of an image nearer to its mean, in each colour.

    Args:
        images: [N, H, W] or [N, C, H, W], values in [0, 1].
        strength: share of the contrast that is lost, in [0, 1]; at 1 the mean is left.
        generator: not used; there is no noise.

    Returns:
        Images of the same shape.

    Raises:
        TypeError: the images are no floating-point tensor.
        ValueError: an argument is out of its range.

    Example:
        >>> contrast(torch.tensor([[[0.0, 1.0]]]), 0.5, torch.Generator())
        tensor([[[0.2500, 0.7500]]])
    """
    return images.lerp(images.mean(dim=(2, 3), keepdim=True), strength).clamp(0, 1)


@corruption("images", "degrees", (5.0, 10.0, 15.0, 20.0, 30.0), low=-180.0, high=180.0)
def rotation(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Turn images counter-clockwise around their middle; what comes in from outside is 0.

    Args:
        images: [N, H, W] or [N, C, H, W], values in [0, 1].
        strength: the angle in degrees, in [-180, 180]; clockwise where it is negative.
        generator: not used; there is no noise.

    Returns:
        Images of the same shape, values between pixels interpolated in both directions.

    Raises:
        TypeError: the images are no floating-point tensor.
        ValueError: an argument is out of its range.

    Example:
        >>> rotation(torch.tensor([[[0.0, 1.0], [0.0, 0.0]]]), 90.0, torch.Generator()).round(decimals=4)
        tensor([[[1., 0.],
                 [0., 0.]]])
    """
    height, width = images.shape[2:]
    cos, sin = math.cos(math.radians(strength)), math.sin(math.radians(strength))
    from_turned = torch.tensor([[cos, -sin * height / width, 0.0], [sin * width / height, cos, 0.0]])
    return _sampled(images, from_turned.expand(len(images), 2, 3))


@corruption("images", "pixels", (1.0, 2.0, 3.0, 4.0, 6.0), high=64.0, length=True)
def translation(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Move each image by a distance in a direction of its own; what comes in from outside is 0.

    Args:
        images: [N, H, W] or [N, C, H, W], values in [0, 1].
        strength: the distance in pixels, in [0, 64].
        generator: source of the directions, which are uniform.

    Returns:
        Images of the same shape, values between pixels interpolated in both directions.

    Raises:
        TypeError: the images are no floating-point tensor.
        ValueError: an argument is out of its range.

    Example:
        >>> moved = translation(F.pad(torch.ones(1, 1, 1), [3, 3, 3, 3]), 2.0, torch.Generator().manual_seed(0))
        >>> moved.shape, moved.sum().round(decimals=4)
        (torch.Size([1, 7, 7]), tensor(1.))
    """
    height, width = images.shape[2:]
    angle = 2 * math.pi * uniform(images.shape[:1], images, generator)
    from_moved = torch.eye(2, 3).repeat(len(images), 1, 1).to(images.device)
    from_moved[:, 0, 2] = 2 * strength / width * angle.cos()
    from_moved[:, 1, 2] = 2 * strength / height * angle.sin()
    return _sampled(images, from_moved)


def _sampled(images: Tensor, places: Tensor) -> Tensor:
    """Return images whose pixels are taken from other places: affine maps [N, 2, 3] of coordinates in [-1, 1]."""
    grid = F.affine_grid(places.to(images), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False).clamp(0, 1)


@corruption("images", "share of the area", (0.02, 0.05, 0.1, 0.2, 0.35))
def occlusion(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Cover a square of each image, somewhere within it, by 0.

    Args:
        images: [N, H, W] or [N, C, H, W], values in [0, 1].
        strength: share of the area, in [0, 1]; the side of the square is rounded to whole pixels, and no longer than
            the shorter side of the image.
        generator: source of the places.

    Returns:
        Images of the same shape.

    Raises:
        TypeError: the images are no floating-point tensor.
        ValueError: an argument is out of its range.

    Example:
        >>> occlusion(torch.ones(1, 4, 4), 0.25, torch.Generator().manual_seed(0)).sum()
        tensor(12.)
    """
    size = min(round(math.sqrt(strength * images.shape[2] * images.shape[3])), *images.shape[2:])
    covered = None
    for dim in (2, 3):
        length = images.shape[dim]
        first = (uniform((len(images), 1), images, generator) * (length - size + 1)).long()
        place = torch.arange(length, device=images.device)
        inside = (place >= first) & (place < first + size)
        covered = inside[:, None, :, None] if covered is None else covered & inside[:, None, None, :]
    assert covered is not None
    return images.masked_fill(covered, 0.0)


@corruption("images", "share of the resolution that is lost", (0.125, 0.25, 0.375, 0.5, 0.625))
def pixelation(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Average each image over fewer, larger pixels.

    Args:
        images: [N, H, W] or [N, C, H, W], values in [0, 1].
        strength: share of the pixels in a row or column that is lost, in [0, 1]; at least one is left.
        generator: not used; there is no noise.

    Returns:
        Images of the same shape; a pixel that lies in several of the larger ones is their mean, by the area.

    Raises:
        TypeError: the images are no floating-point tensor.
        ValueError: an argument is out of its range.

    Example:
        >>> pixelation(torch.tensor([[[0.0, 1.0], [0.0, 1.0]]]), 0.5, torch.Generator())
        tensor([[[0.5000, 0.5000],
                 [0.5000, 0.5000]]])
    """
    rows, columns = (_fewer_pixels(size, strength).to(images) for size in images.shape[2:])
    return (rows @ images @ columns.T).clamp(0, 1)


def _fewer_pixels(size: int, strength: float) -> Tensor:
    """Return the map [size, size] of a line of pixels to fewer ones and back, by the area that they share."""
    count = max(1, round((1 - strength) * size))
    few, many = (torch.arange(n + 1, dtype=torch.float64) / n for n in (count, size))
    first = torch.maximum(few[:-1, None], many[:-1])
    last = torch.minimum(few[1:, None], many[1:])
    shared = (last - first).clamp_min(0)
    return (size * shared.T) @ (count * shared)
