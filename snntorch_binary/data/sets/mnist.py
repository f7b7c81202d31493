"""MNIST, Fashion-MNIST and notMNIST from their idx files, packed (.gz) or not."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import math
import os
import tempfile
import urllib.request
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from snntorch_binary.data.archives import most_bytes
from snntorch_binary.data.description import Description, Request, register
from snntorch_binary.data.encoders import RateEncoder
from snntorch_binary.data.errors import CorruptDataError, DataNotFoundError, damage_named
from snntorch_binary.data.folders import cache_dir, find, glob, searched
from snntorch_binary.data.splits import Source, hold_out, in_memory, permutation

_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_TEST = _FILES[2:]


@dataclass(frozen=True)
class _Set:
    title: str
    folder: str
    class_names: tuple[str, ...]
    labels_md5: tuple[str, ...]  # of the labels of both parts as bytes: the files of all sets have the same names
    mirrors: tuple[str, ...] = ()
    md5: tuple[str, ...] = ()  # of the .gz files, in the order of _FILES
    prefix: str = ""  # that its files may have
    test_alone: bool = False  # whether its test files are enough

    @property
    def patterns(self) -> tuple[str, ...]:
        name = _TEST[1] if self.test_alone else _FILES[1]
        names = [prefix + name.replace("-idx", "[-.]idx") + "*" for prefix in dict.fromkeys(("", self.prefix))]
        return (*(f"raw/{name}" for name in names), *names)


_SETS = {
    "mnist": _Set(
        title="MNIST",
        folder="MNIST",
        class_names=tuple(map(str, range(10))),
        labels_md5=("e86ee40d66677c011a9abda399ec8c4d", "073c3904dfbd3e141ff8aa01cfde6b15"),
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        md5=(
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
    ),
    "fashion-mnist": _Set(
        title="Fashion-MNIST",
        folder="FashionMNIST",
        class_names=(
            "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
            "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
        ),
        labels_md5=("3236f6424fc25388b2834cb19942cf7e", "8dea97a4e78c1bd1b5a6e8efbb870b6e"),
        mirrors=(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        md5=(
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
    ),
    "notmnist": _Set(
        title="notMNIST",
        folder="notMNIST",
        class_names=tuple("ABCDEFGHIJ"),
        labels_md5=("7075b41900fb7fd2a783b85721b266c4",),
        prefix="notmnist_",
        test_alone=True,
    ),
}  # fmt: skip


def read(name: str, asked: Request) -> Source:
    """Return the images as uint8 [N, 784]; a twelfth of the training images validates.

    Of notMNIST, which is there to be told from MNIST, a fifth of the test files tests where there are no others.

    Args:
        name: ``"mnist"``, ``"fashion-mnist"`` or ``"notmnist"``.
        asked: whether to fetch the files into the cache when its `data_dir` does not have them.

    Raises:
        DataNotFoundError: the files were not found, or not fetched.
        CorruptDataError: a file is truncated or no idx file.
    """
    which = _SETS[name]
    raw = _find(which, asked.data_dir) or (_download(which) if asked.download and which.mirrors else None)
    if raw is None:
        wanted = ", ".join(_TEST if which.test_alone else _FILES)
        wanted += f", with or without {which.prefix}" if which.prefix else ""
        raise DataNotFoundError(
            f"{which.title} was not found in {searched(asked.data_dir)}: looked for {wanted} (or .gz) "
            f"in {which.folder}/raw, raw and the folder itself, and for archives of these"
            + ("; `download=True` fetches it." if which.mirrors else ".")
        )
    files = _files(which, raw)
    test = _read_part(which, files, _TEST)
    if _FILES[0] not in files:
        source = in_memory(_flat(test[0][:0], test[1][:0]), _flat(*test), which.class_names)
        return replace(source, test=hold_out(test[1], source.test, 0.2, f"{name} test"))
    train = _read_part(which, files, _FILES[:2])
    if train[0].shape[1:] != test[0].shape[1:]:
        raise CorruptDataError(f"The training and test images in {raw} have different sizes.")
    validation = torch.zeros(len(train[1]) + len(test[1]), dtype=torch.bool)
    validation[permutation(len(train[1]), "mnist validation")[: len(train[1]) // 12]] = True
    return replace(in_memory(_flat(*train), _flat(*test), which.class_names), validation=validation)


def _read_part(which: _Set, files: dict[str, Path], names: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Return images [N, height, width] and labels [N] of the training or test files."""
    images, labels = (read_idx(files[name]) for name in names)
    part = f"{files[names[0]].parent}/{names[0].split('-')[0]}"
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise CorruptDataError(f"The images and labels of {part}-* do not fit each other.")
    if labels.numel() and int(labels.max()) >= len(which.class_names):
        raise CorruptDataError(f"The labels of {part}-* hold the label {int(labels.max())}, not only 0 to 9.")
    return images, labels.long()


def _flat(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    return images.flatten(1), labels


def read_idx(file: Path) -> Tensor:
    """Read an idx file of bytes: 0, 0, 8, number of axes, the sizes as big-endian uint32, then the bytes.

    Args:
        file: the file, packed when its name ends in ``.gz``.

    Returns:
        uint8 tensor of the shape the header gives.

    Raises:
        CorruptDataError: the file is truncated, too long or no idx file of bytes, or unpacks to more than
            :func:`snntorch_binary.data.archives.most_bytes`.
    """
    most = most_bytes(file)
    with (
        damage_named(f"The file {file}"),
        gzip.open(file) if file.suffix.lower() == ".gz" else file.open("rb") as opened,
    ):
        data = opened.read(most + 1)
    if len(data) > most:
        raise CorruptDataError(
            f"The file {file} was refused: it unpacks to more than {most} bytes, "
            "which are 64 MiB and 100 times its own size."
        )
    axes = data[3] if len(data) >= 4 else 0
    if data[:3] != b"\0\0\x08" or axes == 0 or len(data) < 4 + 4 * axes:
        raise CorruptDataError(f"The file {file} is no idx file of bytes.")
    shape = [int.from_bytes(data[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(axes)]
    content = torch.frombuffer(bytearray(data), dtype=torch.uint8)[4 + 4 * axes :]
    if len(content) != math.prod(shape):
        raise CorruptDataError(
            f"The file {file} should hold {math.prod(shape)} bytes after its header, but has {len(content)}."
        )
    return content.view(shape)


def _find(which: _Set, data_dir: str | PathLike[str] | None) -> Path | None:
    """Return the folder of the idx files, passing over those of other sets, whose files have the same names."""
    others = {md5 for other in _SETS.values() if other is not which for md5 in other.labels_md5}
    for home in (home for copy in find(data_dir, which.folder, which.patterns) for home in copy):
        for raw in (*glob(home, "raw"), home):
            files = _files(which, raw)
            if len(files) == len(_FILES) or (which.test_alone and files.keys() == set(_TEST)):
                labels = [read_idx(file) for name, file in files.items() if "labels" in name]
                if others.isdisjoint(
                    hashlib.md5(bytes(each.flatten().tolist()), usedforsecurity=False).hexdigest() for each in labels
                ):
                    return raw
    return None


def _files(which: _Set, raw: Path) -> dict[str, Path]:
    """Return those of the four files that are in `raw` by name, unpacked ones before packed ones."""
    found: dict[str, Path] = {}
    for prefix in dict.fromkeys((which.prefix, "")):
        for name in _FILES:
            # Unpacked by some programs, the files have a dot in place of the second dash.
            patterns = [prefix + name.replace("-idx", "[-.]idx") + suffix for suffix in ("", ".gz")]
            present = [file for pattern in patterns for file in glob(raw, pattern) if file.is_file()]
            found |= {name: present[0]} if present else {}
        if found:
            break
    return found


def _download(which: _Set) -> Path:
    """Fetch the four files into the cache, each checked against its md5 sum before it gets its name."""
    raw = cache_dir(which.folder, "raw")
    for name, md5 in zip(_FILES, which.md5, strict=True):
        target = raw / f"{name}.gz"
        if not target.is_file():
            content = _fetch([f"{mirror}{name}.gz" for mirror in which.mirrors], md5)
            with tempfile.TemporaryDirectory(dir=raw) as scratch:
                part = Path(scratch, target.name)
                part.write_bytes(content)
                os.replace(part, target)
    return raw


def _fetch(addresses: list[str], md5: str) -> bytes:
    """Return the content of the first address that has the right one."""
    reasons = []
    for address in addresses:
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                content: bytes = answer.read(2**26)  # more than each of the files has
        except (OSError, http.client.HTTPException) as error:
            reasons.append(f"{address}: {error}")
            continue
        if hashlib.md5(content, usedforsecurity=False).hexdigest() == md5:
            return content
        reasons.append(f"{address}: its md5 sum is not {md5}")
    raise DataNotFoundError(f"The download failed ({'; '.join(reasons)}).")


for _place, _name in enumerate(_SETS, start=100):
    register(
        Description(
            name=_name,
            place=_place,
            num_classes=10,
            num_steps=10,
            spikes="Bernoulli rates",
            features=(784,),
            needs="the idx files, or ``download=True``" if _SETS[_name].mirrors else "the idx files of its test part",
            read=partial(read, _name),
            encoder=RateEncoder(),
        )
    )
