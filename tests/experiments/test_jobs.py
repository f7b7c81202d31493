"""`--jobs 2`: the results of one run after another, bit for bit, also where a process is ended on the way."""

import io
import os
import queue
import signal
import subprocess
import sys
import time
from pathlib import Path

import commands
import own_experiment
import pytest
import torch
from rich.console import Console

from snntorch_binary._processes import default_jobs
from snntorch_binary.cli import main
from snntorch_binary.experiments import compare, runs
from snntorch_binary.experiments.progress import RunsProgress
from snntorch_binary.experiments.runs import check_jobs
from snntorch_binary.lightning import NonFiniteLossError

KILLING = """\
import os
import signal
from pathlib import Path

import torch
from own_data import gestures
from torch.utils.data import Dataset

HERE = Path(__file__).parent


class Killing(Dataset):
    def __init__(self, part):
        self.x, self.labels = part
        self.given = 0

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        self.given += 1
        if self.given > 2 * len(self) and (HERE / "kill").exists():  # in the third epoch
            (HERE / "kill").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.x[index], self.labels[index]


def gestures_and_an_end():
    parts = gestures()
    return {**parts, "train": Killing(parts["train"])}
"""

NOT_A_NUMBER = """

def gestures_that_are_none():
    parts = gestures()
    x, labels = parts["train"]
    return {**parts, "train": (x * 3e38, labels)}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    own_experiment.write(tmp_path)
    (tmp_path / "own_killing.py").write_text(KILLING)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield tmp_path
    for name in ("own_models", "own_data", "own_killing"):
        sys.modules.pop(name, None)


def carried_out(out, jobs, data="own_data.gestures", **settings):
    text = io.StringIO()
    network = {"class_path": "own_models.ConvNet", "init_args": {"channels": 3}}
    given = {"rules": ["st", "bayes"], "seeds": [0], "epochs": 3, "batch_size": 30, "name": "mine", **settings}
    found = compare(network, data, out=out, jobs=jobs, console=Console(file=text, width=200), **given)
    return found, text.getvalue()


def assert_same(one, other):
    assert [(run.rule, run.seed) for run in one.runs] == [(run.rule, run.seed) for run in other.runs]
    for first, second in zip(one.runs, other.runs, strict=True):
        assert first.history == second.history
        for name, value in first.probabilities.items():
            assert torch.equal(value, second.probabilities[name])
            assert torch.equal(first.validation_answers[name], second.validation_answers[name])
        states = [torch.load(run.folder / "last.ckpt", weights_only=True)["state_dict"] for run in (first, second)]
        for name, value in states[0].items():
            assert torch.equal(value, states[1][name]), name


def test_two_at_once_are_the_same_as_one_after_another(here):
    one, said = carried_out("one", 1)
    assert [line[:5] for line in said.splitlines() if line.startswith("[")][:2] == ["[1/2]", "[2/2]"]
    two, said = carried_out("two", 2)
    assert_same(one, two)
    lines = [line for line in said.splitlines() if line.startswith("[")][:2]
    assert [line[:5] for line in lines] == ["[1/2]", "[2/2]"]
    assert sorted(line.split()[1] for line in lines) == ["bayes-seed0", "st-seed0"]
    assert torch.get_num_threads() >= 1


def test_what_is_made_of_a_finished_run_stops_no_other(monkeypatch):
    said = queue.SimpleQueue()
    monkeypatch.setattr(runs, "_queue", said)
    shown = RunsProgress(Console(file=io.StringIO()), 1, 3)

    def fails():
        raise RuntimeError("of a network that takes no other length")

    runs._afterwards("st-seed0", fails)
    shown.take(*said.get())
    assert list(shown._under_way) == ["st-seed0"]
    shown.take(*said.get())
    assert not shown._under_way
    assert said.empty()


def test_a_killed_process_is_one_sentence_and_its_run_continues(here, capsys):
    data = "own_killing.gestures_and_an_end"
    one, _ = carried_out("one", 1, data)
    (here / "kill").touch()
    text = own_experiment.YAML.replace("own_data.gestures", data).replace("channels: 6", "channels: 3")
    text = text.replace("  - full-precision\n", "").replace(": {num_members: 3}", "").replace("epochs: 4", "epochs: 3")
    (here / "mine.yaml").write_text(text.replace("batch_size: 10", "batch_size: 30"))
    command = ["compare", "--config", "mine.yaml", "--jobs", "2", "--out", "two"]
    assert main(command) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("snntorch-binary: error: A process of a run was ended")
    assert not (here / "kill").exists()
    assert not (here / "two" / "results.json").exists()
    assert list((here / "two").glob("runs/*/last.ckpt"))
    assert main(command) == 0
    two, _ = carried_out("two", 1, data)  # nothing is left to train
    assert_same(one, two)


def test_how_many(monkeypatch):
    for cores, jobs in ((None, 1), (1, 1), (2, 2), (3, 2), (4, 2), (16, 8)):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        assert default_jobs() == jobs
    for wrong in (0, -1, 1.5, True, "2"):
        with pytest.raises(ValueError, match="Expected argument `jobs` to be a positive integer"):
            check_jobs(wrong, None)


def test_what_cannot_be_sent_to_other_processes_is_said_before_anything_is_written(here):
    with pytest.raises(ValueError, match="`jobs` to be 1 for a network or data that other processes cannot import"):
        compare(lambda: None, "own_data.gestures", out="out", jobs=2)
    assert not os.path.exists("out")


def test_an_error_in_another_process_is_the_error(here):
    """Of the kind that the caller can catch, and the others are ended."""
    (here / "own_killing.py").write_text(KILLING + NOT_A_NUMBER)
    with pytest.raises(NonFiniteLossError, match=r"The (loss|parameter conv.weight) became (nan|NaN)"):
        carried_out("out", 2, "own_killing.gestures_that_are_none", readout="membrane")


@pytest.mark.parametrize("fuse", [True, False])
def test_what_is_fused_is_said_once_a_rule(fuse, here):
    _, said = carried_out("one", 1, seeds=[0, 1], epochs=1, fuse=fuse)
    lines = [line.partition(", ")[0] for line in said.splitlines() if not line.startswith("[")]
    expected = [f"{rule}: All time steps are trained at once" for rule in ("st", "bayes")]
    assert [line for line in lines if "at once" in line] == (expected if fuse else [])


def below(pid):
    """Return the processes that a process has begun, and those that they have."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text().split()]
    return children + [other for child in children for other in below(child)]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("whom", "how"),
    [
        ("the command", signal.SIGKILL),
        pytest.param("the command", signal.SIGTERM, marks=pytest.mark.repeated),
        ("a run", signal.SIGTERM),
    ],
)
def test_no_process_outlives_another(whom, how, tmp_path):
    command = ["compare", "digits", "--jobs", "2", "--rules", "st", "--seeds", "0,1", "--epochs", "2000"]
    command += ["--limit-per-class", "5"]
    command = ["-m", "snntorch_binary", *command, "--out", tmp_path]
    running = commands.Command(command, env={**os.environ, "OMP_NUM_THREADS": "1"})

    def wait_for(happened):
        end = time.monotonic() + 240
        while not happened():
            assert time.monotonic() < end
            time.sleep(0.1)

    try:
        wait_for(lambda: len(list(tmp_path.glob("runs/*/last.ckpt"))) == 2)
        started = below(running.pid)
        assert len(started) >= 4  # two of runs, what they speak through, and what begins them
        os.kill(running.pid if whom == "the command" else max(started), how)
        assert running.wait(60) == (1 if whom == "a run" else -how)
    finally:
        running.kill()
        running.wait()
    wait_for(lambda: not any(Path("/proc", str(pid)).exists() for pid in started))


INTERRUPTED = """
import os, signal, sys, time
from snntorch_binary import _processes

signal.signal(signal.SIGINT, signal.default_int_handler)  # what is begun in the background ignores it
_processes.warm_up(2)
time.sleep(0.3)
try:
    os.killpg(os.getpgrp(), signal.SIGINT)
    time.sleep(5)
except KeyboardInterrupt:
    time.sleep(float(sys.argv[1]))  # for the other process to say something
    print("interrupted")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is begun early")
def test_an_interrupt_of_the_first_seconds_is_no_traceback_of_another_process():
    command = [sys.executable, "-c", INTERRUPTED, "6"]
    run = subprocess.run(command, capture_output=True, text=True, start_new_session=True, timeout=120)
    assert (run.stdout, run.stderr) == ("interrupted\n", "")
