"""CIFAR in its binary layout, in archives of it, and through torchvision where only that can read the files."""

import sys
import tarfile
import types

import numpy as np
import pytest
import torch

from snntorch_binary._errors import MissingPackageError
from snntorch_binary.data import CorruptDataError, DataNotFoundError, DirectEncoder, load
from snntorch_binary.data.sets.cifar import read_records


def records(size, num_classes, label_bytes=1, seed=0):
    """Records whose classes go round, with a first label of 255 where there are two."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (size, 3072), dtype=torch.uint8, generator=generator)
    labels = torch.full((size, label_bytes), 255, dtype=torch.uint8)
    labels[:, -1] = (torch.arange(size) % num_classes).to(torch.uint8)
    return torch.cat([labels, pixels], dim=1)


def write(file, table):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(table.numpy().tobytes())


@pytest.fixture
def tables():
    return [records(60, 10, seed=seed) for seed in range(3)]  # two training batches, one for the test


def write_cifar10(folder, tables):
    write(folder / "data_batch_1.bin", tables[0])
    write(folder / "data_batch_2.bin", tables[1])
    write(folder / "test_batch.bin", tables[2])
    (folder / "batches.meta.txt").write_text("\n".join("abcdefghij") + "\n\n")


@pytest.mark.parametrize("place", ["CIFAR10/cifar-10-batches-bin", "cifar-10-batches-bin", "CIFAR10", "."])
def test_the_files_are_read_where_they_are(tmp_path, tables, place):
    write_cifar10(tmp_path / "d" / place, tables)
    splits = load("cifar10", tmp_path / "d", num_steps=4)
    assert torch.equal(splits.test.inputs, tables[2][:, 1:].view(-1, 3, 32, 32))
    assert torch.equal(splits.test.labels, tables[2][:, 0].long())
    assert (len(splits.train), len(splits.validation)) == (110, 10)
    seen = torch.cat([splits.train.inputs, splits.validation.inputs]).flatten(1)
    assert sorted(seen.tolist()) == sorted(torch.cat(tables[:2])[:, 1:].tolist())
    assert (splits.num_classes, splits.input_shape, splits.class_names) == (10, (3, 32, 32), tuple("abcdefghij"))
    spikes, _ = splits.train.__getitems__([0, 1])
    assert spikes.shape == (4, 2, 3, 32, 32)
    assert set(spikes.unique().tolist()) == {-1.0, 0.0, 1.0}


@pytest.mark.parametrize("suffix", ["gz", "xz"])
def test_an_archive_is_unpacked_into_the_cache(tmp_path, cache, tables, suffix):
    write_cifar10(tmp_path / "there" / "cifar-10-batches-bin", tables)
    user = tmp_path / "user"
    user.mkdir()
    with tarfile.open(user / f"cifar-10-binary.tar.{suffix}", f"w:{suffix}") as archive:
        archive.add(tmp_path / "there" / "cifar-10-batches-bin", "cifar-10-batches-bin")
    assert torch.equal(load("cifar10", user).test.inputs, tables[2][:, 1:].view(-1, 3, 32, 32))
    assert [file.name for file in user.iterdir()] == [f"cifar-10-binary.tar.{suffix}"]


def test_cifar100_has_the_fine_labels(tmp_path):
    train, test = (records(400, 100, label_bytes=2, seed=seed) for seed in range(2))
    folder = tmp_path / "cifar-100-binary"
    write(folder / "train.bin", train)
    write(folder / "test.bin", test)
    splits = load("cifar100", tmp_path, encoder=DirectEncoder(), num_steps=1)
    assert (splits.num_classes, splits.class_names[99]) == (100, "99")
    assert torch.equal(splits.test.labels, torch.arange(400) % 100)
    assert torch.equal(splits.test[3][0][0], 2 * (test[3, 2:].view(3, 32, 32) / 255) - 1)
    (folder / "fine_label_names.txt").write_text("\n".join(f"n{i}" for i in range(100)))
    assert load("cifar100", tmp_path).class_names[99] == "n99"


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda table: table.numpy().tobytes()[:-1], "whole records of 3073 bytes, but has 184379 bytes"),
        (lambda table: b"", "but has 0 bytes"),
        (lambda table: b"\x0a" + table.numpy().tobytes()[1:], "the label 10, not only 0 to 9"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, tables, damage, match):
    write_cifar10(tmp_path, tables)
    (tmp_path / "data_batch_2.bin").write_bytes(damage(tables[1]))
    with pytest.raises(CorruptDataError, match=f"data_batch_2.bin .*{match}"):
        load("cifar10", tmp_path)


def test_a_batch_that_is_there_twice_is_refused(tmp_path, tables):
    """As a second download leaves it: its images would be trained on and validated with."""
    write_cifar10(tmp_path, tables)
    write(tmp_path / "data_batch_1 (1).bin", tables[0])
    with pytest.raises(CorruptDataError, match=r"data_batch_1 \(1\)\.bin and .*data_batch_1\.bin are the same batch"):
        load("cifar10", tmp_path)


def test_names_that_are_no_text_are_named(tmp_path, tables):
    write_cifar10(tmp_path, tables)
    (tmp_path / "batches.meta.txt").write_bytes(b"\xff\xfe\0")
    with pytest.raises(CorruptDataError, match=r"batches\.meta\.txt is truncated or damaged"):
        load("cifar10", tmp_path)


def test_a_set_without_a_test_part_is_not_found(tmp_path, tables):
    write_cifar10(tmp_path, tables)
    (tmp_path / "test_batch.bin").unlink()
    with pytest.raises(DataNotFoundError, match=r"CIFAR-10 was not found in .*data_batch_\*\.bin and test_batch"):
        load("cifar10", tmp_path)
    with pytest.raises(DataNotFoundError, match="CIFAR-100 was not found"):
        load("cifar100", tmp_path)


def write_pickles(folder):
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(b"a pickle")


@pytest.mark.parametrize("error", [ImportError("No module named 'torchvision'"), RuntimeError("torchvision::nms")])
def test_pickled_files_without_torchvision_get_one_sentence(tmp_path, monkeypatch, error):
    class Absent:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] == "torchvision":
                raise error

    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    write_pickles(tmp_path / "cifar-10-batches-py")
    with pytest.raises(
        MissingPackageError, match=f"pickles, which only torchvision reads.*{error}.*cifar-10-batches-bin"
    ):
        load("cifar10", tmp_path)


def test_pickled_files_are_read_by_torchvision(tmp_path, monkeypatch):
    """With a stand-in for torchvision, whose wheels fit one torch only."""

    class CIFAR10:
        classes = tuple("abcdefghij")

        def __init__(self, root, train, download):
            if root != str(tmp_path) or download:
                raise RuntimeError("Dataset not found or corrupted.")
            self.data = np.random.default_rng(int(train)).integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
            self.targets = [i % 10 for i in range(60)]

    torchvision = types.ModuleType("torchvision")
    torchvision.datasets = types.SimpleNamespace(CIFAR10=CIFAR10)
    monkeypatch.setitem(sys.modules, "torchvision", torchvision)
    write_pickles(tmp_path / "cifar-10-batches-py")
    splits = load("cifar10", tmp_path)
    assert splits.class_names == tuple("abcdefghij")
    pixels = torch.from_numpy(CIFAR10(str(tmp_path), False, False).data)
    assert torch.equal(splits.test.inputs[7, 2], pixels[7, :, :, 2])

    (tmp_path / "cifar-10-batches-py").rename(tmp_path / "CIFAR10")
    write_pickles(tmp_path / "CIFAR10" / "cifar-10-batches-py")
    with pytest.raises(CorruptDataError, match=r"torchvision refused .*Dataset not found or corrupted"):
        load("cifar10", tmp_path)


@pytest.mark.slow
def test_the_real_subset(real_data, shared_cache):
    splits = load("cifar10", real_data)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [9001, 999, 1000]
    assert splits.test.labels.bincount().tolist() == [103, 89, 100, 103, 90, 86, 112, 102, 106, 109]
    assert splits.class_names[:2] == ("airplane", "automobile")
    folder = next(shared_cache.glob("archives/cifar10_subset-*")) / "cifar-10-batches-bin"
    images, labels = read_records(folder / "data_batch_1.bin", 1, 10)
    assert labels[:5].tolist() == [6, 9, 9, 4, 1]
    # The published means and deviations are those of all 50,000.
    values = images.float() / 255
    assert torch.allclose(values.mean((0, 2, 3)), torch.tensor([0.4914, 0.4822, 0.4465]), atol=5e-3)
    assert torch.allclose(values.std((0, 2, 3)), torch.tensor([0.2470, 0.2435, 0.2616]), atol=5e-3)
