"""Killed at any file event, told to end, or on a full disk: the same command ends with the unbroken run's results."""

import json
import os
import re
import subprocess
from pathlib import Path

import commands
import pytest
import torch

pytest.importorskip("lightning")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="faults come to processes that are forked")

COMPARE = ["compare", "digits", "--rules", "bayes", "--seeds", "0", "--epochs", "2", "--limit-per-class", "2"]
COMPARE += ["--jobs", "1"]  # faults come to one process
FIT = [
    *("fit", "--config", "digits-bayes", "--model.init_args.net.init_args.hidden_sizes", "[8]"),
    *("--data.limit_per_class", "2", "--trainer.max_epochs", "3"),
]
COMMANDS = {"compare": [*COMPARE, "--out", "out"], "fit": FIT, "tune": ["population"]}


def struck(folder, fault, step, command):
    """Run a command with faults; return what was seen."""
    if command == "tune":
        pytest.importorskip("ray.tune")
    program = [Path(__file__).with_name("faults.py"), folder, fault, step]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = commands.run([*program, *COMMANDS[command]], env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "faults.json").read_text())


def results(folder, command):
    """What a command has come to, without the time it took."""
    if command == "fit":
        last = max(folder.rglob("last.ckpt"), key=lambda path: int(path.parts[-3].removeprefix("version_")))
        found = {"last": torch.load(last, weights_only=True)}
    else:
        found = {
            str(path.relative_to(folder)): torch.load(path, weights_only=True)
            for path in sorted(
                (*folder.rglob("predictions.pt"), *folder.rglob("last.ckpt"), *folder.rglob("winner.ckpt"))
            )
        }
    plain = {}
    for name, contents in found.items():
        kept = contents.get("state_dict", contents)
        plain[name] = {key: value for key, value in kept.items() if key != "train_seconds"}
    for path in folder.rglob("*.json"):
        if path.name in ("results.json", "differences.json", "intervals.json"):
            plain[path.name] = re.sub(r'"train_seconds": [0-9.e-]+', "", path.read_text())
    return plain


def assert_same(one, other, where):
    assert one.keys() == other.keys(), where
    for name, value in one.items():
        if isinstance(value, dict):
            assert_same(value, other[name], f"{where} {name}")
        elif isinstance(value, torch.Tensor):
            assert torch.equal(value, other[name]), (where, name)
        else:
            assert value == other[name], (where, name)


def check(folder, fault, command, seen):
    unbroken = results(folder / "unbroken", command)
    assert unbroken
    for run in seen["runs"]:
        code, said = run["first"]
        where = (run["at"], run["event"], said)
        if fault == "kill":
            assert code == -9, where
        elif fault == "full":
            assert code in (0, 1), where
            assert "Traceback" not in said, where
            assert (code == 0) or "No space left on device" in said, where
        assert "Traceback" not in run["again"][1], (where, run["again"])
        assert run["again"][0] == 0, (where, run["again"])
        assert_same(unbroken, results(folder / str(run["at"]), command), where)
        assert not [path for path in (folder / str(run["at"])).rglob(".*.part")], where


@pytest.mark.parametrize(
    ("command", "fault", "step"),
    [
        ("compare", "kill", 23),
        ("fit", "kill", 15),
        pytest.param("fit", "full", 23, marks=pytest.mark.repeated),
        pytest.param("tune", "kill", 83, marks=pytest.mark.repeated),
    ],
)
def test_some_faults(command, fault, step, tmp_path):
    check(tmp_path, fault, command, struck(tmp_path, fault, step, command))


@pytest.mark.repeated
@pytest.mark.parametrize("fault", ["kill", "full", "term"])
@pytest.mark.parametrize("command", COMMANDS)
def test_all_faults(command, fault, tmp_path):
    seen = struck(tmp_path, fault, 1, command)
    print(f"{command}, {fault}: {len(seen['runs'])} events")
    check(tmp_path, fault, command, seen)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of a few kilobytes, and what makes it larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "none", str(folder), "-o"]
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root mounts a file system")

    def resize(kilobytes):
        options = f"size={kilobytes}k" if not os.path.ismount(folder) else f"remount,size={kilobytes}k"
        done = subprocess.run([*mount, options], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        return folder

    yield resize
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)


@pytest.mark.parametrize(
    "kilobytes", [300, *(pytest.param(size, marks=pytest.mark.repeated) for size in (8, 60, 150, 220, 400))]
)
def test_full_disk(kilobytes, small_disk, tmp_path):
    """A disk that is full in truth, at whatever file, and has room later."""

    def run(folder):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        return commands.run(["-m", "snntorch_binary", *COMPARE, "--out", folder / "out"], env=environment)

    assert run(tmp_path / "unbroken").returncode == 0
    disk = small_disk(kilobytes)
    full = run(disk)
    assert full.returncode == 1, full.stderr
    assert "No space left on device" in full.stderr
    assert "Traceback" not in full.stderr
    again = run(small_disk(64_000))
    assert again.returncode == 0, again.stderr
    assert_same(results(tmp_path / "unbroken", "compare"), results(disk, "compare"), kilobytes)
