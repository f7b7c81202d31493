"""A folder of images or recordings that nobody has labelled, as spikes."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import torch

from snntorch_binary._errors import expected
from snntorch_binary.data import images
from snntorch_binary.data.archives import is_left_by_a_desktop
from snntorch_binary.data.dataset import SpikeDataset
from snntorch_binary.data.encoders import RateEncoder, check_num_steps
from snntorch_binary.data.errors import DataNotFoundError
from snntorch_binary.data.frames import read_frames
from snntorch_binary.data.sets import nmnist, poker_dvs

_SENSORS = {
    (".bin",): (nmnist.SENSOR_SIZE, nmnist.read_nmnist_events),
    (".npy", ".aedat"): (poker_dvs.SENSOR_SIZE, poker_dvs.read_poker_events),
}


def read_unlabelled(
    folder: str | PathLike[str], num_steps: int, num_features: int | None = None
) -> tuple[SpikeDataset, list[Path]]:
    """Read all images, or all recordings, in a folder and below it, in the order of their names.

    Images become grey values, see :func:`snntorch_binary.data.images.read_grey`, and Bernoulli rates, as MNIST's do;
    ``.bin`` files are read as N-MNIST's recordings and ``.npy`` and ``.aedat`` files as POKER-DVS's, each over
    ``num_steps`` bins. The noise of an image is a function of its place, the same at every call. Hidden files and what
    macOS and Windows put beside the files of a user are passed over.

    Args:
        folder: the folder.
        num_steps: number T of time steps.
        num_features: inputs of the network that is to answer; images must have so many pixels, in a square where the
            number is one, and frames of recordings so many values.

    Returns:
        The spikes, with the label 0 for all; and their files.

    Raises:
        ValueError: an argument is out of its range, files of several kinds are there, or sizes do not fit the network
            or each other.
        DataNotFoundError: there is no such folder, or no image or recording in it.
        CorruptDataError: a file is truncated, not what its name says or refused.
        MissingPackageError: a reader is not installed (Pillow for images, Tonic for ``.bin``).
    """
    check_num_steps(num_steps)
    root = Path(folder)
    if not root.is_dir():
        raise DataNotFoundError(expected("folder", "an existing folder", repr(str(folder))))
    kinds = {suffix: kind for kind in (images.SUFFIXES, *_SENSORS) for suffix in kind}
    files = [
        file
        for file in sorted(root.rglob("*"))
        if file.suffix.lower() in kinds and not is_left_by_a_desktop(file.relative_to(root).parts) and file.is_file()
    ]
    if not files:
        raise DataNotFoundError(
            f"{folder} has no images ({', '.join(images.SUFFIXES)}) or recordings (.bin, .npy, .aedat)."
        )
    several = sorted({file.suffix.lower() for file in files})
    if len({kinds[suffix] for suffix in several}) > 1:
        raise ValueError(expected("folder", "one of images or recordings of one kind", f"files {', '.join(several)}"))
    kind = kinds[several[0]]
    labels = torch.zeros(len(files), dtype=torch.int64)
    if kind is images.SUFFIXES:
        grey = [images.read_grey(file, num_features) for file in files]
        for file, image in zip(files, grey, strict=True):
            if image.shape != grey[0].shape:
                (height, width), (first_height, first_width) = image.shape, grey[0].shape
                what = f"images of one size, {first_width} x {first_height} pixels as {files[0]}"
                raise ValueError(expected("folder", what, f"{width} x {height} in {file}"))
        return SpikeDataset(
            torch.stack(grey).flatten(1), labels, num_steps=num_steps, encoder=RateEncoder(), seed=1, fixed=True
        ), files
    size, read_events = _SENSORS[kind]
    if num_features not in (None, 2 * size * size):
        got = f"{num_features}, and {files[0]} is of a sensor of 2 polarities and {size} x {size} pixels"
        raise ValueError(expected("num_features", str(2 * size * size), got))
    frames = read_frames(files, read_events, num_steps, size)
    return SpikeDataset(frames, labels, num_steps=num_steps, fixed=True), files
