import shutil
import tarfile
import zipfile

import numpy as np
import pytest
import tonic
import torch

from snntorch_binary.data import MNISTDVS, CorruptDataError, DataNotFoundError, load

HEADER = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n"
WINDOWS = {4: (48, 26), 8: (35, 52), 16: (9, 104)}


def random_recording(seed=0, count=400, duration=2_200_000):
    """Columns, rows, times from 0 on and polarities of the whole sensor; the digit is in the middle."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(63.5, 12, (2, count)).round().astype(int).clip(0, 127)
    time = np.sort(rng.integers(0, duration, count))
    return x, y, time - time[0], rng.integers(0, 2, count)


def aedat(x, y, time, polarity, start=0):
    words = np.stack([y << 8 | x << 1 | 1 - polarity, (time + start) % 2**32], axis=1)
    return HEADER + words.astype(">u4").tobytes()


def window(recording, scale=4):
    """The events of the window, one after another."""
    first, size = WINDOWS[scale]
    for column, row, time, polarity in zip(*recording, strict=True):
        x, y = 127 - column - first, row - first
        if 0 <= x < size and 0 <= y < size:
            yield x, y, time, polarity


def frames_by_hand(recording, num_steps=400, dt=5000, scale=4):
    size = WINDOWS[scale][1]
    frames = np.zeros((num_steps, 2, size, size), np.uint8)
    for x, y, time, polarity in window(recording, scale):
        if time < num_steps * dt:
            frames[time // dt, polarity, y, x] = 1
    return torch.from_numpy(frames)


def name(digit, number, scale=4):
    return f"mnist_{digit}_scale{scale:02}_{number:04}.aedat"


def write(folder, digits, numbers, scale=4):
    folder.mkdir(parents=True, exist_ok=True)
    for digit in digits:
        for number in numbers:
            (folder / name(digit, number, scale)).write_bytes(aedat(*random_recording(1000 * digit + number)))


@pytest.mark.parametrize("start", [0, 123_456, 2**32 - 500_000, 2**31 - 500_000])
@pytest.mark.parametrize("scale", [4, 8, 16])
def test_events_of_the_window_from_any_start_of_the_clock(tmp_path, scale, start):
    recording = random_recording()
    (tmp_path / name(7, 1, scale)).write_bytes(aedat(*recording, start=start))
    dataset = MNISTDVS(tmp_path, scale=scale)
    events, label = dataset[0]
    assert (len(dataset), label) == (1, 7)
    assert dataset.sensor_size == (WINDOWS[scale][1],) * 2 + (2,)
    assert events.dtype.names == ("x", "y", "t", "p")
    assert [tuple(map(int, event)) for event in events] == [
        tuple(map(int, event)) for event in window(recording, scale)
    ]
    assert torch.equal(dataset.frames().unpack()[0], frames_by_hand(recording, scale=scale))


def test_bins_have_the_length_asked_for(tmp_path):
    write(tmp_path, [1, 2], range(1, 3))
    dataset = MNISTDVS(tmp_path, train=None)
    assert dataset.frames().shape == (4, 400, 2, 26, 26)
    for dt, duration, num_steps in ((25.0, 1000.0, 40), (0.5, 50.0, 100), (3.0, 3000.0, 1000)):
        frames = dataset.frames([3, 0], dt=dt, duration=duration).unpack()
        expected = [frames_by_hand(random_recording(seed), num_steps, int(1000 * dt)) for seed in (2002, 1001)]
        assert torch.equal(frames, torch.stack(expected))
    assert torch.equal(
        dataset.frames([3, 0], dt=25, duration=1000).unpack()[1], frames_by_hand(random_recording(1001), 40, 25_000)
    )


def test_tonic_transforms_fit(tmp_path):
    x, y, time, polarity = random_recording()
    x[0], y[0] = 60, 60  # ToFrame counts from the first event it is given
    (tmp_path / name(3, 1)).write_bytes(aedat(x, y, time, polarity))
    plain = MNISTDVS(tmp_path)
    framed = MNISTDVS(
        tmp_path,
        transform=tonic.transforms.ToFrame(sensor_size=plain.sensor_size, time_window=5000),
        target_transform=str,
    )
    frames, label = framed[0]
    assert label == "3"
    ours = plain.frames().unpack()[0].numpy()
    assert len(frames) >= 400
    assert np.array_equal(frames[:400] > 0, ours > 0)


def write_zip(file, tree):
    with zipfile.ZipFile(file, "w") as archive:
        for member in sorted(tree.rglob("*.aedat")):
            archive.write(member, member.relative_to(tree))


def write_tar(file, tree):
    with tarfile.open(file, "w:gz") as archive:
        archive.add(tree, "MNIST_DVS")


@pytest.mark.parametrize("top", ["", "MNIST_DVS", "MNIST_DVS/grabbed_data{}", "grabbed_data{}", "{}"])
@pytest.mark.parametrize("below", ["", "scale{}"])
def test_folders_as_distributed_or_flat(tmp_path, top, below):
    for digit in (0, 9):
        for scale in (4, 8):
            write(tmp_path / top.format(digit) / below.format(scale), [digit], range(1, 5), scale)
    dataset = MNISTDVS(tmp_path, train=None, scale=8)
    assert [file.name for file in dataset.files] == [name(digit, n, 8) for digit in (0, 9) for n in range(1, 5)]
    assert dataset.labels.tolist() == [0] * 4 + [9] * 4


def test_archives_one_a_digit_or_one_of_all(tmp_path):
    for digit in (2, 5):
        write(tmp_path / "tree" / f"grabbed_data{digit}" / "scale16", [digit], range(1, 4), 16)
        (tmp_path / "zips").mkdir(exist_ok=True)
        one = tmp_path / "one" / str(digit)
        shutil.copytree(tmp_path / "tree" / f"grabbed_data{digit}", one / f"grabbed_data{digit}")
        write_zip(tmp_path / "zips" / f"grabbed_data{digit}.zip", one)
    (tmp_path / "tar").mkdir()
    write_tar(tmp_path / "tar" / "all.tar.gz", tmp_path / "tree")
    for folder in ("zips", "tar"):
        dataset = MNISTDVS(tmp_path / folder, train=None, scale=16)
        assert [file.name for file in dataset.files] == [name(digit, n, 16) for digit in (2, 5) for n in (1, 2, 3)]
        assert len(dataset[0][0]) == len(list(window(random_recording(2001), 16)))


def test_the_last_tenth_by_number_tests(tmp_path):
    numbers = [n for n in range(1, 25) if n % 6]  # 20 of them, the last two are 22 and 23
    write(tmp_path, [4, 8], numbers)
    parts = {train: [file.name for file in MNISTDVS(tmp_path, train).files] for train in (True, False, None)}
    assert parts[False] == [name(digit, n) for digit in (4, 8) for n in (22, 23)]
    assert sorted(parts[True] + parts[False]) == sorted(parts[None])
    assert len(parts[None]) == 40


def test_one_symbol_for_each_pixel_and_bin(tmp_path):
    write(tmp_path, [3], range(1, 11))
    recordings = MNISTDVS(tmp_path, train=None)
    both, one = (recordings.frames(dt=2000.0, one_symbol=symbol).unpack() for symbol in (False, True))
    assert both.sum(2).max() == 2
    assert one.sum(2).max() == 1
    assert torch.equal(both.amax(2), one.amax(2))
    spikes = load("mnist-dvs", tmp_path, classes=(3,), num_steps=10, one_symbol=True).test[0][0]
    assert torch.equal(spikes, recordings.frames([9], duration=50.0, one_symbol=True).unpack()[0].float())


def test_load_as_the_paper_does(tmp_path):
    write(tmp_path, [6, 7, 9], range(1, 31))
    splits = load("mnist-dvs", tmp_path, classes=(9, 6))
    assert [part.labels.bincount().tolist() for part in (splits.train, splits.validation, splits.test)] == [
        [24, 24], [3, 3], [3, 3],
    ]  # fmt: skip
    assert (splits.num_classes, splits.input_shape, splits.num_steps) == (2, (2, 26, 26), 400)
    assert splits.class_names == ("9", "6")
    spikes, labels = splits.test.__getitems__(range(6))
    assert labels.tolist() == [1, 1, 1, 0, 0, 0]
    expected = [frames_by_hand(random_recording(1000 * digit + n)) for digit in (6, 9) for n in (28, 29, 30)]
    assert torch.equal(spikes, torch.stack(expected, dim=1).float())
    short = load("mnist-dvs", tmp_path, classes=(9, 6), num_steps=40, limit_per_class=2)
    assert torch.equal(short.test[0][0], spikes[:40, 0])
    assert len(short.train) == 4


def test_few_recordings_are_enough_to_look_at_but_not_to_load(tmp_path):
    write(tmp_path, [0], [1])
    assert len(MNISTDVS(tmp_path)) == 1
    with pytest.raises(DataNotFoundError, match="too few recordings at scale 4 for a test part"):
        MNISTDVS(tmp_path, train=False)
    with pytest.raises(DataNotFoundError, match=r"too few recordings \(scale 4\) of the digits \[0, 1, 2"):
        load("mnist-dvs", tmp_path)
    write(tmp_path, [0, 1], [2, 3])
    with pytest.raises(DataNotFoundError, match=r"of the digits \[1\]: .* at least 3 of each"):
        load("mnist-dvs", tmp_path, classes=(0, 1))
    splits = load("mnist-dvs", tmp_path, classes=(0,))
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [1, 1, 1]


def test_missing_and_doubled_recordings_are_said(tmp_path):
    (tmp_path / "mnist_0_scale04_0001_qt1.aedat").write_bytes(aedat(*random_recording()))
    write(tmp_path, [0], [1], scale=8)
    with pytest.raises(
        DataNotFoundError, match=r"MNIST-DVS was not found in .* looked for mnist_0_scale04_0001\.aedat"
    ):
        MNISTDVS(tmp_path)
    write(tmp_path / "raw", [0], [1])
    write(tmp_path / "stabilised", [0], [1])
    with pytest.raises(CorruptDataError, match="are the same recording"):
        MNISTDVS(tmp_path)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (aedat(*random_recording())[:-3], "truncated: 3197 bytes are not 8 an event"),
        (HEADER, "holds no events"),
        (b"", "no AEDAT-2.0 file"),
        (b"#!AER-DAT3.1\r\n#Format: RAW\r\n", "no AEDAT-2.0 file"),
        (b"\x93NUMPY\x01\x00", "no AEDAT-2.0 file"),
        (HEADER + bytes([128, 0, 0, 1, 0, 0, 0, 0]), "corrupt or not of a DVS128"),
        (aedat(*(column[::-1] for column in random_recording())), "its times go back"),
        (aedat(*np.array([[0], [0], [0], [1]])), "holds no events"),  # in the window
    ],
)  # fmt: skip
def test_a_corrupt_file_is_named(tmp_path, content, match):
    file = tmp_path / name(0, 1)
    file.write_bytes(content)
    dataset = MNISTDVS(tmp_path)
    for read in (lambda: dataset[0], dataset.frames):
        with pytest.raises(CorruptDataError, match=rf"{name(0, 1)} .*{match}"):
            read()


def test_bad_arguments_get_the_house_sentence(tmp_path):
    write(tmp_path, [0], [1])
    with pytest.raises(ValueError, match="`scale` to be 4, 8 or 16, but got 5"):
        MNISTDVS(tmp_path, scale=5)
    with pytest.raises(ValueError, match="`train` to be True, False or None, but got 'test'"):
        MNISTDVS(tmp_path, "test")
    dataset = MNISTDVS(tmp_path)
    for dt in (0.0, -5.0, 0.0001, 1.00005, float("nan")):
        with pytest.raises(ValueError, match="`dt`"):
            dataset.frames(dt=dt)
    for duration in (0.0, -5.0, 12.0, float("inf")):
        with pytest.raises(ValueError, match="`duration` to be a positive multiple"):
            dataset.frames(duration=duration)


def decoded(file):
    """The reader of the data folder's notes: column, row, time, polarity."""
    content = file.read_bytes()
    while content[:1] == b"#":
        content = content[content.index(b"\n") + 1 :]
    address, time = np.frombuffer(content, ">u4").reshape(-1, 2).astype(np.int64).T
    return (address >> 1) & 127, (address >> 8) & 127, time, 1 - (address & 1)


@pytest.mark.parametrize(
    ("sample", "scale", "share"),
    [
        ("mnist_0_scale04_0001.aedat", 4, 0.862),
        ("mnist_0_scale04_0001_qt1.aedat", 4, 0.941),
        ("mnist_0_scale08_0001_qt1.aedat", 8, 0.952),
        ("mnist_0_scale16_0001_qt1.aedat", 16, 0.984),
    ],
)
def test_the_window_holds_the_digit_of_the_real_recordings(real_data, tmp_path, sample, scale, share):
    recording = decoded(real_data / "MNIST_DVS" / sample)
    shutil.copy(real_data / "MNIST_DVS" / sample, tmp_path / name(0, 1, scale))
    dataset = MNISTDVS(tmp_path, scale=scale)
    events, digit = dataset[0]
    assert digit == 0
    assert len(events) / len(recording[0]) == pytest.approx(share, abs=0.001)
    assert torch.equal(dataset.frames().unpack()[0], frames_by_hand(recording, scale=scale))


def test_the_real_samples_are_too_few(real_data):
    dataset = MNISTDVS(real_data)
    assert [file.name for file in dataset.files] == ["mnist_0_scale04_0001.aedat"]
    assert dataset[0][1] == 0
    with pytest.raises(DataNotFoundError, match="too few"):
        load("mnist-dvs", real_data)
    with pytest.raises(DataNotFoundError, match="MNIST-DVS was not found"):
        MNISTDVS(real_data, scale=16)  # there are pieces of recordings only
