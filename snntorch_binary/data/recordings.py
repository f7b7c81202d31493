"""Copies of a set of event recordings, one file an example, as binary frames."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from snntorch_binary.data.errors import CorruptDataError
from snntorch_binary.data.events import Events
from snntorch_binary.data.frames import read_frames
from snntorch_binary.data.splits import Source, hold_out

log = logging.getLogger("snntorch_binary.data")


@cache
def _say_that_part_tests(place: Path, missing: tuple[int, ...]) -> None:
    """Say it once: a set is read for each run, and for each way in which a sensor fails."""
    log.warning(
        "%s and what belongs to it have no test part of the classes %s: a fifth of the training examples of each class "
        "is held out for the test.",
        place,
        list(missing),
    )


@dataclass(frozen=True)
class Copy:
    """One copy of a data set: its files in the order of class and number, their labels, its own test part."""

    files: tuple[Path, ...]
    labels: Tensor
    test: Tensor

    @classmethod
    def of(cls, examples: Sequence[tuple[Path, int, bool]]) -> Copy:
        """Return the copy of these files, each with its label and whether it tests.

        Raises:
            CorruptDataError: two files have one name, label and part.
        """
        found: dict[tuple[str, int, bool], Path] = {}
        for file, label, test in examples:
            other = found.setdefault((file.name.lower(), label, test), file)
            if other != file:
                raise CorruptDataError(f"{other} and {file} are the same recording: keep one, or name its folder.")
        return cls(
            files=tuple(file for file, _, _ in examples),
            labels=torch.tensor([label for _, label, _ in examples], dtype=torch.int64),
            test=torch.tensor([test for _, _, test in examples], dtype=torch.bool),
        )

    def covers(self, classes: Sequence[int], part: Tensor) -> bool:
        """Say whether `part` [N] has an example of each class."""
        return set(classes) <= set(self.labels[part].tolist())

    def count(self, classes: Sequence[int]) -> int:
        """Return the number of examples of these classes."""
        return int(torch.isin(self.labels, torch.tensor(classes)).sum())

    def test_part(self, classes: Sequence[int], pooled: bool) -> Tensor:
        """Return the mask [N] of its own test part, or else of the last fifth of each class, which is said.

        Args:
            classes: the labels that are wanted.
            pooled: folds will take the place of the test part, so that nothing needs to be said.
        """
        if self.covers(classes, self.test):
            return self.test
        if not pooled:
            missing = sorted(set(classes) - set(self.labels[self.test].tolist()))
            _say_that_part_tests(self.files[0].parents[2], tuple(missing))
        return self.test | hold_out(self.labels, ~self.test, 0.2, key=None)

    def source(
        self,
        test: Tensor,
        read_events: Callable[[Path], Events],
        size: int,
        class_names: tuple[str, ...],
        one_symbol: bool,
    ) -> Source:
        """Return the recordings as binary frames of a square sensor, with a test part [N]."""
        return Source(
            labels=self.labels,
            test=test,
            read=lambda indices, num_steps: read_frames(
                [self.files[index] for index in indices.tolist()], read_events, num_steps, size, one_symbol=one_symbol
            ),
            class_names=class_names,
        )
