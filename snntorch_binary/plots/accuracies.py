"""Accuracies of several seeds by what is drawn across, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from snntorch_binary._errors import expected

Across = TypeVar("Across", int, float)


def accuracies_by(
    curves: Mapping[str, Mapping[Across, Sequence[float]]], what: str
) -> dict[str, tuple[list[Across], Tensor]]:
    """Return for each label what is drawn across, sorted [n], and the accuracies, float64 [num_seeds, n].

    Args:
        curves: for each label, by what is drawn across, the accuracies in [0, 1] of all seeds.
        what: is drawn across, in a word.

    Raises:
        ValueError: nothing to draw, an accuracy outside [0, 1], or different numbers of seeds.
    """
    if not curves or not all(curves.values()):
        raise ValueError(expected("curves", f"at least one curve of at least one {what}", "none"))
    found: dict[str, tuple[list[Across], Tensor]] = {}
    for label, by in curves.items():
        counts = {len(accuracies) for accuracies in by.values()}
        if len(counts) != 1 or 0 in counts:
            raise ValueError(expected("curves", f"equally many seeds for each {what} of {label!r}", sorted(counts)))
        across = sorted(by)
        values = torch.tensor([list(by[each]) for each in across], dtype=torch.float64).T
        if not bool(((values >= 0) & (values <= 1)).all()):
            raise ValueError(expected("curves", "accuracies in [0, 1]", f"other values for {label!r}"))
        found[label] = (across, values)
    return found
