"""Sounds as spikes: the energy of a recording in bands of the mel scale, above several levels."""

from __future__ import annotations

import math
import wave
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.data.encoders import check_num_steps
from snntorch_binary.data.errors import CorruptDataError, damage_named
from snntorch_binary.data.frames import kept_spikes
from snntorch_binary.data.packed_spikes import PackedSpikes

SAMPLE_RATE = 8_000
"""Samples a second."""
BANDS, LEVELS = 32, 8
"""Shape of the spikes in one time step."""
_SECONDS = 0.625  # longer than 93 of 100 spoken digits
_WINDOW = 250  # samples, 31 ms: two periods of a low voice
_LOWEST, _HIGHEST = 100.0, 4_000.0  # Hz
_STEP = 5.0  # dB between two levels; the lowest lies 40 dB below the loudest band of the recording
_SILENCE = -40.0  # dB: the loudest band of what is no sound
_MAX_SAMPLES = 60 * SAMPLE_RATE


def read_wav(file: Path) -> Tensor:
    """Read the samples of a WAV file, float32 [N] in [-1, 1).

    Raises:
        CorruptDataError: it is damaged, empty, longer than a minute, or not of one channel of 16-bit samples at
            8,000 Hz.
    """
    what = f"The sound file {file}"
    with damage_named(what, "is damaged or no WAV file of plain samples"), wave.open(str(file), "rb") as sound:
        channels, rate, width, length = (
            sound.getnchannels(),
            sound.getframerate(),
            sound.getsampwidth(),
            sound.getnframes(),
        )
        if channels != 1:
            raise CorruptDataError(f"{what} has {channels} channels: make it one (mono).")
        if rate != SAMPLE_RATE:
            raise CorruptDataError(f"{what} has {rate} samples a second: resample it to {SAMPLE_RATE}.")
        if width != 2:
            raise CorruptDataError(f"{what} has samples of {8 * width} bits: write it with 16.")
        if length == 0:
            raise CorruptDataError(f"{what} is empty.")
        if length > _MAX_SAMPLES and file.stat().st_size > 2 * _MAX_SAMPLES:
            raise CorruptDataError(f"{what} is longer than a minute.")
        content = sound.readframes(min(length, _MAX_SAMPLES))
    if len(content) != 2 * length:
        raise CorruptDataError(f"{what} is truncated: {len(content)} bytes are not {length} samples.")
    return torch.frombuffer(bytearray(content), dtype=torch.int16).float() / 2**15


def mel_spikes(samples: Tensor, num_steps: int) -> Tensor:
    """Return the spikes of a sound: where the energy in a band of the mel scale lies above a level.

    Of the first 0.625 s, T windows of 31 ms each (a Hann window) are transformed; their energies in 32 triangular bands
    from 100 to 4,000 Hz, equally wide in mel = 2595 log10(1 + f / 700 Hz), are compared with eight levels, 40, 35, ...
    5 dB below the loudest band of the sound. A louder recording has the same spikes, silence has none.

    Args:
        samples: floating point [N], at 8,000 samples a second.
        num_steps: number T of time steps, of which each is 0.625 s / T later than the one before.

    Returns:
        uint8 in {0, 1}, [T, 32, 8].

    Raises:
        ValueError: there are no samples, one is NaN or infinite, or `num_steps` < 1.

    Example:
        >>> time = torch.arange(5_000) / 8_000
        >>> spikes = mel_spikes(torch.sin(2 * torch.pi * 440 * time), num_steps=50)
        >>> spikes.shape, int(spikes.sum((0, 2)).argmax())
        (torch.Size([50, 32, 8]), 5)
    """
    check_num_steps(num_steps)
    if samples.ndim != 1 or not len(samples) or not samples.is_floating_point():
        raise ValueError(expected("samples", "floating point, of shape [N]", f"{samples.dtype} {list(samples.shape)}"))
    samples = samples.float()
    if not bool(samples.isfinite().all()):
        raise ValueError(expected("samples", "finite", "NaN or infinite values"))
    whole = round(_SECONDS * SAMPLE_RATE)
    starts = torch.arange(num_steps) * whole // num_steps
    window = max(_WINDOW, -(-whole // num_steps))
    end = int(starts[-1]) + window
    padded = torch.nn.functional.pad(samples[:end], (0, max(0, end - len(samples))))
    pieces = padded[starts[:, None] + torch.arange(window)] * torch.hann_window(window)
    size = 2 ** math.ceil(math.log2(window))
    power = torch.fft.rfft(pieces, size).abs().square()
    decibels = 10 * torch.log10(power @ _mel_bands(size).T + 1e-10)
    below = decibels - decibels.max().clamp(min=_SILENCE)
    levels = -_STEP * torch.arange(LEVELS, 0, -1)
    return (below.unsqueeze(-1) > levels).to(torch.uint8)


def read_sounds(files: Sequence[Path], num_steps: int) -> PackedSpikes:
    """Return the spikes [N, T, 32, 8] of sound files, from the cache when possible.

    Raises:
        CorruptDataError: a file cannot be read, see :func:`read_wav`.
    """
    shape = (num_steps, BANDS, LEVELS)
    return kept_spikes(files, shape, lambda file: mel_spikes(read_wav(file), num_steps).numpy(), "mel 1", num_steps)


def _mel_bands(size: int) -> Tensor:
    """Return the weights [32, size / 2 + 1] of the frequencies of a transform in each band."""
    frequencies = torch.linspace(0, SAMPLE_RATE / 2, size // 2 + 1)
    lowest, highest = (2595 * math.log10(1 + hertz / 700) for hertz in (_LOWEST, _HIGHEST))
    edges = 700 * (10 ** (torch.linspace(lowest, highest, BANDS + 2) / 2595) - 1)
    left, middle, right = (edges[k : k + BANDS, None] for k in range(3))
    rising, falling = (frequencies - left) / (middle - left), (right - frequencies) / (right - middle)
    return torch.minimum(rising, falling).clamp(min=0)
