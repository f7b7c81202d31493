import io
import tarfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from snntorch_binary.data import CorruptDataError, DataNotFoundError, load
from snntorch_binary.data.events import Events
from snntorch_binary.data.frames import bin_events, read_frames
from snntorch_binary.data.sets.nmnist import read_nmnist_events
from snntorch_binary.data.sets.poker_dvs import read_poker_events

DIGITS = (6, 7, 8, 9)


def random_events(size, count=50, seed=0, duration=300_000):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, size, (2, count))
    return x, y, np.sort(rng.integers(0, duration, count)), rng.integers(0, 2, count)


def nmnist_bytes(x, y, t, p):
    columns = [x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255]
    return np.stack(columns, axis=1).astype(np.uint8).tobytes()


def aedat_bytes(x, y, t, p):
    words = np.stack([y << 8 | x << 1 | 1 - p, t], axis=1).astype(">u4")
    return b"#!AER-DAT2.0\r\n# a comment\r\n" + words.tobytes()


def reference(events, num_steps, size):
    """The frames, one event after another."""
    x, y, t, p = events
    frames = np.zeros((num_steps, 2, size, size), np.uint8)
    for column, row, time, polarity in zip(x, y, t, p, strict=True):
        frames[min(int(time) * num_steps // (int(t[-1]) + 1), num_steps - 1), polarity, row, column] = 1
    return frames


@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 1000), st.sampled_from([1, 30, 300_000]))
def test_bins_against_a_loop(num_steps, count, seed, duration):
    x, y, t, p = random_events(5, count, seed, duration)
    frames = bin_events(Events(x, y, t, p), num_steps, 5)
    assert np.array_equal(frames, reference((x, y, t, p), num_steps, 5))
    if t[-1] >= num_steps:
        assert frames[-1].any()  # the last event is in the last bin


def test_the_three_formats_are_read(tmp_path):
    x, y, t, p = events = random_events(34)
    file = tmp_path / "1.bin"
    file.write_bytes(nmnist_bytes(*events))
    read = read_nmnist_events(file)
    for ours, written in zip((read.x, read.y, read.time, read.polarity), events, strict=True):
        assert np.array_equal(ours, written)

    aedat, npy = tmp_path / "xclub01.aedat", tmp_path / "0.npy"
    aedat.write_bytes(aedat_bytes(x, y, t + 10**6, p))
    np.save(npy, np.stack([t, x, y, p], axis=1).astype(np.uint64))
    for file in (aedat, npy):
        read = read_poker_events(file)
        for ours, written in zip((read.x, read.y, read.time, read.polarity), (x, y, t - t[0], p), strict=True):
            assert np.array_equal(ours, written)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("1.bin", nmnist_bytes(*random_events(34))[:-1], "truncated: 249 bytes"),
        ("1.bin", b"", "holds no events"),
        ("1.bin", nmnist_bytes(*random_events(60)), "off the 34×34 sensor"),
        ("1.bin", nmnist_bytes(*random_events(34))[::-1], "corrupt"),
        ("x.aedat", aedat_bytes(*random_events(34))[:-3], "truncated: 397 bytes"),
        ("x.aedat", aedat_bytes(*random_events(34))[:20], "holds no events"),
        ("x.aedat", b"#!AER-DAT3.1\r\n", "no AEDAT-2.0"),
        ("x.aedat", aedat_bytes(*random_events(100)), "off the 34×34 sensor"),
        ("1.npy", b"\x93NUMPY\x01\x00", "truncated or damaged"),
        ("1.npy", b"", "truncated or damaged"),
    ],
)
def test_a_corrupt_file_is_named(tmp_path, name, content, match):
    file = tmp_path / name
    file.write_bytes(content)
    reader = read_nmnist_events if name.endswith("bin") else read_poker_events
    with pytest.raises(CorruptDataError, match=rf"{name} .*{match}|{name} is {match}"):
        read_frames([file], reader, 10, 34)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 4)),
        np.zeros((3, 5), int),
        np.zeros(4, int),
        np.array([[0, 1, 1, 2]]),
        np.array([["a"] * 4]),
    ],
)
def test_an_array_that_is_no_recording_is_named(tmp_path, array):
    np.save(tmp_path / "1.npy", array)
    with pytest.raises(CorruptDataError, match=r"1\.npy"):
        read_frames([tmp_path / "1.npy"], read_poker_events, 10, 34)


def test_pickles_are_not_read(tmp_path):
    np.save(tmp_path / "1.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(CorruptDataError, match="allow_pickle=False"):
        read_poker_events(tmp_path / "1.npy")


def test_frames_come_from_the_cache_only_when_nothing_changed(tmp_path, cache):
    files = []
    for index in range(3):
        files.append(tmp_path / f"{index}.bin")
        files[-1].write_bytes(nmnist_bytes(*random_events(34, seed=index)))
    calls = []

    def reader(file):
        calls.append(file)
        return read_nmnist_events(file)

    def frames(files, num_steps=7):
        before = len(calls)
        result = read_frames(files, reader, num_steps, 34).unpack()
        return result, len(calls) - before

    first, read = frames(files)
    assert read == 3
    again, read = frames(files)
    assert read == 0
    assert torch.equal(first, again)
    assert frames(files, num_steps=8)[1] == 3
    assert frames(files[:2])[1] == 2
    files[1].write_bytes(nmnist_bytes(*random_events(34, seed=9, count=60)))
    changed, read = frames(files)
    assert read == 3
    assert torch.equal(changed[0], first[0])
    assert not torch.equal(changed[1], first[1])
    assert all(file.suffix == ".npy" for file in (cache / "frames").iterdir())


def nmnist_files(tmp_path, count=3):
    files = [tmp_path / f"{index}.bin" for index in range(count)]
    for index, file in enumerate(files):
        file.write_bytes(nmnist_bytes(*random_events(34, seed=index)))
    return files


def save(file, array):
    with file.open("wb") as opened:
        np.save(opened, array, allow_pickle=True)


DAMAGE = {
    "empty": lambda file: file.write_bytes(b""),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "cut in half": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "a byte too many": lambda file: file.write_bytes(file.read_bytes() + b"x"),
    "text": lambda file: file.write_text("no frames"),
    "a bit": lambda file: file.write_bytes(file.read_bytes()[:300] + b"\x5a" + file.read_bytes()[301:]),
    "of before": lambda file: save(file, np.load(file)),
    "another shape": lambda file: save(file, np.zeros((3, 4), np.uint8)),
    "another type": lambda file: save(file, np.load(file).astype(np.int64)),
    "a pickle": lambda file: save(file, np.array([{}], dtype=object)),
    "an archive": lambda file: file.write_bytes(b"PK\5\6" + bytes(18)),
    "a huge shape": lambda file: file.write_bytes(file.read_bytes().replace(b"(3, ", b"(99999999999, ", 1)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_named_and_made_again(tmp_path, cache, caplog, damage):
    files = nmnist_files(tmp_path)
    before = read_frames(files, read_nmnist_events, 7, 34).unpack()
    [kept] = (cache / "frames").iterdir()
    whole = kept.read_bytes()
    DAMAGE[damage](kept)
    assert torch.equal(read_frames(files, read_nmnist_events, 7, 34).unpack(), before)
    assert f"{kept} is damaged" in caplog.text
    assert kept.read_bytes() == whole


def test_the_cache_of_other_files_is_not_taken(tmp_path, cache, caplog):
    """A file of the right shape under another's name."""
    ours, others = nmnist_files(tmp_path), nmnist_files(tmp_path, 4)[1:]
    before = read_frames(ours, read_nmnist_events, 7, 34).unpack()
    [first] = (cache / "frames").iterdir()
    read_frames(others, read_nmnist_events, 7, 34)
    [second] = set((cache / "frames").iterdir()) - {first}
    first.write_bytes(second.read_bytes())
    assert torch.equal(read_frames(ours, read_nmnist_events, 7, 34).unpack(), before)
    assert f"{first} is damaged or was not written here" in caplog.text


def test_two_processes_make_the_cache_at_once(tmp_path, cache, caplog):
    """The other one writes its frames while this one reads events."""
    files = nmnist_files(tmp_path)

    def read(file):
        if file == files[-1]:
            twin.append(read_frames(files, plain, 7, 34).unpack())
        return read_nmnist_events(file)

    def plain(file):
        return read_nmnist_events(file)

    plain.__name__, twin = read.__name__, []
    assert torch.equal(read_frames(files, read, 7, 34).unpack(), twin[0])
    assert torch.equal(read_frames(files, plain, 7, 34).unpack(), twin[0])
    assert len(list((cache / "frames").iterdir())) == 1
    assert caplog.text == ""


@pytest.mark.parametrize("name", ["1.bin", "x.aedat", "1.npy"])
def test_changed_and_cut_recordings_end_in_a_sentence_or_in_frames(tmp_path, name):
    x, y, t, p = random_events(34)
    file, buffer = tmp_path / name, io.BytesIO()
    np.save(buffer, np.stack([t, x, y, p], axis=1).astype(np.uint64))
    data = {"1.bin": nmnist_bytes(x, y, t, p), "x.aedat": aedat_bytes(x, y, t, p), "1.npy": buffer.getvalue()}[name]
    reader = read_nmnist_events if name == "1.bin" else read_poker_events
    rng, said = np.random.default_rng(0), []
    for trial in range(300):
        changed = bytearray(data)
        for _ in range(1 + trial % 3):
            changed[rng.integers(0, 140 if trial % 2 else len(data))] = rng.integers(0, 256)
        file.write_bytes(changed[: rng.integers(0, len(data))] if trial % 4 == 0 else changed)
        try:
            frames = read_frames([file], reader, 5, 35)
        except CorruptDataError as error:
            said.append(str(error))
        else:
            assert frames.shape == (1, 5, 2, 35, 35)
    assert len(said) >= 100
    assert all(sentence.startswith(f"The event file {file} ") and "\n" not in sentence for sentence in said)


@pytest.mark.parametrize("largest", [2**40, 2**63 - 1, 2**64 - 1])
def test_a_time_whose_bin_would_not_fit_is_refused(tmp_path, largest):
    np.save(tmp_path / "1.npy", np.array([[0, 1, 1, 0], [largest, 1, 1, 1]], np.uint64))
    with pytest.raises(CorruptDataError, match=r"1\.npy is corrupt: (it would last|its times go back)"):
        read_frames([tmp_path / "1.npy"], read_poker_events, 10, 34)


def test_an_array_is_no_archive_and_no_more_than_its_file(tmp_path):
    file = tmp_path / "1.npy"
    with file.open("wb") as opened:
        np.savez(opened, np.zeros((3, 4), int))
    with pytest.raises(CorruptDataError, match=r"1\.npy should hold whole numbers"):
        read_poker_events(file)
    np.save(file, np.zeros((3, 4), int))
    file.write_bytes(file.read_bytes().replace(b"(3, 4)", b"(3000000000000, 4)".ljust(6)))
    with pytest.raises(CorruptDataError, match=r"1\.npy is truncated or damaged"):
        read_poker_events(file)


def test_a_capital_suffix_is_the_same_format(tmp_path):
    x, y, t, p = random_events(34)
    np.save(tmp_path / "1.npy", np.stack([t, x, y, p], axis=1).astype(np.uint64))
    (tmp_path / "1.npy").rename(tmp_path / "1.NPY")
    assert read_poker_events(tmp_path / "1.NPY").x.tolist() == x.tolist()


@pytest.fixture
def nmnist_tree(tmp_path):
    """Ten recordings of each of the digits 6 to 9; of 6 and 7 also three for test."""
    home = tmp_path / "user" / "NMNIST"
    for part, digits, count in (("Train", DIGITS, 10), ("Test", (6, 7), 3)):
        for digit in digits:
            folder = home / part / str(digit)
            folder.mkdir(parents=True)
            for number in range(count):
                seed = 100 * digit + number + (50 if part == "Test" else 0)
                (folder / f"{number:05}.bin").write_bytes(nmnist_bytes(*random_events(34, seed=seed)))
    return home


def test_nmnist_splits(nmnist_tree):
    splits = load("nmnist", nmnist_tree.parent, classes=(7, 6))
    assert [part.labels.bincount().tolist() for part in (splits.train, splits.validation, splits.test)] == [
        [9, 9], [1, 1], [3, 3],
    ]  # fmt: skip
    assert splits.class_names == ("7", "6")
    expected = reference(random_events(34, seed=750), 10, 34)
    assert torch.equal(splits.test.inputs[splits.test.labels == 0].unpack()[0], torch.from_numpy(expected))

    # No own test part for 8 and 9: the last fifth by number, and never a test recording in training.
    splits = load("nmnist", nmnist_tree, classes=(8, 9), num_steps=4)
    assert [part.labels.bincount().tolist() for part in (splits.train, splits.validation, splits.test)] == [
        [7, 7], [1, 1], [2, 2],
    ]  # fmt: skip
    for index, number in enumerate((8, 9)):
        expected = torch.from_numpy(reference(random_events(34, seed=800 + number), 4, 34))
        assert torch.equal(splits.test.inputs[splits.test.labels == 0].unpack()[index], expected)

    # A test part that only 6 has stays out of training.
    splits = load("nmnist", nmnist_tree, classes=(6, 8))
    assert splits.train.labels.bincount().tolist() == [7, 7]
    assert splits.test.labels.bincount().tolist() == [2 + 3, 2]

    folds = [load("nmnist", nmnist_tree, classes=(6, 7), num_folds=4, fold=fold) for fold in range(4)]
    assert sum(len(fold.test) for fold in folds) == 26
    seen = torch.cat([fold.test.inputs.unpack() for fold in folds]).flatten(1)
    assert len(seen.unique(dim=0)) == 26


def test_missing_nmnist_is_said(nmnist_tree, tmp_path):
    with pytest.raises(DataNotFoundError, match=r"classes \[6, 7, 8, 9\] only, but \[0, 1, .* were asked for"):
        load("nmnist", nmnist_tree)
    with pytest.raises(DataNotFoundError, match=rf"N-MNIST was not found in {tmp_path}: looked for"):
        load("nmnist", tmp_path, classes=DIGITS)
    with pytest.raises(DataNotFoundError, match=r"POKER-DVS was not found in .*no `data_dir` was given"):
        load("poker-dvs")


def trial(archive, num_steps=10):
    """The binning the measured N-MNIST trials used, straight from the archive."""
    frames = {}
    with tarfile.open(archive) as opened:
        for member in opened:
            if member.name.endswith(".bin"):
                b = np.frombuffer(opened.extractfile(member).read(), np.uint8).reshape(-1, 5).astype(np.int64)
                x, y, p, us = b[:, 0], b[:, 1], b[:, 2] >> 7, (b[:, 2] & 127) << 16 | b[:, 3] << 8 | b[:, 4]
                frame = np.zeros((num_steps, 2, 34, 34), np.uint8)
                frame[np.minimum(us * num_steps // (us.max() + 1), num_steps - 1), p, y, x] = 1
                frames[member.name] = frame
    return frames


@pytest.mark.slow
def test_the_real_nmnist_has_the_frames_of_the_trials(real_data, shared_cache):
    frames = trial(real_data / "NMNIST" / "nmnist_train1000_test100.tar.xz")
    splits = load("nmnist", real_data)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [900, 100, 100]
    for names, inputs in (
        ([n for n in frames if "/Test/" in n], splits.test.inputs.unpack()),
        (
            [n for n in frames if "/Train/" in n],
            torch.cat([p.inputs.unpack() for p in (splits.train, splits.validation)]),
        ),
    ):
        expected = sorted(frames[name].tobytes() for name in names)
        assert sorted(example.numpy().tobytes() for example in inputs) == expected
    for label in range(10):
        ordered = [frames[name] for name in sorted(frames) if f"/Test/{label}/" in name]
        assert np.array_equal(splits.test.inputs[splits.test.labels == label].unpack().numpy(), np.stack(ordered))

    spikes, _ = splits.test.__getitems__([3, 50])
    assert torch.equal(spikes[:, 1], splits.test.inputs[[50]].unpack()[0].float())
    cached = set((shared_cache / "frames").iterdir())
    pool = [load("nmnist", real_data, num_folds=5, fold=fold) for fold in range(5)]
    assert [len(p.train) + len(p.validation) + len(p.test) for p in pool] == [1100] * 5
    assert set((shared_cache / "frames").iterdir()) == cached  # all folds share the frames of the whole set


@pytest.mark.slow
def test_the_real_digits_6_to_9_are_split_800_200(real_data, shared_cache):
    splits = load("nmnist", real_data, classes=DIGITS)
    assert [part.labels.bincount().tolist() for part in (splits.train, splits.validation, splits.test)] == [
        [720] * 4, [80] * 4, [200] * 4,
    ]  # fmt: skip
    few = load("nmnist", real_data / "NMNIST", classes=DIGITS, limit_per_class=2)
    assert [len(part) for part in (few.train, few.validation, few.test)] == [8, 8, 8]
    for label in range(4):
        assert torch.equal(
            few.test.inputs[few.test.labels == label].bits, splits.test.inputs[splits.test.labels == label].bits[:2]
        )


def test_the_real_poker_dvs_recordings_agree_in_both_formats(real_data, shared_cache):
    splits = load("poker-dvs", real_data)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [44, 4, 20]
    assert splits.input_shape == (2, 35, 35)
    folds = [load("poker-dvs", real_data, num_folds=5, fold=fold) for fold in range(5)]
    assert sum(fold.test.labels.bincount() for fold in folds).tolist() == [30, 23, 43, 35]

    def keyed(*datasets):
        return {
            (x.numpy().tobytes(), int(y)) for d in datasets for x, y in zip(d.inputs.unpack(), d.labels, strict=True)
        }

    originals = keyed(*(fold.test for fold in folds))
    distributed = keyed(splits.train, splits.validation, splits.test)
    assert len(distributed) == 68
    assert distributed <= originals  # the 68 files of Tonic are among the 131 originals, event for event
