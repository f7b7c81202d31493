"""A folder of images, sounds, recordings or arrays that nobody has labelled, as spikes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from snntorch_binary._errors import expected, in_one_line
from snntorch_binary.data import images
from snntorch_binary.data.archives import is_left_by_a_desktop
from snntorch_binary.data.dataset import SpikeDataset
from snntorch_binary.data.encoders import Encoder, RateEncoder, check_num_steps
from snntorch_binary.data.errors import CorruptDataError, DataNotFoundError
from snntorch_binary.data.frames import read_frames
from snntorch_binary.data.packed_spikes import PackedSpikes
from snntorch_binary.data.sets import nmnist, poker_dvs
from snntorch_binary.data.sounds import BANDS, LEVELS, read_sounds

_POKER = (poker_dvs.SENSOR_SIZE, poker_dvs.read_poker_events)
_SENSORS = {".bin": (nmnist.SENSOR_SIZE, nmnist.read_nmnist_events), ".npy": _POKER, ".aedat": _POKER}
_SOUND = ".wav"
_MAX_NUMBERS = 2**28


def read_unlabelled(
    folder: str | PathLike[str],
    num_steps: int | None,
    input_shape: Sequence[int] | int | None = None,
    encoder: Encoder | None = RateEncoder(),  # noqa: B008  # frozen
    arrays: bool = False,
) -> tuple[SpikeDataset | Tensor, list[Path]]:
    """Read all images, sounds, recordings or arrays in a folder and below it, in the order of their names.

    Images become grey values, or colours where the network takes three planes, and what the encoder makes of them.
    ``.bin`` files are read as N-MNIST's recordings, ``.npy`` and ``.aedat`` files as POKER-DVS's, each over
    ``num_steps`` bins, and ``.wav`` files as :func:`snntorch_binary.data.sounds.mel_spikes` says; with ``arrays``,
    ``.npy`` files hold the network's inputs as they are. The noise of an image is a function of its place, the same at
    every call. Hidden files and what macOS and Windows put beside the files of a user are passed over.

    Args:
        folder: the folder.
        num_steps: number T of time steps; ``None`` where inputs have none.
        input_shape: shape or number of the network's inputs in one time step; images must have so many pixels, in a
            square where the number is one, and frames of recordings so many values. ``None`` allows any.
        encoder: makes spikes of images; ``None`` where that is not known.
        arrays: whether ``.npy`` files are inputs of the shape [T, *input_shape].

    Returns:
        The spikes with the label 0 for all, or a tensor of arrays [N, ...]; and their files.

    Raises:
        ValueError: an argument is out of its range, files of several kinds are there, or sizes do not fit the network
            or each other.
        DataNotFoundError: there is no such folder, or no image, sound, recording or array in it.
        CorruptDataError: a file is truncated, not what its name says or refused.
        MissingPackageError: a reader is not installed (Pillow for images, Tonic for ``.bin``).
    """
    if num_steps is not None:
        check_num_steps(num_steps)
    wanted = (input_shape,) if isinstance(input_shape, int) else None if input_shape is None else tuple(input_shape)
    files, suffix = _files(Path(folder))
    if suffix in images.SUFFIXES:
        if encoder is None or num_steps is None:
            what = "of arrays (.npy), as the network takes them: how it is shown images is not known here"
            raise ValueError(expected("folder", what, f"images as {files[0].name}"))
        inputs: Tensor | PackedSpikes = _images(files, wanted)
    elif arrays and suffix == ".npy":
        if wanted is None:
            raise ValueError(expected("input_shape", "given for arrays", None))
        shape = wanted if num_steps is None else (num_steps, *wanted)
        return torch.stack([_array(file, shape) for file in files]), files
    elif suffix == _SOUND:
        if wanted is not None and math.prod(wanted) != BANDS * LEVELS:
            what = f"{math.prod(wanted)}, and {files[0]} is a sound of {BANDS} bands and {LEVELS} levels"
            raise ValueError(expected("input_shape", f"{BANDS * LEVELS} values", what))
        inputs, encoder = read_sounds(files, num_steps or 1), None
    else:
        size, read_events = _SENSORS[suffix]
        if wanted is not None and math.prod(wanted) != 2 * size * size:
            got = f"{math.prod(wanted)}, and {files[0]} is of a sensor of 2 polarities and {size} x {size} pixels"
            raise ValueError(expected("input_shape", f"{2 * size * size} values", got))
        inputs, encoder = read_frames(files, read_events, num_steps or 1, size), None
    labels = torch.zeros(len(files), dtype=torch.int64)
    return SpikeDataset(inputs, labels, num_steps=num_steps or 1, encoder=encoder, seed=1, fixed=True), files


def _files(root: Path) -> tuple[list[Path], str]:
    """Return the files of the one kind that a folder has, and the ending of the first."""
    if not root.is_dir():
        raise DataNotFoundError(expected("folder", "an existing folder", repr(str(root))))
    kinds: dict[str, object] = {**dict.fromkeys(images.SUFFIXES, images), **_SENSORS, _SOUND: _SOUND}
    files = [
        file
        for file in sorted(root.rglob("*"))
        if file.suffix.lower() in kinds and not is_left_by_a_desktop(file.relative_to(root).parts) and file.is_file()
    ]
    if not files:
        raise DataNotFoundError(
            f"{root} has no images ({', '.join(images.SUFFIXES)}), recordings (.bin, .npy, .aedat) or sounds (.wav)."
        )
    several = sorted({file.suffix.lower() for file in files})
    if len({kinds[suffix] for suffix in several}) > 1:
        raise ValueError(
            expected("folder", "one of images, sounds or recordings of one kind", f"files {', '.join(several)}")
        )
    return files, several[0]


def _images(files: list[Path], shape: tuple[int, ...] | None) -> Tensor:
    if shape is not None and len(shape) == 3 and shape[0] == 3:
        return torch.stack([images.read_color(file, *shape[1:]) for file in files])
    grey = [images.read_grey(file, None if shape is None else math.prod(shape)) for file in files]
    for file, image in zip(files, grey, strict=True):
        if image.shape != grey[0].shape:
            (height, width), (first_height, first_width) = image.shape, grey[0].shape
            what = f"images of one size, {first_width} x {first_height} pixels as {files[0]}"
            raise ValueError(expected("folder", what, f"{width} x {height} in {file}"))
    flat = torch.stack(grey).flatten(1)
    return flat if shape is None else flat.reshape(len(files), *shape)


def _array(file: Path, shape: tuple[int, ...]) -> Tensor:
    try:
        values = np.load(file, mmap_mode="r", allow_pickle=False)
        if values.dtype.kind not in "fiub" or values.size > _MAX_NUMBERS:
            raise ValueError(f"it holds {values.dtype}")
    except (ValueError, OSError, EOFError, SyntaxError, AttributeError) as error:
        raise CorruptDataError(f"{file} is damaged or no array of numbers: {in_one_line(error, 100)}.") from None
    if values.shape != shape:
        what = f"of arrays of the shape {list(shape)}, as the network takes them"
        raise ValueError(expected("folder", what, f"{list(values.shape)} in {file}"))
    found = torch.from_numpy(np.array(values, dtype=np.float32))
    if not bool(found.isfinite().all()):
        raise CorruptDataError(f"{file} holds NaN or infinite values.")
    return found
