"""A folder of images or recordings that nobody has labelled, as spikes."""

from __future__ import annotations

import math
from os import PathLike
from pathlib import Path

import numpy as np
import torch

from snntorch_binary._errors import expected, require
from snntorch_binary.data.dataset import SpikeDataset
from snntorch_binary.data.encoders import RateEncoder, check_num_steps
from snntorch_binary.data.errors import CorruptDataError, DataNotFoundError
from snntorch_binary.data.events import read_nmnist_events, read_poker_events
from snntorch_binary.data.frames import read_frames

_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".tif", ".tiff", ".webp")
_SENSORS = {(".bin",): (34, read_nmnist_events), (".npy", ".aedat"): (35, read_poker_events)}


def read_unlabelled(
    folder: str | PathLike[str], num_steps: int, num_features: int | None = None
) -> tuple[SpikeDataset, list[Path]]:
    """Read all images, or all recordings, in a folder and below it, in the order of their names.

    Images become grey values and Bernoulli rates, as MNIST's do; ``.bin`` files are read as N-MNIST's recordings and
    ``.npy`` and ``.aedat`` files as POKER-DVS's, each over ``num_steps`` bins. The noise of an image is a function of
    its place, the same at every call.

    Args:
        folder: the folder.
        num_steps: number T of time steps.
        num_features: inputs of the network that is to answer; images must have so many pixels, in a square where the
            number is one, and frames of recordings so many values.

    Returns:
        The spikes, with the label 0 for all; and their files.

    Raises:
        ValueError: an argument is out of its range, files of several kinds are there, or sizes do not fit.
        DataNotFoundError: there is no such folder, or no image or recording in it.
        CorruptDataError: a file is truncated or not what its name says.
        MissingPackageError: a reader is not installed (Pillow for images, Tonic for ``.bin``).
    """
    check_num_steps(num_steps)
    root = Path(folder)
    if not root.is_dir():
        raise DataNotFoundError(expected("folder", "an existing folder", repr(str(folder))))
    kinds = {suffix: kind for kind in (_IMAGES, *_SENSORS) for suffix in kind}
    files = [file for file in sorted(root.rglob("*")) if file.is_file() and file.suffix.lower() in kinds]
    if not files:
        raise DataNotFoundError(f"{folder} has no images ({', '.join(_IMAGES)}) or recordings (.bin, .npy, .aedat).")
    several = sorted({file.suffix.lower() for file in files})
    if len({kinds[suffix] for suffix in several}) > 1:
        raise ValueError(expected("folder", "one of images or recordings of one kind", f"files {', '.join(several)}"))
    kind = kinds[several[0]]
    labels = torch.zeros(len(files), dtype=torch.int64)
    if kind is _IMAGES:
        images = torch.stack([_read_image(file, num_features) for file in files])
        return SpikeDataset(images, labels, num_steps=num_steps, encoder=RateEncoder(), seed=1, fixed=True), files
    size, read_events = _SENSORS[kind]
    if num_features not in (None, 2 * size * size):
        got = f"{num_features}, and {files[0]} is of a sensor of 2 polarities and {size} x {size} pixels"
        raise ValueError(expected("num_features", str(2 * size * size), got))
    frames = read_frames(files, read_events, num_steps, size)
    return SpikeDataset(frames, labels, num_steps=num_steps, fixed=True), files


def _read_image(file: Path, num_pixels: int | None) -> torch.Tensor:
    """Return the grey values of an image, uint8 [pixels]."""
    pillow = require("PIL.Image", "lightning")
    try:
        with pillow.open(file) as image:
            pixels = np.asarray(image.convert("L"))
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for files that are none
        raise CorruptDataError(f"The image {file} cannot be read ({error}).") from None
    height, width = pixels.shape
    if num_pixels is not None:
        side = math.isqrt(num_pixels)
        square = side * side == num_pixels
        if pixels.size != num_pixels or (square and height != width):
            size = f"{side} x {side}" if square else str(num_pixels)
            what = f"images of {size} pixels, as many as the network has inputs"
            raise ValueError(expected("folder", what, f"{width} x {height} in {file}"))
    return torch.from_numpy(pixels.copy()).flatten()
