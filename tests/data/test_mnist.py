import gzip
import hashlib
import zlib
from dataclasses import replace

import pytest
import torch

from snntorch_binary.data import CorruptDataError, DataNotFoundError, load
from snntorch_binary.data.sets import mnist

NAMES = mnist._FILES


def idx(array):
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return b"\0\0\x08" + bytes([array.ndim]) + sizes + bytes(array.flatten().tolist())


@pytest.fixture
def arrays():
    generator = torch.Generator().manual_seed(0)
    parts = []
    for size in (240, 40):
        parts.append(torch.randint(0, 256, (size, 28, 28), dtype=torch.uint8, generator=generator))
        parts.append((torch.arange(size) % 10).to(torch.uint8))
    return dict(zip(NAMES, parts, strict=True))


def write(folder, arrays, packed=True):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        data = idx(array)
        (folder / f"{name}.gz").write_bytes(gzip.compress(data)) if packed else (folder / name).write_bytes(data)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", ["MNIST/raw", "raw", "."])
def test_the_files_are_read_where_they_are(tmp_path, arrays, packed, place):
    write(tmp_path / "d" / place, arrays, packed)
    splits = load("mnist", tmp_path / "d")
    assert torch.equal(splits.test.inputs, arrays[NAMES[2]].flatten(1))
    assert torch.equal(splits.test.labels, arrays[NAMES[3]].long())
    seen = torch.cat([splits.train.inputs, splits.validation.inputs])
    assert (len(splits.train), len(splits.validation)) == (220, 20)
    assert sorted(seen.tolist()) == sorted(arrays[NAMES[0]].flatten(1).tolist())


def test_the_other_set_is_not_taken_for_this_one(tmp_path, arrays, monkeypatch):
    write(tmp_path, arrays)
    labels = hashlib.md5(bytes(arrays[NAMES[1]].tolist())).hexdigest()
    fashion = replace(mnist._SETS["fashion-mnist"], labels_md5=(labels,))
    monkeypatch.setitem(mnist._SETS, "fashion-mnist", fashion)
    assert len(load("fashion-mnist", tmp_path).test) == 40
    with pytest.raises(DataNotFoundError, match=r"^MNIST was not found"):
        load("mnist", tmp_path)


@pytest.mark.parametrize("prefix", ["", "notmnist_"])
@pytest.mark.parametrize("place", ["notMNIST", "notMNIST/raw", "."])
def test_letters_of_test_files_alone(tmp_path, arrays, place, prefix):
    """A fifth of each class tests, the rest is the training part and its validation."""
    write(tmp_path / "d" / place, {prefix + name: arrays[name] for name in NAMES[2:]})
    splits = load("notmnist", tmp_path / "d")
    assert splits.class_names == tuple("ABCDEFGHIJ")
    assert [splits.test.labels.tolist().count(label) for label in range(10)] == [1] * 10
    parts = [splits.train, splits.validation, splits.test]
    seen = torch.cat([part.inputs for part in parts])
    assert sorted(seen.tolist()) == sorted(arrays[NAMES[2]].flatten(1).tolist())
    again = load("notmnist", tmp_path / "d", seed=1)
    assert torch.equal(again.test.inputs, splits.test.inputs)


def test_letters_with_training_files(tmp_path, arrays):
    write(tmp_path, arrays)
    splits = load("notmnist", tmp_path)
    assert torch.equal(splits.test.inputs, arrays[NAMES[2]].flatten(1))
    assert len(splits.train) + len(splits.validation) == 240


def test_digits_are_not_taken_for_letters(tmp_path, arrays, monkeypatch):
    """The test files of MNIST lie in the folder that is named, and are called the same."""
    write(tmp_path, {name: arrays[name] for name in NAMES[2:]})
    labels = hashlib.md5(bytes(arrays[NAMES[3]].tolist())).hexdigest()
    monkeypatch.setitem(mnist._SETS, "mnist", replace(mnist._SETS["mnist"], labels_md5=("", labels)))
    with pytest.raises(DataNotFoundError, match=r"^notMNIST was not found in .*: looked for t10k.*of these\.$"):
        load("notmnist", tmp_path)


def test_an_incomplete_set_is_not_found(tmp_path, arrays):
    write(tmp_path, arrays)
    (tmp_path / f"{NAMES[3]}.gz").unlink()
    with pytest.raises(DataNotFoundError, match=f"in {tmp_path}: looked for .*{NAMES[3]}.*download=True"):
        load("mnist", tmp_path)
    with pytest.raises(DataNotFoundError, match="no `data_dir` was given"):
        load("mnist")


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda data: gzip.compress(data)[:-20], "truncated or damaged"),
        (lambda data: gzip.compress(data[:-1]), "should hold 31360 bytes after its header, but has 31359"),
        (lambda data: gzip.compress(data + b"x"), "but has 31361"),
        (lambda data: gzip.compress(b"\0\0\x0d" + data[3:]), "no idx file"),
        (lambda data: gzip.compress(data[:9]), "no idx file"),
        (lambda data: gzip.compress(b""), "no idx file"),
        (lambda data: data, "truncated or damaged"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, arrays, damage, match):
    write(tmp_path, arrays)
    file = tmp_path / f"{NAMES[2]}.gz"
    file.write_bytes(damage(idx(arrays[NAMES[2]])))
    with pytest.raises(CorruptDataError, match=f"{file.name}.*{match}"):
        load("mnist", tmp_path)


@pytest.mark.parametrize("name", [NAMES[1], NAMES[3]])
def test_a_label_that_the_set_does_not_have_is_refused(tmp_path, arrays, name):
    arrays[name][7] = 10
    write(tmp_path, arrays)
    with pytest.raises(CorruptDataError, match="hold the label 10, not only 0 to 9"):
        load("mnist", tmp_path)


def test_training_and_test_images_have_one_size(tmp_path, arrays):
    arrays[NAMES[2]] = arrays[NAMES[2]][:, :, 1:]
    write(tmp_path, arrays)
    with pytest.raises(CorruptDataError, match="have different sizes"):
        load("mnist", tmp_path)


@pytest.mark.slow
def test_a_file_that_unpacks_to_gigabytes_is_refused(tmp_path, arrays):
    write(tmp_path, arrays)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = [packer.compress(idx(torch.empty(0)) + bytes(2**20)) for _ in range(80)]
    (tmp_path / f"{NAMES[0]}.gz").write_bytes(b"".join([*zeros, packer.flush()]))
    with pytest.raises(CorruptDataError, match=f"{NAMES[0]}.gz was refused: it unpacks to more than .* bytes"):
        load("mnist", tmp_path)


@pytest.mark.parametrize("shape", [(2**32 - 1,) * 8, (2**32 - 1, 28, 28), (0, 28, 28)])
def test_a_header_that_promises_more_than_there_is(tmp_path, arrays, shape):
    write(tmp_path, arrays)
    header = b"\0\0\x08" + bytes([len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
    (tmp_path / f"{NAMES[0]}.gz").write_bytes(gzip.compress(header + bytes(999)))
    with pytest.raises(CorruptDataError, match=r"should hold .* bytes after its header, but has 999"):
        load("mnist", tmp_path)


def test_images_and_labels_must_fit(tmp_path, arrays):
    arrays[NAMES[3]] = arrays[NAMES[3]][:-1]
    write(tmp_path, arrays)
    with pytest.raises(CorruptDataError, match=r"t10k-\* do not fit"):
        load("mnist", tmp_path)


@pytest.fixture
def mirror(tmp_path, arrays, monkeypatch):
    folder = tmp_path / "mirror"
    write(folder, arrays)
    sums = tuple(hashlib.md5((folder / f"{name}.gz").read_bytes()).hexdigest() for name in NAMES)
    mirrors = ((tmp_path / "gone").as_uri() + "/", folder.as_uri() + "/")
    monkeypatch.setitem(mnist._SETS, "mnist", replace(mnist._SETS["mnist"], mirrors=mirrors, md5=sums))
    return folder


def test_download_goes_into_the_cache_and_is_found_again(tmp_path, cache, arrays, mirror):
    user = tmp_path / "user"
    user.mkdir()
    splits = load("mnist", user, download=True)
    assert torch.equal(splits.test.inputs, arrays[NAMES[2]].flatten(1))
    assert list(user.iterdir()) == []
    assert sorted(file.name for file in (cache / "MNIST" / "raw").iterdir()) == sorted(f"{n}.gz" for n in NAMES)
    for file in mirror.iterdir():
        file.unlink()
    assert len(load("mnist", download=True).test) == 40
    assert len(load("mnist").test) == 40
    with pytest.raises(DataNotFoundError):
        load("mnist", user)


def test_a_download_that_was_cut_goes_on_and_a_wrong_file_is_refused(cache, mirror):
    bad = mirror / f"{NAMES[2]}.gz"
    good = bad.read_bytes()
    bad.write_bytes(good[:-1])
    with pytest.raises(DataNotFoundError, match=f"download failed .*gone.*{bad.name}: its md5 sum is not"):
        load("mnist", download=True)
    assert sorted(file.name for file in (cache / "MNIST" / "raw").iterdir()) == [f"{n}.gz" for n in sorted(NAMES[:2])]
    bad.write_bytes(good)
    assert len(load("mnist", download=True).test) == 40


@pytest.mark.slow
@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_the_real_set(real_data, name, folder):
    splits = load(name, real_data)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [55_000, 5_000, 10_000]
    counts = (splits.train.labels.bincount() + splits.validation.labels.bincount()).tolist()
    if name == "mnist":
        assert counts == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    else:
        assert counts == [6000] * 10
    assert splits.input_shape == (784,)
    own = load(name, real_data / folder, limit_per_class=3)
    assert torch.equal(own.test.inputs[own.test.labels == 4], splits.test.inputs[splits.test.labels == 4][:3])
    for data, published in zip(NAMES, mnist._SETS[name].md5, strict=True):
        file = real_data / folder / "raw" / f"{data}.gz"
        assert hashlib.md5(file.read_bytes()).hexdigest() == published
    other = "fashion-mnist" if name == "mnist" else "mnist"
    with pytest.raises(DataNotFoundError):
        load(other, real_data / folder)
