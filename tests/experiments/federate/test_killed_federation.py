"""Whenever a federation is killed, or its disk is full, the same command ends with the unbroken run's results.

What is counted are the events at which something changes on disk: a file is opened to be written, synced, renamed or
removed, or a folder made. A process that dies at one of them is played by an exception at it and at all that follow, so
that nothing is tidied up either; some die indeed.
"""

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("flwr")
pytest.importorskip("lightning")

from small_federation import ONLINE, SMALL, run, same, written

from snntorch_binary._files import OutputError
from snntorch_binary.cli import main
from snntorch_binary.federated.flower import InProcessGrid, ray, run_in_process


class Dead(BaseException):
    """What stands for the death of the process."""


class Events:
    """Counts what changes in a folder, and lets something happen at one of these events."""

    def __init__(self):
        self.folder, self.number, self.at, self.then = None, 0, 0, None
        sys.addaudithook(self._hook)  # cannot be removed; without a folder it does nothing
        self._fsync = os.fsync

    def watch(self, folder, at=0, then=None):
        """Watch a folder: at event ``at``, from 1, and all later ones, call ``then``."""
        self.folder, self.number, self.at, self.then = str(folder), 0, at, then
        os.fsync = self._synced

    def stop(self):
        """Watch no longer; return how many events there were."""
        self.folder = None
        os.fsync = self._fsync
        return self.number

    def _synced(self, handle):
        if self.folder is not None:
            self._happened()
        self._fsync(handle)

    def _hook(self, event, arguments):
        if self.folder is None or event not in ("open", "os.rename", "os.remove", "os.mkdir", "shutil.rmtree"):
            return
        path = arguments[0]
        if not isinstance(path, str | os.PathLike) or not str(path).startswith(self.folder):
            return
        if event != "open" or arguments[2] & (os.O_WRONLY | os.O_RDWR):
            self._happened(removes=event in ("os.remove", "shutil.rmtree"))

    def _happened(self, removes=False):
        self.number += 1
        if 0 < self.at <= self.number and not (removes and self.then is full):
            self.then()


def die():
    raise Dead


def full():
    raise OSError(errno.ENOSPC, "No space left on device")


EVENTS = Events()


def watched(config, out, at, then):
    """Run a federation in which something happens at an event."""
    EVENTS.watch(out, at, then)
    try:
        return run(config, out)
    finally:
        EVENTS.stop()


ONE = {"num_rounds": 2, "evaluate_every": 2, "methods": {"product": SMALL["methods"]["product"]}}
CONFIGS = {
    "in-process": ONE,
    "ray": {**ONE, "engine": "ray"},
    "several": {"num_rounds": 2, "evaluate_every": 2, "seeds": [0, 1]},
    "online": None,
}


@pytest.fixture(autouse=True)
def ray_in_this_process(monkeypatch):
    """In the place of Ray's processes, whose contexts are new in every call of Flower's engine."""
    monkeypatch.setattr(
        ray, "run_on_ray", lambda server, clients, num: run_in_process(server, InProcessGrid(clients, num))
    )


def unbroken(tmp_path, kind):
    """Return the file of a federation, its runs, and how many events there are."""
    changes = CONFIGS[kind]
    config = written(tmp_path, ONLINE) if changes is None else written(tmp_path, **changes)
    EVENTS.watch(tmp_path / "whole")
    try:
        runs = run(config, tmp_path / "whole")
    finally:
        number = EVENTS.stop()
    assert number > 10
    return config, runs, number


def every(number, parts):
    """Return some of the events: as many as parts, evenly, the first and the last among them."""
    return sorted({1 + round(part * (number - 1) / (parts - 1)) for part in range(parts)})


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("in-process", 5),
        ("online", 3),
        pytest.param("several", 1000, marks=pytest.mark.repeated),
        pytest.param("in-process", 1000, marks=pytest.mark.repeated),
        pytest.param("ray", 1000, marks=pytest.mark.repeated),
        pytest.param("online", 1000, marks=pytest.mark.repeated),
    ],
)
def test_killed_at_each_event_it_goes_on_to_the_same_results(kind, parts, tmp_path):
    config, runs, number = unbroken(tmp_path, kind)
    for at in every(number, parts):
        out = tmp_path / "out"
        with pytest.raises(Dead):
            watched(config, out, at, die)
        assert same(run(config, out), runs), at
        assert same(run(config, out), runs), at
        shutil.rmtree(out)


@pytest.mark.repeated
def test_killed_again_and_again_it_ends_with_the_same_results(tmp_path):
    config, runs, number = unbroken(tmp_path, "in-process")
    for step in range(9, number, 3):
        out = tmp_path / "out"
        for _ in range(number):
            try:
                found = watched(config, out, step, die)
                break
            except Dead:
                continue
        else:
            found = run(config, out)  # killed before anything new was on disk
        assert same(found, runs), step
        shutil.rmtree(out)


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("in-process", 3),
        pytest.param("several", 1000, marks=pytest.mark.repeated),
        pytest.param("in-process", 1000, marks=pytest.mark.repeated),
        pytest.param("ray", 1000, marks=pytest.mark.repeated),
        pytest.param("online", 1000, marks=pytest.mark.repeated),
    ],
)
def test_a_full_disk_is_one_sentence_and_the_same_command_goes_on(kind, parts, tmp_path):
    config, runs, number = unbroken(tmp_path, kind)
    said = []
    for at in every(number, parts):
        out = tmp_path / "out"
        said.append(failure(config, out, at))
        assert same(run(config, out), runs), at
        shutil.rmtree(out, ignore_errors=True)
    # What is removed at last can be removed from a full disk.
    assert all("No space left on device" in words for words in said if words)
    assert said[0]
    assert said[1]


def failure(config, out, at):
    """Return what is said where the disk is full from an event on, if anything.

    A client of Ray's that cannot keep what it remembers says so itself; where nobody else learned, it is a ValueError.
    """
    try:
        watched(config, out, at, full)
    except (OSError, OutputError, ValueError) as error:
        return str(error)
    return ""


def test_a_full_disk_is_one_sentence_of_the_command(tmp_path, capsys):
    config, out = written(tmp_path, **CONFIGS["in-process"]), tmp_path / "out"
    EVENTS.watch(out, 20, full)
    try:
        assert main(["federate", str(config), "--out", str(out), "--jobs", "1"]) == 1
    finally:
        EVENTS.stop()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "No space left on device" in said


SCRIPT = """
import os, pathlib, signal, sys
sys.path.insert(0, {tests!r})
import test_killed_federation as here
config, out, at, name = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
here.EVENTS.watch(out, at, lambda: os.kill(os.getpid(), getattr(signal, name)))
here.run(config, out)
"""


@pytest.mark.repeated
@pytest.mark.parametrize(("name", "parts"), [("SIGTERM", [0.3, 0.6, 0.9]), ("SIGKILL", [0.1, 0.3, 0.5, 0.7, 0.9, 1.0])])
def test_a_process_that_dies_indeed(name, parts, tmp_path):
    config, runs, number = unbroken(tmp_path, "in-process")
    for part in parts:
        out = tmp_path / "out"
        command = [sys.executable, "-c", SCRIPT.format(tests=str(Path(__file__).parent)), str(config), str(out)]
        done = subprocess.run([*command, str(round(part * number)), name], check=False, capture_output=True, text=True)
        assert done.returncode == -getattr(signal, name), done.stderr
        assert out.exists()
        assert same(run(config, out), runs)
        shutil.rmtree(out)
