"""How far the runs of an experiment are: one bar over all epochs of all runs, and what each run says of itself."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class RunProgress(Protocol):
    """What a run in training speaks to."""

    def step(self, epochs: float) -> None:
        """Say how many epochs are done."""
        ...

    def say(self, text: str) -> None:
        """Say in a few words what is being done."""
        ...

    def note(self, text: str) -> None:
        """Leave a line."""
        ...


class RunsProgress:
    """Shows which runs are being trained, how far all are, and how long it will still take.

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
        self._under_way: dict[str, tuple[float, str]] = {}
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

    def __enter__(self) -> RunsProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def of(self, name: str) -> RunProgress:
        """Return what one run speaks to."""
        self._under_way[name] = (0.0, name)
        return Sender(name, self.take)

    def take(self, name: str, what: str, value: Any) -> None:
        """Take what a run says: ``"step"``, ``"say"``, ``"note"`` or ``"rest"``, and the value."""
        if what == "rest":
            self._under_way.pop(name, None)
            return
        epochs, text = self._under_way.get(name, (0.0, name))
        if what == "note":
            self.note(value)
            return
        self._under_way[name] = (value, text) if what == "step" else (epochs, value)
        done = self.done * self.epochs + sum(epochs for epochs, _ in self._under_way.values())
        shown = " | ".join(text for _, text in self._under_way.values())
        self._bar.update(self._task, completed=done, description=shown)

    def note(self, text: str) -> None:
        """Leave a line."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def step(self, epochs: float) -> None:
        """Say how many epochs of the only run under way are done."""
        self.take("", "step", epochs)

    def say(self, text: str) -> None:
        """Say in a few words what is being done in it."""
        self.take("", "say", text)

    def finish(self, text: str, name: str = "") -> None:
        """End a run and leave a line about it."""
        self.done += 1
        self._under_way.pop(name, None)
        self._bar.update(self._task, completed=self.done * self.epochs)
        self.console.print(f"[{self.done}/{self.num_runs}] {text}", markup=False, highlight=False)


class Sender:
    """Speaks for one run.

    Args:
        name: of the run.
        send: takes the name, what is said and the value.
    """

    def __init__(self, name: str, send: Callable[[str, str, Any], None]) -> None:
        self._name = name
        self._send = send

    def step(self, epochs: float) -> None:
        """Say how many epochs are done."""
        self._send(self._name, "step", epochs)

    def say(self, text: str) -> None:
        """Say in a few words what is being done."""
        self._send(self._name, "say", text)

    def note(self, text: str) -> None:
        """Leave a line."""
        self._send(self._name, "note", text)

    def rest(self) -> None:
        """Say no more of what was done after the run."""
        self._send(self._name, "rest", None)
