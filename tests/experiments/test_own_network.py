"""A new user's path: a network and recordings of his own through every command, and the same in Python."""

import csv
import importlib
import io
import json
import os
import shutil
import signal
import sys
import time

import commands
import own_experiment
import pytest
import torch
from rich.console import Console

import snntorch_binary as sb
from snntorch_binary.cli import main
from snntorch_binary.experiments import compare, load_run

RUNS = ["bayes-seed0", "full-precision-seed0", "st-seed0"]


@pytest.fixture(scope="module")
def user(tmp_path_factory):
    """The user's folder, in which a comparison was killed after its first run and then continued."""
    here = tmp_path_factory.mktemp("user") / "gestures"
    own_experiment.write(here)
    assert len((here / "mine.yaml").read_text().splitlines()) == 12
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = ["-m", "snntorch_binary", "compare", "--config", "mine.yaml", "--jobs", "1"]
    process = commands.Command(command, here, environment)
    first = here / "results/gestures/runs/full-precision-seed0/predictions.pt"
    while not first.exists():
        assert process.poll() is None, process.said()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (here / "results/gestures/results.json").exists()
    kept = first.stat().st_mtime_ns
    with of_user(here):
        assert main(command[2:]) == 0
    assert first.stat().st_mtime_ns == kept
    return here


class of_user:
    """What a process has in a user's folder: this is its current one, and his modules are no other's."""

    def __init__(self, here):
        self.here, self.patch = here, pytest.MonkeyPatch()

    def __enter__(self):
        self.patch.chdir(self.here)
        self.patch.setattr(sys, "path", list(sys.path))
        for name in ("own_models", "own_data"):
            sys.modules.pop(name, None)

    def __exit__(self, *_):
        self.patch.undo()
        for name in ("own_models", "own_data"):
            sys.modules.pop(name, None)


@pytest.fixture
def here(user):
    with of_user(user):
        yield user


def rows_of(folder):
    rows = json.loads((folder / "results.json").read_text())
    return [{key: value for key, value in row.items() if key != "train_seconds"} for row in rows]


def answers(folder, run):
    return torch.load(folder / "runs" / run / "predictions.pt", weights_only=True)


def test_what_is_written(here):
    out = here / "results" / "gestures"
    assert sorted(path.name for path in (out / "runs").iterdir()) == RUNS
    rows = rows_of(out)
    assert {row["dataset"] for row in rows} == {"gestures"}
    best = {row["rule"]: row["accuracy"] for row in rows if row["prediction"] in ("single", "ensemble")}
    assert min(best.values()) > 0.6, best  # chance is 1/3
    for name in ("reliability.png", "rejection.png", "learning_curve.png", "differences.json", "intervals.json"):
        assert (out / name).stat().st_size > 100


def test_killed_and_continued_it_is_the_same_in_ten_lines_of_python(here):
    sys.path.insert(0, str(here))
    own_models, own_data = importlib.import_module("own_models"), importlib.import_module("own_data")
    found = compare(
        {"class_path": "own_models.ConvNet", "init_args": {"channels": 6}},
        own_data.gestures,
        ["full-precision", "st", {"bayes": {"num_members": 3}}],
        epochs=4,
        batch_size=10,
        seeds=[0],
        out="in_python",
        console=Console(file=io.StringIO()),
    )
    assert [run.rule for run in found.runs] == ["full-precision", "st", "bayes"]
    assert isinstance(found.load(found.runs[0])[0].net, own_models.ConvNet)
    assert rows_of(here / "in_python") == rows_of(here / "results" / "gestures")
    for run in RUNS:
        first, second = (answers(folder, run) for folder in (here / "in_python", here / "results" / "gestures"))
        assert torch.equal(first["labels"], second["labels"])
        assert all(torch.equal(value, second["probabilities"][key]) for key, value in first["probabilities"].items())


def test_balanced_latents_are_rules_too(here):
    sys.path.insert(0, str(here))
    own_data = importlib.import_module("own_data")
    network = {"class_path": "own_models.ConvNet", "init_args": {"channels": 6}}
    options = {"epochs": 4, "batch_size": 10, "seeds": [0], "out": "balanced", "console": Console(file=io.StringIO())}
    found = compare(network, own_data.gestures, ["st", "balanced", "balanced-bayes"], **options)
    rules = [{layer.rule for layer in sb.weights.binary_layers(found.load(run)[0]).values()} for run in found.runs]
    assert rules[1:] == [{sb.BalancedSign()}, {sb.BalancedBernoulli()}]
    rows = [row for row in rows_of(here / "balanced") if row["scaled"] is False and row["trainings"] == 1]
    scores = {(row["rule"], row["prediction"]): row for row in rows}
    single, ensemble = scores["balanced", "single"], scores["balanced-bayes", "ensemble"]
    assert (single["bits_per_weight"], ensemble["bits_per_weight"]) == (1.0, 10.0)
    assert min(single["accuracy"], ensemble["accuracy"]) > 0.6
    how = ["--network", "own_models.ConvNet", "--data", "own_data.gestures"]
    for run, row in (("balanced-seed0", single), ("balanced-bayes-seed0", ensemble)):
        assert main(["evaluate", f"balanced/runs/{run}", *how, "--out", "balanced/scores.json"]) == 0
        again = {one["prediction"]: one for one in json.loads((here / "balanced" / "scores.json").read_text())}
        assert again[row["prediction"]]["nll"] == pytest.approx(row["nll"], rel=1e-6)


@pytest.mark.parametrize("how", [["--network", "own_models.ConvNet"], ["--config", "mine.yaml"]])
def test_predict(how, here, tmp_path):
    run = here / "results/gestures/runs/bayes-seed0"
    out = tmp_path / "answers.csv"
    assert main(["predict", str(run), "recordings/test", *how, "--out", str(out), "--quiet"]) == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows[:2]] == ["0/0.npy", "0/1.npy"]
    expected = answers(here / "results/gestures", "bayes-seed0")["probabilities"]
    for column, name in (("probability", "ensemble"), ("mode_probability", "mode")):
        found = torch.tensor([float(row[column]) for row in rows])
        torch.testing.assert_close(found, expected[name].amax(1), rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    "how", [["--network", "own_models.ConvNet", "--data", "own_data.gestures"], ["--config", "mine.yaml"]]
)
def test_evaluate(how, here, tmp_path):
    run = here / "results/gestures/runs/bayes-seed0"
    assert main(["evaluate", str(run), *how, "--out", str(tmp_path / "scores.json")]) == 0
    found = {row["prediction"]: row for row in json.loads((tmp_path / "scores.json").read_text())}
    for row in (row for row in rows_of(here / "results/gestures") if row["rule"] == "bayes"):
        for score in ("accuracy", "ece", "nll", "brier", "bits_per_weight"):
            assert found[row["prediction"]][score] == pytest.approx(row[score], rel=1e-6)


@pytest.mark.parametrize("rule", ["full-precision", "st"])
def test_export_to_plain_torch(rule, here, tmp_path):
    run = here / "results/gestures/runs" / f"{rule}-seed0"
    command = ["export", "--to", "torch", str(run), str(tmp_path / "net.pt"), "--network", "own_models.ConvNet"]
    assert main([*command, "--quiet"]) == 0
    own_models = importlib.import_module("own_models")
    net = own_models.ConvNet(channels=6)
    net.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    x = (torch.rand(6, 4, 2, 8, 8) < 0.3).float()
    trained = load_run(run, own_models.ConvNet).net
    for found, expected in zip(net.eval()(x), trained(x), strict=True):
        torch.testing.assert_close(found, expected)


def test_packed(here, tmp_path):
    """A network with a loop of its own is recorded, and its file answers as it did."""
    run, out = str(here / "results/gestures/runs/st-seed0"), tmp_path / "net.safetensors"
    assert main(["export", "--to", "packed", run, str(out), "--network", "own_models.ConvNet"]) == 0
    trained, packed = load_run(run, "own_models.ConvNet"), sb.load_packed(out)
    shape = (7, 5, *trained.description.input_shape)
    x = torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(1)).float()
    with torch.no_grad():
        found, expected = packed(x), trained.net(x)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
    assert expected[0].sum() > 0


def test_packed_members(here, tmp_path):
    """The members of a network with a loop of its own, in one file, answer as those of the run."""
    run, out = str(here / "results/gestures/runs/bayes-seed0"), tmp_path / "members.safetensors"
    command = ["export", "--to", "packed", "--members", "3", run, str(out)]
    assert main([*command, "--network", "own_models.ConvNet"]) == 0
    trained, packed = load_run(run, "own_models.ConvNet"), sb.load_packed(out)
    shape = (7, 5, *trained.description.input_shape)
    x = torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(1)).float()
    ensemble = sb.Ensemble(trained.net, num_members=3, **trained.description.reading)
    torch.testing.assert_close(packed(x), ensemble(x))
    torch.testing.assert_close(packed.predict(x).probs, ensemble.predict(x).probs)
    assert not torch.equal(packed(x)[0], packed(x)[1])


def test_summary(here, capsys):
    run = str(here / "results/gestures/runs/bayes-seed0")
    assert main(["summary", run, "--network", "own_models.ConvNet"]) == 0
    out = capsys.readouterr().out
    assert "conv" in out
    assert f"{6 * 2 * 9 + 6 * 16 * 3:,} binary weights" in out


def test_words_of_a_file_are_no_names_for_a_users_class(here, tmp_path, capsys):
    """A path that his own YAML says is his; one that only a file says is not."""
    run = tmp_path / "run"
    shutil.copytree(here / "results/gestures/runs/st-seed0", run)
    said = json.loads((run / "description.json").read_text())
    said["network"]["init_args"] |= {"beta": "some/file.txt"}
    (run / "description.json").write_text(json.dumps(said))
    assert main(["summary", str(run), "--network", "own_models.ConvNet"]) == 1
    assert "name what is none of this package; where they are yours, give the exp" in capsys.readouterr().err
    text = (here / "mine.yaml").read_text().replace("channels: 6", "channels: 6, beta: 0.9")
    (here / "other.yaml").write_text(text)
    assert main(["summary", str(run), "--config", "other.yaml", "--quiet"]) == 0


@pytest.mark.parametrize("command", ["summary", "predict", "evaluate", "export"])
def test_a_file_chooses_no_class(command, here, capsys, tmp_path):
    """Unless the user names it, not even that of his own folder is imported."""
    run = str(here / "results/gestures/runs/bayes-seed0")
    more = {"export": ["--to", "torch", "{out}"], "predict": ["recordings/test"]}.get(command, [])
    arguments = [command, run, *(word.format(out=tmp_path / "net") for word in more)]
    if command == "export":
        arguments = ["export", "--to", "torch", run, str(tmp_path / "net")]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert "name it yourself, as --network own_models.ConvNet" in error
    assert error.count("\n") == 1
    assert "own_models" not in sys.modules
