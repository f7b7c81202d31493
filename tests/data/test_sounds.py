"""Sounds as spikes, the Free Spoken Digit Dataset, and files that are none."""

import math
import wave

import pytest
import torch

from snntorch_binary.data import CorruptDataError, DataNotFoundError, load
from snntorch_binary.data.sounds import BANDS, LEVELS, SAMPLE_RATE, mel_spikes, read_wav
from snntorch_binary.data.unlabelled import read_unlabelled


def write_wav(file, samples, channels=1, rate=SAMPLE_RATE, width=2):
    file.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(file), "wb") as sound:
        sound.setnchannels(channels)
        sound.setframerate(rate)
        sound.setsampwidth(width)
        sound.writeframes((samples * (2**15 - 1)).to(torch.int16).numpy().tobytes())


def tone(hertz, seconds=0.7, loudness=0.5):
    return loudness * torch.sin(2 * math.pi * hertz * torch.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)


def middle_of_band(band):
    mel = [2595 * math.log10(1 + hertz / 700) for hertz in (100, 4000)]
    return 700 * (10 ** ((mel[0] + (band + 1) * (mel[1] - mel[0]) / (BANDS + 1)) / 2595) - 1)


@pytest.mark.parametrize("band", [3, 12, 20, 31])
def test_a_tone_is_loudest_in_its_band(band):
    spikes = mel_spikes(tone(middle_of_band(band)), num_steps=50)
    assert spikes.shape == (50, BANDS, LEVELS)
    assert spikes[:, band].all(), "the loudest band is above all levels in each step"
    assert spikes.sum((0, 2)).argmax() == band
    assert not spikes[:, (band + 16) % BANDS].any()


def test_levels_lie_five_decibels_apart():
    """A tone that becomes 22.5 dB quieter is above the levels 40, 35, 30 and 25 dB below the loudest, not above 20."""
    loud = tone(middle_of_band(12), seconds=0.7)
    quieter = loud.clone()
    quieter[2_500:] *= 10 ** (-22.5 / 20)
    spikes = mel_spikes(quieter, num_steps=50)
    assert spikes[10, 12].sum() == LEVELS
    assert spikes[45, 12].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]


def test_loudness_does_not_matter_and_silence_says_nothing():
    sound = tone(500) + tone(1500)
    assert torch.equal(mel_spikes(sound, 20), mel_spikes(sound / 100, 20))
    assert not mel_spikes(torch.zeros(5_000), 20).any()


def test_time_goes_on_from_step_to_step():
    late = torch.cat([torch.zeros(2_500), tone(1_000)])
    spikes = mel_spikes(late, num_steps=50)
    first = int(spikes.any(-1).any(-1).nonzero()[0])
    assert first == 23, "a window of 250 samples that begins at 23 · 100 is the first one to reach sample 2,500"
    assert not mel_spikes(tone(1_000, seconds=0.3), num_steps=50)[25:].any(), "silence after the end"


@pytest.mark.parametrize("num_steps", [1, 7, 50, 400])
def test_any_number_of_steps(num_steps):
    assert mel_spikes(tone(440), num_steps).shape == (num_steps, BANDS, LEVELS)


def test_samples_are_checked():
    with pytest.raises(ValueError, match=r"Expected argument `samples` to be floating point, of shape \[N\]"):
        mel_spikes(torch.zeros(2, 100), 10)
    with pytest.raises(ValueError, match="Expected argument `num_steps`"):
        mel_spikes(tone(440), 0)
    with pytest.raises(ValueError, match="`samples` to be finite"):
        mel_spikes(torch.tensor([0.0, float("nan")]), 10)
    assert torch.equal(mel_spikes(tone(440).double(), 10), mel_spikes(tone(440), 10))


def test_read_wav_reads_the_samples(tmp_path):
    write_wav(tmp_path / "a.wav", torch.tensor([0.0, 0.5, -1.0]))
    assert read_wav(tmp_path / "a.wav").tolist() == pytest.approx([0, 0.5, -1], abs=1e-4)


BAD = {
    "stereo": (lambda file: write_wav(file, tone(440), channels=2), "has 2 channels: make it one"),
    "rate": (lambda file: write_wav(file, tone(440), rate=16_000), "has 16000 samples a second: resample it to 8000"),
    "width": (lambda file: write_wav(file, tone(440), width=1), "has samples of 8 bits: write it with 16"),
    "empty": (lambda file: write_wav(file, torch.zeros(0)), "is empty"),
    "long": (lambda file: write_wav(file, torch.zeros(61 * SAMPLE_RATE)), "is longer than a minute"),
    "no sound": (lambda file: file.write_bytes(b"RIFF"), "is damaged or no WAV file"),
    "nothing": (lambda file: file.write_bytes(b""), "is damaged or no WAV file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_sound_is_one_sentence(kind, tmp_path):
    write, sentence = BAD[kind]
    write(tmp_path / "a.wav")
    with pytest.raises(CorruptDataError, match=sentence) as raised:
        read_wav(tmp_path / "a.wav")
    assert str(tmp_path / "a.wav") in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_does_not_know_its_length_is_said_to_be_truncated(tmp_path):
    write_wav(tmp_path / "a.wav", tone(440))
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[40:44] = b"\xff" * 4  # as what was written into a pipe
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(CorruptDataError, match="is truncated"):
        read_wav(tmp_path / "a.wav")


def test_a_truncated_file_is_refused(tmp_path):
    write_wav(tmp_path / "a.wav", tone(440))
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:-500])
    with pytest.raises(CorruptDataError, match=r"is truncated: \d+ bytes are not 5600 samples"):
        read_wav(tmp_path / "a.wav")


@pytest.fixture
def recordings(tmp_path):
    """Three speakers of two digits; every recording is a tone of its own."""
    folder = tmp_path / "FSDD" / "recordings"
    for digit in range(10):
        for number, speaker in enumerate(("ada", "ben", "cleo", "dan")):
            for index in range(8):
                write_wav(folder / f"{digit}_{speaker}_{index}.wav", tone(200 + 90 * digit + 20 * number + index, 0.3))
    return tmp_path


def test_the_first_five_recordings_of_everybody_test(recordings):
    splits = load("spoken-digits", recordings, num_steps=10)
    assert (len(splits.test), len(splits.train) + len(splits.validation)) == (10 * 4 * 5, 10 * 4 * 3)
    assert (splits.num_classes, splits.input_shape, splits.num_steps) == (10, (BANDS, LEVELS), 10)
    x, label = splits.test[0]
    assert torch.equal(x, mel_spikes(tone(200 + 90 * int(label), 0.3) * (1 - 2**-15), 10).float())


def test_two_speakers_that_nobody_heard_test(recordings):
    splits = load("spoken-digits-by-speaker", recordings, num_steps=10)
    assert len(splits.test) == 10 * 2 * 8
    of_cleo = mel_spikes(tone(200 + 2 * 20 + 0, 0.3) * (1 - 2**-15), 10).float()
    assert torch.equal(splits.test[0][0], of_cleo)


def test_missing_recordings_are_said(recordings):
    for file in (recordings / "FSDD" / "recordings").glob("3_*"):
        file.unlink()
    with pytest.raises(DataNotFoundError, match=r"The spoken digits in .* are without recordings of \[3\]"):
        load("spoken-digits", recordings)
    empty = recordings / "empty"
    empty.mkdir()
    with pytest.raises(DataNotFoundError, match="The Free Spoken Digit Dataset was not found"):
        load("spoken-digits", empty)
    for file in (recordings / "FSDD" / "recordings").iterdir():
        if "ada" not in file.name and "ben" not in file.name:
            file.unlink()
    with pytest.raises(DataNotFoundError, match="are of 2 speakers only; more than 2 are needed"):
        load("spoken-digits-by-speaker", recordings, classes=(0, 1))
    write_wav(recordings / "FSDD" / "recordings" / "0_cleo_0.wav", tone(440))
    write_wav(recordings / "FSDD" / "recordings" / "1_cleo_0.wav", tone(440))
    write_wav(recordings / "FSDD" / "recordings" / "0_ada_5.wav", tone(440))
    assert load("spoken-digits", recordings, classes=(0, 1), num_steps=5).num_classes == 2


def test_a_recording_twice_is_said(recordings):
    write_wav(recordings / "FSDD" / "3_ada_0.wav", tone(440))
    with pytest.raises(CorruptDataError, match="are the same recording: keep one"):
        load("spoken-digits", recordings)


@pytest.mark.slow
def test_the_real_ones(real_data, shared_cache):
    splits = load("spoken-digits", real_data, classes=(3, 8), num_steps=20)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (486, 54, 60)
    assert 0.05 < float(splits.test[0][0].mean()) < 0.4


def test_a_folder_of_sounds(tmp_path):
    folder = tmp_path / "sounds"
    write_wav(folder / "b.wav", tone(300))
    write_wav(folder / "a.wav", tone(900))
    spikes, files = read_unlabelled(folder, 10, (BANDS, LEVELS))
    assert [file.name for file in files] == ["a.wav", "b.wav"]
    assert torch.equal(spikes[0][0], mel_spikes(read_wav(files[0]), 10).float())
    with pytest.raises(ValueError, match=r"`input_shape` to be 256 values, but got 64, and .* is a sound of 32 bands"):
        read_unlabelled(folder, 10, 64)
