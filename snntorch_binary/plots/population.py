"""Population based training: who came from whom, and what each member's hyper-parameters were."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from snntorch_binary._errors import expected
from snntorch_binary.plots import style


class PopulationSegment(NamedTuple):
    """What one member did between two rankings.

    Attributes:
        member: the member, counted from 0.
        parent: the member whose weights it began from: itself, another one, or ``None`` at the start.
        begin: epochs done before.
        end: epochs done after.
        values: hyper-parameters by name.
        score: its score at the end.
        winning: whether the winner came from it.
    """

    member: int
    parent: int | None
    begin: int
    end: int
    values: dict[str, float]
    score: float
    winning: bool


def population_history(
    segments: Sequence[PopulationSegment],
    path: str | os.PathLike[str],
    *,
    score: str = "score",
    log: Sequence[str] = (),
) -> None:
    """Draw a population over epochs: the lineage, the score, and each hyper-parameter, the winner's line in colour.

    Args:
        segments: what members did.
        path: the file to write; its suffix is the format.
        score: what the score is called.
        log: hyper-parameters on logarithmic axes.

    Raises:
        MissingPackageError: matplotlib is not installed.
        ValueError: there is nothing to draw.
        OSError: the file cannot be written.
    """
    if not segments:
        raise ValueError(expected("segments", "at least one", "none"))
    names = list(segments[0].values)
    figure = style.make_figure(6.4, 1.5 * (2 + len(names)) + 0.4)
    lineage, scores, *panels = figure.subplots(2 + len(names), 1, sharex=True)
    # The winner's line is drawn last, over the others.
    for segment in sorted(segments, key=lambda segment: segment.winning):
        _lineage(lineage, segment)
        scores.plot([segment.end], [segment.score], "o", markersize=4 if segment.winning else 2.5, **_look(segment))
        for axes, name in zip(panels, names, strict=True):
            value = segment.values[name]
            axes.plot([segment.begin, segment.end], [value, value], "-", **_look(segment))
    lineage.set_ylabel("member")
    lineage.yaxis.get_major_locator().set_params(integer=True)
    scores.set_ylabel(score.replace("_", " "))
    for axes, name in zip(panels, names, strict=True):
        axes.set_ylabel(name)
        if name in log:
            axes.set_yscale("log")
    for axes in (lineage, scores, *panels):
        style.plain_axes(axes)
        style.horizontal_grid(axes)
    lowest = [lineage, scores, *panels][-1]
    lowest.set_xlabel("epoch")
    lowest.xaxis.get_major_locator().set_params(integer=True)
    figure.suptitle("population based training: the winner's line in colour", fontsize=10, color=style.GREY)
    style.write(figure, path)


def _look(segment: PopulationSegment) -> dict[str, Any]:
    if segment.winning:
        return {"color": style.colour(0), "linewidth": 2.5}
    return {"color": style.GREY, "linewidth": 0.8, "alpha": 0.6}


def _lineage(axes: Any, segment: PopulationSegment) -> None:
    axes.plot([segment.begin, segment.end], [segment.member, segment.member], "-", **_look(segment))
    if segment.parent is not None and segment.parent != segment.member:
        axes.plot([segment.begin, segment.begin], [segment.parent, segment.member], ":", **_look(segment))
