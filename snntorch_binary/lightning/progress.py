"""The progress display of a comparison: one bar over all epochs of all runs."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class ComparisonProgress:
    """Shows which run is being trained, how far all runs are, and how long it will still take.

    Args:
        console: where to show it; one that is no terminal gets the lines of finished runs only.
        num_runs: number of runs.
        epochs: epochs a run.
    """

    def __init__(self, console: Console, num_runs: int, epochs: int) -> None:
        self.console = console
        self.num_runs = num_runs
        self.epochs = epochs
        self.done = 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("", total=num_runs * epochs)

    def __enter__(self) -> ComparisonProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, epochs: float) -> None:
        """Say how many epochs of the present run are done."""
        self._bar.update(self._task, completed=self.done * self.epochs + epochs)

    def say(self, text: str) -> None:
        """Show a short text beside the bar."""
        self._bar.update(self._task, description=text)

    def note(self, text: str) -> None:
        """Leave a line."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def finish(self, text: str) -> None:
        """End a run and leave a line about it."""
        self.done += 1
        self._bar.update(self._task, completed=self.done * self.epochs)
        self.console.print(f"[{self.done}/{self.num_runs}] {text}", markup=False, highlight=False)
