"""CIFAR-10 and CIFAR-100 from the files of their binary version, or through torchvision from its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from snntorch_binary._errors import MissingPackageError
from snntorch_binary.data.description import Description, Request, register
from snntorch_binary.data.encoders import SignedRateEncoder
from snntorch_binary.data.errors import CorruptDataError, DataNotFoundError, damage_named
from snntorch_binary.data.folders import find, glob, not_found
from snntorch_binary.data.splits import Source, in_memory

_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class _Set:
    title: str
    folder: str
    binary: str  # folder of the binary version
    train: str
    test: str
    label_bytes: int  # the last one is the class
    names_file: str
    num_classes: int
    python: str  # folder of the Python version, which torchvision reads


_SETS = {
    "cifar10": _Set(
        title="CIFAR-10",
        folder="CIFAR10",
        binary="cifar-10-batches-bin",
        train="data_batch_*.bin",
        test="test_batch*.bin",
        label_bytes=1,
        names_file="batches.meta.txt",
        num_classes=10,
        python="cifar-10-batches-py",
    ),
    "cifar100": _Set(
        title="CIFAR-100",
        folder="CIFAR100",
        binary="cifar-100-binary",
        train="train*.bin",
        test="test*.bin",
        label_bytes=2,
        names_file="fine_label_names.txt",
        num_classes=100,
        python="cifar-100-python",
    ),
}


def read(name: str, asked: Request) -> Source:
    """Return the images as uint8 [N, 3, 32, 32]; a tenth of the training images of each class validates.

    Of the binary version the batches that are there are taken, so that a part of the set will do.

    Args:
        name: ``"cifar10"`` or ``"cifar100"``, whose labels are the fine ones.
        asked: where the set may be.

    Raises:
        DataNotFoundError: the files were not found.
        CorruptDataError: a file is truncated or holds a label that the set does not have.
        MissingPackageError: only the pickled Python version is there, and torchvision is not.
    """
    which = _SETS[name]
    for folder in _binary_folders(which, asked.data_dir):
        train, test = (glob(folder, pattern) for pattern in (which.train, which.test))
        if train and test:
            train_part, test_part = (_read_files(files, which) for files in (train, test))
            return in_memory(train_part, test_part, _class_names(folder, which))
    for copy in find(asked.data_dir, which.folder, [f"{which.python}/*"]):
        return _through_torchvision(which, copy[0])
    files = f"{which.binary}/{which.train} and {which.test} (the binary version), {which.python} for torchvision,"
    raise DataNotFoundError(not_found(which.title, asked.data_dir, files))


def read_records(file: Path, label_bytes: int, num_classes: int) -> tuple[Tensor, Tensor]:
    """Read a file of records: the label bytes, then 3,072 pixel bytes, red, green and blue plane row by row.

    Args:
        file: the file.
        label_bytes: label bytes of a record, of which the last is the class.
        num_classes: number C of classes.

    Returns:
        uint8 images [N, 3, 32, 32] and int64 labels [N] in [0, C).

    Raises:
        CorruptDataError: the file is empty, ends within a record or holds another label.
    """
    data = bytearray(file.read_bytes())
    size = label_bytes + _PIXELS
    if not data or len(data) % size:
        raise CorruptDataError(f"The file {file} should hold whole records of {size} bytes, but has {len(data)} bytes.")
    records = torch.frombuffer(data, dtype=torch.uint8).view(-1, size)
    labels = records[:, label_bytes - 1].long()
    if int(labels.max()) >= num_classes:
        raise CorruptDataError(f"The file {file} holds the label {int(labels.max())}, not only 0 to {num_classes - 1}.")
    return records[:, label_bytes:].reshape(-1, 3, 32, 32), labels


def _binary_folders(which: _Set, data_dir: str | PathLike[str] | None) -> list[Path]:
    """Return the folders that hold training files of the binary version."""
    copies = find(data_dir, which.folder, [f"{which.binary}/{which.train}", which.train])
    places = [place for copy in copies for home in copy for place in (*glob(home, which.binary), home)]
    return list(dict.fromkeys(places))


def _read_files(files: Sequence[Path], which: _Set) -> tuple[Tensor, Tensor]:
    parts = [read_records(file, which.label_bytes, which.num_classes) for file in files]
    for index, (batch, _) in enumerate(parts):
        for other, (before, _) in enumerate(parts[:index]):
            if torch.equal(batch, before):
                raise CorruptDataError(f"{files[other]} and {files[index]} are the same batch: keep one.")
    images, labels = zip(*parts, strict=True)
    return torch.cat(images), torch.cat(labels)


def _class_names(folder: Path, which: _Set) -> tuple[str, ...]:
    """Return the names in the set's file of them, one a line, or the numbers of the classes where there is none."""
    for file in glob(folder, which.names_file):
        with damage_named(f"The file {file}"), file.open(encoding="utf-8") as opened:
            names = opened.read(2**16).split()
        if len(names) == which.num_classes:
            return tuple(names)
    return tuple(map(str, range(which.num_classes)))


def _through_torchvision(which: _Set, root: Path) -> Source:
    try:
        # Beside a torch built for another device the import ends in a RuntimeError.
        from torchvision import datasets
    except (ImportError, RuntimeError) as error:
        raise MissingPackageError(
            f"The files in {root / which.python} are pickles, which only torchvision reads, and it cannot be imported "
            f"({error}); {which.title} in its binary version ({which.binary}) needs no other package."
        ) from None
    # torchvision unpickles a file only after comparing its md5 sum with the published one, so no other pickle runs.
    dataset = getattr(datasets, which.folder)
    try:
        train, test = (dataset(str(root), train=part, download=False) for part in (True, False))
    except RuntimeError as error:
        raise CorruptDataError(f"torchvision refused {root / which.python} ({error}).") from None
    train_part, test_part = (
        (torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets))
        for part in (train, test)
    )
    return in_memory(train_part, test_part, tuple(train.classes))


for _place, (_name, _set) in enumerate(_SETS.items(), start=110):
    register(
        Description(
            name=_name,
            place=_place,
            num_classes=_set.num_classes,
            num_steps=20,
            spikes="signed Bernoulli rates",
            features=(3, 32, 32),
            needs="the binary version's files",
            read=partial(read, _name),
            encoder=SignedRateEncoder(),
        )
    )
