"""Image files as grey values or colours: right, or refused in a sentence."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snntorch_binary._errors import expected, require
from snntorch_binary.data.errors import CorruptDataError, damage_named

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".tif", ".tiff", ".webp")
# By content, and no others: of some formats, Pillow's reader starts another program.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
_MAX_PIXELS = 2**24
_WITH_ALPHA, _WITHOUT_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa"), ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr")
_BITS_PER_SAMPLE, _PHOTOMETRIC, _BLACK_IS_ZERO = 258, 262, 1  # of TIFF


def read_grey(file: Path, num_pixels: int | None = None) -> Tensor:
    """Return the grey values of an image, black as 0 and white as 255.

    Colours become their luma (ITU-R 601-2), values of 16 bits are divided by 257, and the picture is turned as its EXIF
    orientation says. Of a JPEG file with several pictures, as telephones write them, the first is taken.

    Args:
        file: the image, whatever its name says it is.
        num_pixels: pixels it must have, in a square where the number is one; None allows 2^24.

    Returns:
        uint8 [height, width].

    Raises:
        ValueError: the image has another size. This is known before its pixels are unpacked.
        CorruptDataError: the file is damaged or no image of these formats; it has several pictures, pixels one can see
            through, or values of which the file does not say which are black and white (32 bits, floats).
        MissingPackageError: Pillow is not installed.
    """
    return torch.from_numpy(np.array(_image(file, num_pixels).convert("L")))


def read_color(file: Path, height: int, width: int) -> Tensor:
    """Return the red, green and blue values of an image; otherwise as :func:`read_grey`.

    Returns:
        uint8 [3, height, width].

    Raises:
        ValueError: the image has another size.
        CorruptDataError: see there.
        MissingPackageError: Pillow is not installed.
    """
    image = _image(file, height * width)
    if (image.height, image.width) != (height, width):
        what = f"images of {width} x {height} pixels, as the network takes them"
        raise ValueError(expected("folder", what, f"{image.width} x {image.height} in {file}"))
    return torch.from_numpy(np.array(image.convert("RGB"))).movedim(-1, 0).contiguous()


def _image(file: Path, num_pixels: int | None) -> Any:
    """Return an image of Pillow's that one cannot see through, with eight bits a value."""
    pillow, ops = require("PIL.Image", "lightning"), require("PIL.ImageOps", "lightning")
    with _read_by_pillow(file), pillow.open(file, formats=_FORMATS) as image:
        size, format, several = image.size, image.format, getattr(image, "n_frames", 1)
        image.verify()  # the sums of a PNG file, which loading it does not compare
    _check_size(file, size, num_pixels)
    if several > 1 and format != "MPO":
        raise _refused(file, f"it has {several} pictures; save the one that is meant")
    # Not by its name: Pillow 13 maps a file of that name and then takes height for width in a TIFF file to be turned.
    with _read_by_pillow(file), file.open("rb") as opened, pillow.open(opened, formats=_FORMATS) as image:
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            _check_depth(file, image)
        image.load()  # turns a TIFF file, which says no orientation any more
        return _opaque(file, ops.exif_transpose(image))


@contextmanager
def _read_by_pillow(file: Path) -> Iterator[None]:
    with damage_named(f"The image {file}", "cannot be read"), warnings.catch_warnings():
        for category in (UserWarning, RuntimeWarning):  # of damage that Pillow reads over, and of very many pixels
            warnings.simplefilter("error", category)
        warnings.filterwarnings("ignore", ".*malformed MPO")  # telephones that miscount: the first picture is right
        yield


def _check_depth(file: Path, image: Any) -> None:
    """Refuse what may have more than 16 bits, less, or white as 0: Pillow does not say."""
    tags: Any = image.tag_v2 if image.format == "TIFF" else {_BITS_PER_SAMPLE: (16,), _PHOTOMETRIC: _BLACK_IS_ZERO}
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        raise _refused(
            file, "its values have signs or 32 bits, so that the file does not say which are black and white"
        )
    if tuple(tags.get(_BITS_PER_SAMPLE, ())) != (16,) or tags.get(_PHOTOMETRIC) != _BLACK_IS_ZERO:
        raise _refused(file, "its values are not of 16 bits from black to white")


def _opaque(file: Path, image: Any) -> Any:
    seen_through = "one can see through some of its pixels, to something that is not there; save it without alpha"
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if "transparency" in image.info and (values == image.info["transparency"]).any():
            raise _refused(file, seen_through)
        return require("PIL.Image", "lightning").fromarray(((values + 128) // 257).astype(np.uint8))
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema()[0] < 255:
            raise _refused(file, seen_through)
        image = image.convert("RGB")
    if image.mode not in _WITHOUT_ALPHA:
        raise _refused(file, f"its colours are of the kind {image.mode}; save it in grey or RGB")
    return image


def _check_size(file: Path, size: tuple[int, int], num_pixels: int | None) -> None:
    width, height = size
    if num_pixels is None:
        if width * height > _MAX_PIXELS:
            raise _refused(file, f"it has {width} x {height} pixels, more than 2^24")
        return
    side = math.isqrt(num_pixels)
    square = side * side == num_pixels
    if width * height != num_pixels or (square and height != width):
        pixels = f"{side} x {side}" if square else str(num_pixels)
        what = f"images of {pixels} pixels, as many as the network has inputs"
        raise ValueError(expected("folder", what, f"{width} x {height} in {file}"))


def _refused(file: Path, why: str) -> CorruptDataError:
    return CorruptDataError(f"The image {file} was refused: {why}.")
