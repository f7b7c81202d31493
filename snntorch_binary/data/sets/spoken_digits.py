"""Spoken digits: the Free Spoken Digit Dataset, six people who say the digits 0 to 9, fifty times each."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import torch

from snntorch_binary.data.description import Description, Request, register
from snntorch_binary.data.errors import CorruptDataError, DataNotFoundError
from snntorch_binary.data.folders import find, glob, not_found, searched
from snntorch_binary.data.splits import Source

_PAGE = "https://github.com/Jakobovski/free-spoken-digit-dataset"
_NAME = re.compile(r"(\d)_([a-z]+)_(\d+)")
_NUM_TEST = 5  # the first recordings of each digit and speaker
_TEST_SPEAKERS = 2


def read(by_speaker: bool, asked: Request) -> Source:
    """Return the recordings, ``recordings/DIGIT_SPEAKER_INDEX.wav``, as spikes in 32 bands and 8 levels.

    Args:
        by_speaker: test with the last two speakers in the order of their names, whom nobody has heard in training, in
            place of the set's own test part, the recordings 0 to 4 of everybody.
        asked: where the set may be.

    Raises:
        DataNotFoundError: the files were not found, or those of a digit or too many speakers are missing.
        CorruptDataError: two files have one name.
    """
    from snntorch_binary.data.sounds import read_sounds

    patterns = ("recordings/[0-9]_*_*.wav", "[0-9]_*_*.wav")
    copies = [_examples(home) for homes in find(asked.data_dir, "FSDD", patterns) for home in homes]
    found = max(copies, key=len, default={})
    digits = {digit for digit, _, _ in found}
    speakers = sorted({speaker for _, speaker, _ in found})
    if not found:
        files = f"FSDD/recordings/0_jackson_0.wav and the others of {_PAGE},"
        raise DataNotFoundError(not_found("The Free Spoken Digit Dataset", asked.data_dir, files))
    missing = sorted(set(asked.classes) - digits)
    if missing:
        raise DataNotFoundError(f"The spoken digits in {searched(asked.data_dir)} are without recordings of {missing}.")
    if by_speaker and len(speakers) <= _TEST_SPEAKERS:
        enough = f"more than {_TEST_SPEAKERS} are needed"
        where = searched(asked.data_dir)
        raise DataNotFoundError(f"The spoken digits in {where} are of {len(speakers)} speakers only; {enough}.")
    keys = sorted(found)
    paths = [found[key] for key in keys]
    tests = [speaker in speakers[-_TEST_SPEAKERS:] if by_speaker else index < _NUM_TEST for _, speaker, index in keys]
    return Source(
        labels=torch.tensor([digit for digit, _, _ in keys], dtype=torch.int64),
        test=torch.tensor(tests, dtype=torch.bool),
        read=lambda indices, num_steps: read_sounds([paths[index] for index in indices.tolist()], num_steps),
        class_names=tuple(map(str, range(10))),
    )


def _examples(home: Path) -> dict[tuple[int, str, int], Path]:
    """Return the recordings in a folder by digit, speaker and index."""
    found: dict[tuple[int, str, int], Path] = {}
    for pattern in ("recordings/*.wav", "*.wav"):
        for file in glob(home, pattern):
            if name := _NAME.fullmatch(file.stem.lower()):
                key = (int(name[1]), name[2], int(name[3]))
                if found.setdefault(key, file) != file:
                    raise CorruptDataError(f"{found[key]} and {file} are the same recording: keep one.")
    return found


for _name, _place, _by_speaker, _said in (
    ("spoken-digits", 240, False, "energy in 32 mel bands above 8 levels"),
    ("spoken-digits-by-speaker", 250, True, "energy in 32 mel bands above 8 levels, tested with two other speakers"),
):
    register(
        Description(
            name=_name,
            place=_place,
            num_classes=10,
            num_steps=50,
            spikes=_said,
            features=(32, 8),
            needs=f"the recordings of {_PAGE}",
            read=partial(read, _by_speaker),
            foldable=not _by_speaker,
        )
    )
