"""Sets under the names that their pages, other systems and users give them, and what a desktop leaves beside them."""

import io
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from snntorch_binary.data import CorruptDataError, DataNotFoundError, load
from snntorch_binary.data.folders import find

PATTERNS = ("Train/[0-9]", "Test/[0-9]")
SIDECAR = b"\x00\x05\x16\x07" + bytes(4092)


def nmnist_bytes(seed):
    rng = np.random.default_rng(seed)
    x, y, p = rng.integers(0, 34, 60), rng.integers(0, 34, 60), rng.integers(0, 2, 60)
    t = np.sort(rng.integers(0, 300_000, 60))
    return np.stack([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255], axis=1).astype(np.uint8).tobytes()


def recordings(part, seed=0, suffix="bin"):
    return {
        f"{part}/{digit}/{number:05}.{suffix}": nmnist_bytes(1000 * seed + 10 * digit + number)
        for digit in (6, 7)
        for number in range(6)
    }


TRAIN, TEST = recordings("Train"), recordings("Test", seed=1)


def write_zip(file, members):
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def write_tar(file, members):
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def write_folder(folder, members):
    for name, content in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def with_sidecars(members):
    beside = {}
    for name in members:
        folder, _, file = name.rpartition("/")
        beside |= {f"{folder}/._{file}": SIDECAR, f"{folder}/.DS_Store": b"x", f"__MACOSX/{folder}/._{file}": SIDECAR}
    return {**members, **beside}


def summary(splits):
    parts = (splits.train, splits.validation, splits.test)
    return [(part.labels.tolist(), part.inputs.bits.tolist()) for part in parts]


@pytest.fixture
def user(tmp_path):
    folder = tmp_path / "user"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The splits of the plain folder."""
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    folder = tmp_path_factory.mktemp("plain") / "NMNIST"
    write_folder(folder, TRAIN | TEST)
    splits = load("nmnist", folder, classes=(6, 7), num_steps=4)
    patch.undo()
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [10, 2, 12]
    return summary(splits)


def lowered(members):
    return {name.lower(): content for name, content in members.items()}


def below(top, members):
    return {f"{top}/{name}": content for name, content in members.items()}


LAYOUTS = {
    "as on its page": lambda d: (write_zip(d / "Train.zip", TRAIN), write_zip(d / "Test.zip", TEST)),
    "lower case": lambda d: (write_zip(d / "train.zip", TRAIN), write_zip(d / "test.zip", TEST)),
    "upper case": lambda d: (write_zip(d / "TRAIN.ZIP", TRAIN), write_zip(d / "TEST.ZIP", TEST)),
    "with a name": lambda d: (write_zip(d / "N-MNIST-Train.zip", TRAIN), write_zip(d / "N-MNIST-Test.zip", TEST)),
    "with the word first": lambda d: (write_zip(d / "train_n.zip", TRAIN), write_zip(d / "test_n.zip", TEST)),
    "fetched twice": lambda d: (write_zip(d / "Train (1).zip", TRAIN), write_zip(d / "Test.zip", TEST)),
    "of two kinds": lambda d: (write_zip(d / "Train.zip", TRAIN), write_tar(d / "Test.tar.gz", TEST)),
    "names of their own": lambda d: (write_zip(d / "a.zip", TRAIN), write_zip(d / "b.zip", TEST)),
    "a folder around each": lambda d: (
        write_zip(d / "Train.zip", below("Train set", TRAIN)),
        write_zip(d / "Test.zip", below("Test set", TEST)),
    ),
    "in its folder": lambda d: (write_zip(d / "NMNIST/Train.zip", TRAIN), write_zip(d / "NMNIST/Test.zip", TEST)),
    "in a folder with a dash": lambda d: write_folder(d / "N-MNIST", TRAIN | TEST),
    "in a folder of another case": lambda d: write_folder(d / "n_mnist", TRAIN | TEST),
    "folders of lower case": lambda d: write_folder(d, lowered(TRAIN | TEST)),
    "folders of upper case": lambda d: write_folder(
        d, {name.upper(): content for name, content in (TRAIN | TEST).items()}
    ),
    "one archive, lower case": lambda d: write_zip(d / "n.zip", lowered(TRAIN | TEST)),
    "one half unpacked": lambda d: (write_folder(d / "NMNIST", TRAIN), write_zip(d / "NMNIST/Test.zip", TEST)),
    "the other half unpacked": lambda d: (write_zip(d / "Train.zip", TRAIN), write_folder(d / "NMNIST", TEST)),
    "halves in two places": lambda d: (write_folder(d / "NMNIST", TRAIN), write_folder(d, TEST)),
    "sidecars in folders": lambda d: write_folder(d, with_sidecars(TRAIN | TEST)),
    "sidecars in zips": lambda d: (
        write_zip(d / "Train.zip", with_sidecars(TRAIN)),
        write_zip(d / "Test.zip", with_sidecars(TEST)),
        write_folder(d, {"._Train.zip": SIDECAR, "._Test.zip": SIDECAR, ".DS_Store": b"x"}),
    ),
    "sidecars in a tar": lambda d: write_tar(d / "n.tar.gz", with_sidecars(TRAIN | TEST)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nmnist_is_the_same_under_any_name(user, expected, caplog, layout):
    LAYOUTS[layout](user)
    assert summary(load("nmnist", user, classes=(6, 7), num_steps=4)) == expected
    assert caplog.text == ""


def test_a_half_without_the_other_is_said(user, caplog):
    write_zip(user / "Train.zip", TRAIN)
    splits = load("nmnist", user, classes=(6, 7), num_steps=4)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [8, 2, 2]
    assert "have no test part of the classes [6, 7]: a fifth of the training examples" in caplog.text
    caplog.clear()
    load("nmnist", user, classes=(6, 7), num_steps=4, num_folds=2)
    assert caplog.text == ""  # folds need none
    (user / "Train.zip").unlink()
    write_zip(user / "Test.zip", TEST)
    with pytest.raises(DataNotFoundError, match=r"training examples of the classes \[\] only"):
        load("nmnist", user, classes=(6, 7), num_steps=4)


def test_halves_that_cannot_be_told_apart_are_refused(user):
    for name, members in (("a.zip", TRAIN), ("b.zip", TRAIN), ("c.zip", TEST)):
        write_zip(user / name, members)
    with pytest.raises(CorruptDataError, match=r"cannot be told: .*a\.zip, .*b\.zip hold training parts and .*c\.zip"):
        load("nmnist", user, classes=(6, 7))


def test_a_half_that_is_there_twice_is_refused(user):
    write_zip(user / "Train.zip", TRAIN)
    write_tar(user / "train.tar.gz", TRAIN)
    write_zip(user / "Test.zip", TEST)
    with pytest.raises(CorruptDataError, match=r"Train\.zip and .*train\.tar\.gz are the same half"):
        load("nmnist", user, classes=(6, 7))


def test_a_recording_that_is_there_twice_is_refused(user):
    write_folder(user, TRAIN | TEST | {"train/6/00001.bin": b"x" * 5})
    with pytest.raises(CorruptDataError, match=r"00001\.bin and .*00001\.bin are the same recording"):
        load("nmnist", user, classes=(6, 7))


def test_two_whole_copies_stay_two(user):
    write_zip(user / "a.zip", TRAIN | TEST)
    write_tar(user / "a.tar.gz", TRAIN | TEST)
    assert [len(copy) for copy in find(user, "NMNIST", PATTERNS)] == [1, 1]


def poker(part, suffix="npy"):
    rng = np.random.default_rng(len(part))
    members = {}
    for suit in ("cl", "he", "di", "sp"):
        for number in range(5):
            buffer = io.BytesIO()
            columns = np.sort(rng.integers(0, 9000, 40)), *rng.integers(0, 35, (2, 40)), rng.integers(0, 2, 40)
            np.save(buffer, np.stack(columns, axis=1).astype(np.uint64))
            members[f"{part}/{suit}/{number}.{suffix}"] = buffer.getvalue()
    return members


@pytest.mark.parametrize("change", [dict, with_sidecars, lambda m: {k.upper(): v for k, v in m.items()}])
def test_poker_dvs(user, caplog, change):
    write_tar(user / "Pips_Train.tar.gz", change(poker("pips_train")))
    write_tar(user / "Pips_Test.tar.gz", change(poker("pips_test")))
    splits = load("poker-dvs", user, num_steps=3)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [16, 4, 20]
    assert caplog.text == ""


def aedat(seed):
    rng = np.random.default_rng(seed)
    words = [rng.integers(50, 70, 40) << 8 | rng.integers(50, 70, 40) << 1, np.sort(rng.integers(0, 10**6, 40))]
    return b"#!AER-DAT2.0\r\n" + np.stack(words, axis=1).astype(">u4").tobytes()


@pytest.mark.parametrize("change", [dict, with_sidecars, lambda m: {k.upper(): v for k, v in m.items()}])
@pytest.mark.parametrize("folder", ["MNIST_DVS", "mnist-dvs"])
def test_mnist_dvs(user, change, folder):
    members = {
        f"scale4/mnist_{digit}_scale04_{number:04}.aedat": aedat(10 * digit + number)
        for digit in (0, 1)
        for number in range(1, 5)
    }
    write_folder(user / folder, change(members))
    splits = load("mnist-dvs", user, classes=(0, 1), num_steps=8)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [4, 2, 2]


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape) + array.tobytes()


def mnist(dot=False):
    rng = np.random.default_rng(0)
    members = {}
    for part, count in (("train", 60), ("t10k", 20)):
        mark = "." if dot else "-"
        members[f"{part}-images{mark}idx3-ubyte"] = idx(rng.integers(0, 256, (count, 4, 4), dtype=np.uint8))
        members[f"{part}-labels{mark}idx1-ubyte"] = idx((np.arange(count) % 10).astype(np.uint8))
    return members


@pytest.mark.parametrize("folder", ["MNIST/raw", "mnist/RAW", "Mnist", ""])
@pytest.mark.parametrize("dot", [False, True])
@pytest.mark.parametrize("change", [dict, with_sidecars, lambda m: {k.upper(): v for k, v in m.items()}])
def test_mnist(user, folder, dot, change):
    write_folder(user / folder, change(mnist(dot)))
    splits = load("mnist", user)
    assert splits.test.labels.tolist() == [*range(10), *range(10)]
    assert torch.equal(splits.test.inputs.flatten(), torch.tensor(list(mnist()["t10k-images-idx3-ubyte"][16:])).byte())


def test_mnist_in_a_zip_of_a_mac(user):
    write_zip(user / "archive.zip", with_sidecars(below("MNIST/raw", mnist())))
    assert len(load("mnist", user).test) == 20


def cifar():
    rng = np.random.default_rng(0)

    def records(count):
        table = rng.integers(0, 256, (count, 3073), dtype=np.uint8)
        table[:, 0] = np.arange(count) % 10
        return table.tobytes()

    return {"data_batch_1.bin": records(40), "data_batch_2.bin": records(40), "test_batch.bin": records(20)}


@pytest.mark.parametrize("folder", ["cifar-10-batches-bin", "CIFAR-10/CIFAR-10-batches-bin", "Cifar_10"])
@pytest.mark.parametrize("change", [dict, with_sidecars, lambda m: {k.upper(): v for k, v in m.items()}])
def test_cifar(user, folder, change):
    write_folder(user / folder, change(cifar()))
    splits = load("cifar10", user)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [70, 10, 20]
