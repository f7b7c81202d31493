"""Who came from whom: the reports of a population, the winner's line through them, and the schedule that it held."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from snntorch_binary._files import DamagedFileError, parse_json
from snntorch_binary.tune.checks import is_integer, is_number
from snntorch_binary.tune.plan import Plan


class PopulationError(RuntimeError):
    """A population did not come to its end, or has no winner."""


@dataclass(frozen=True)
class Report:
    """What one member did between two rankings.

    Attributes:
        id: a name of its own.
        parent: the report whose checkpoint it began from; ``None`` begins anew. It is another member's after a copy.
        member: the member, counted from 0.
        begin: epochs that were done before.
        epoch: epochs that are done now.
        values: hyper-parameters by name, as they held in between.
        scores: what the module logged at the end; none where its loss or weights became NaN or infinite.
        seconds: time it took.
    """

    id: str
    parent: str | None
    member: int
    begin: int
    epoch: int
    values: dict[str, float]
    scores: dict[str, float]
    seconds: float

    @classmethod
    def read(cls, text: str | bytes, path: Path) -> Report:
        """Return a report that was written as JSON.

        Args:
            text: the report.
            path: the file that it is from, for the message.

        Raises:
            DamagedFileError: it is none.
        """
        values = parse_json(text, path)
        names = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or values.keys() != names or not _is_report(values):
            raise DamagedFileError(f"{path} is damaged: it has a report without its values.")
        return cls(**values)

    def score(self, plan: Plan) -> float:
        """Return the score that members are ranked by."""
        return self.scores.get(plan.metric, plan.worst)


def _is_report(values: dict[str, Any]) -> bool:
    integers = [values[name] for name in ("member", "begin", "epoch")]
    numbers = [values["values"], values["scores"]]
    return (
        isinstance(values["id"], str)
        and isinstance(values["parent"], str | None)
        and all(is_integer(each) for each in integers)
        and 0 <= values["begin"] < values["epoch"]
        and all(isinstance(each, dict) and all(isinstance(of, int | float) for of in each.values()) for each in numbers)
        and is_number(values["seconds"])
    )


def write_report(path: Path, report: Report) -> None:
    """Add a report to a file, a line each."""
    with path.open("a") as file:
        file.write(json.dumps(asdict(report)) + "\n")


def read_reports(path: Path) -> list[Report]:
    """Return the reports of a file in their order; a last line that was cut off is left out."""
    if not path.exists():
        return []
    reports = []
    for line in path.read_bytes().splitlines():
        with suppress(DamagedFileError):
            reports.append(Report.read(line, path))
    return reports


def complete(reports: Iterable[Report], plan: Plan) -> bool:
    """Say whether every member has reported its last epoch, be it without scores."""
    return {report.member for report in reports if report.epoch == plan.epochs} == set(range(plan.population))


def winner(reports: Iterable[Report], plan: Plan) -> Report:
    """Return the best of the members' last reports.

    Raises:
        PopulationError: no member came to the end, or all have failed.
    """
    last = {report.member: report for report in reports if report.epoch == plan.epochs and report.scores}
    if not last:
        raise PopulationError("No member of the population came to the end of training with a finite loss.")
    best = min(last.values(), key=lambda report: report.member)
    for report in last.values():
        if plan.better(report.score(plan), best.score(plan)):
            best = report
    return best


def line_of(report: Report, reports: Iterable[Report]) -> list[Report]:
    """Return a report and all that it came from, the first one first.

    Raises:
        PopulationError: one of them is missing.
    """
    by_id = {other.id: other for other in reports}
    line = [report]
    while line[0].parent is not None:
        parent = by_id.get(line[0].parent)
        if parent is None or parent.epoch != line[0].begin:
            raise PopulationError(f"The report that {line[0].id} came from is missing.")
        line.insert(0, parent)
    return line


def schedule_of(line: Sequence[Report]) -> dict[int, dict[str, float]]:
    """Return the hyper-parameters of a line by the epoch from which they held; what did not change is left out."""
    schedule: dict[int, dict[str, float]] = {}
    now: dict[str, float] = {}
    for report in line:
        changed = {name: value for name, value in report.values.items() if now.get(name) != value}
        if changed:
            schedule[report.begin] = changed
        now = report.values
    return schedule
