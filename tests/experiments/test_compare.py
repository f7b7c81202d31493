import json
import shutil
import signal
import time

import commands
import pytest
import torch
from matplotlib.image import imread

from snntorch_binary.cli import main
from snntorch_binary.experiments.compare import surface, train
from snntorch_binary.experiments.config import find, read_experiment
from snntorch_binary.experiments.experiment import Experiment
from snntorch_binary.experiments.runs import FORMAT

ROW = {
    "dataset": str,
    "rule": str,
    "credit": str,
    "prediction": str,
    "seed": int,
    "accuracy": float,
    "ece": float,
    "nll": float,
    "brier": float,
    "adaptive_ece": float,
    "classwise_ece": float,
    "bits_per_weight": float,
    "train_seconds": float,
    "epochs": int,
}
TINY = ["--epochs", "2", "--limit-per-class", "10", "--jobs", "1"]
LINES = [
    ("full-precision", "single"),
    ("temperature-scaled", "single"),
    ("st", "single"),
    ("bayes", "mode"),
    ("bayes", "ensemble"),
]


def rows_of(folder):
    return json.loads((folder / "results.json").read_text())


def without_time(rows):
    return [{key: value for key, value in row.items() if key != "train_seconds"} for row in rows]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    out = tmp_path_factory.mktemp("compare") / "deep" / "digits"
    assert main(["compare", "digits", *TINY, "--seeds", "0,1", "--out", str(out)]) == 0
    return out


def test_rows(unbroken):
    rows = rows_of(unbroken)
    for row in rows:
        assert {key: type(value) for key, value in row.items()} == ROW
        assert row["dataset"] == "digits"
        assert row["credit"] == "through-time"
        assert row["epochs"] == 2
        assert 0 <= row["accuracy"] <= 1
        assert 0 <= row["ece"] <= 1
        assert 0 <= row["brier"] <= 2
    assert [(row["rule"], row["prediction"], row["seed"]) for row in rows] == [
        (*line, seed) for line in LINES for seed in (0, 1)
    ]
    bits = {(row["rule"], row["prediction"]): row["bits_per_weight"] for row in rows}
    assert bits == dict(zip(LINES, (32, 32, 1, 1, 10), strict=True))
    by_line = {(row["rule"], row["seed"]): row for row in rows if row["prediction"] == "single"}
    for seed in (0, 1):
        plain, scaled = by_line["full-precision", seed], by_line["temperature-scaled", seed]
        assert plain["accuracy"] == scaled["accuracy"]
        assert plain["nll"] != scaled["nll"]


def test_intervals_of_differences_and_of_scores(unbroken):
    differences = json.loads((unbroken / "differences.json").read_text())
    assert list(differences) == [
        "bayes ensemble - full-precision",
        "bayes ensemble - temperature-scaled",
        "bayes ensemble - st",
        "bayes mode - bayes ensemble",
        "st - full-precision",
        "bayes mode - st",
    ]
    rows = rows_of(unbroken)

    def mean(label, score):
        values = [
            row[score]
            for row in rows
            if label == (row["rule"] if row["prediction"] == "single" else f"{row['rule']} {row['prediction']}")
        ]
        assert len(values) == 2
        return sum(values) / 2

    for pair, scores in differences.items():
        assert list(scores) == ["accuracy", "ece", "nll", "brier"]
        first, second = pair.split(" - ")
        for score, found in scores.items():
            assert found["difference"] == pytest.approx(mean(first, score) - mean(second, score), abs=1e-6)
            assert found["low"] <= found["high"]
            assert found["tie"] == (found["low"] <= 0 <= found["high"])
    intervals = json.loads((unbroken / "intervals.json").read_text())
    assert list(intervals) == ["full-precision", "temperature-scaled", "st", "bayes mode", "bayes ensemble"]
    for label, scores in intervals.items():
        assert list(scores) == ["accuracy", "nll", "brier"]
        for score, found in scores.items():
            assert found["mean"] == pytest.approx(mean(label, score), abs=1e-6)
            assert found["low"] < found["mean"] < found["high"]


def test_pictures_and_checkpoints(unbroken):
    assert imread(unbroken / "reliability.png").shape[1] > 1000
    assert imread(unbroken / "learning_curve.png").shape[1] > 500
    assert imread(unbroken / "rejection.png").shape[1] > 500
    runs = sorted(path.name for path in (unbroken / "runs").iterdir())
    assert runs == sorted(f"{rule}-seed{seed}" for rule in ("full-precision", "st", "bayes") for seed in (0, 1))
    for run in runs:
        kept = torch.load(unbroken / "runs" / run / "last.ckpt", weights_only=True)
        assert kept["epoch"] == 1
        assert {path.name for path in (unbroken / "runs" / run).iterdir()} == {
            "description.json", "last.ckpt", "predictions.pt", "record.json",
        }  # fmt: skip
    assert not [path for path in unbroken.rglob(".*")]


def test_the_same_command_again_trains_nothing_and_says_the_same(unbroken, capsys, monkeypatch):
    before = {path: path.read_bytes() for path in unbroken.glob("*.json")}
    monkeypatch.setattr(train.L.Trainer, "fit", lambda *_, **__: pytest.fail("trained again"))
    assert main(["compare", "digits", *TINY, "--seeds", "0,1", "--out", str(unbroken)]) == 0
    assert {path: path.read_bytes() for path in unbroken.glob("*.json")} == before
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert lines[0].startswith("[1/6] full-precision-seed0")
    assert all("validation accuracy" in line for line in lines[:6])
    assert "mode" in lines[2]
    assert "ensemble" in lines[2]
    assert max(len(line) for line in lines if str(unbroken) not in line) <= 120  # a folder's name may be longer
    for word in ("temperature-scaled", "bayes mode", "bayes ensemble", "paired differences", "results.json"):
        assert word in text


def test_fewer_rules_and_seeds_use_what_is_there(unbroken, monkeypatch, tmp_path):
    monkeypatch.setattr(train.L.Trainer, "fit", lambda *_, **__: pytest.fail("trained again"))
    before, out = rows_of(unbroken), tmp_path / "out"
    shutil.copytree(unbroken, out)
    assert main(["compare", "digits", *TINY, "--rules", "bayes,st", "--seeds", "1", "--out", str(out)]) == 0
    rows = rows_of(out)
    assert rows == [row for row in before if row["rule"] in ("st", "bayes") and row["seed"] == 1]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (["--epochs", "3"], "epochs"),
        (["--limit-per-class", "9"], "data.limit_per_class"),
        (["--folds", "2"], "num_folds"),
        (["--hidden", "7"], "rules.bayes.network.init_args.hidden_sizes"),
    ],
)
def test_other_settings_are_not_mixed(unbroken, change, name, capsys):
    before = {path: path.stat().st_mtime_ns for path in unbroken.rglob("*")}
    assert main(["compare", "digits", *TINY, *change, "--seeds", "0,1", "--out", str(unbroken)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"snntorch-binary: error: {unbroken} holds runs with other settings (")
    assert name in error
    assert error.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in unbroken.rglob("*")} == before


def test_a_folder_of_another_version_is_left(tmp_path, capsys):
    (tmp_path / "runs").mkdir()
    (tmp_path / "settings.json").write_text(json.dumps({"format": FORMAT - 1, "dataset": "digits"}))
    assert main(["compare", "digits", *TINY, "--out", str(tmp_path)]) == 1
    said = f"{tmp_path} holds runs of another version of this package; give another --out or remove the folder."
    assert capsys.readouterr().err == f"snntorch-binary: error: {said}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "settings.json"]


@pytest.mark.parametrize("trained", ["st-seed0/last.ckpt", "bayes-seed0/last.ckpt"])
def test_killed_it_continues_and_gives_the_same(trained, unbroken, tmp_path):
    out = tmp_path / "out"
    arguments = ["compare", "digits", *TINY, "--seeds", "0,1", "--out", str(out)]
    process = commands.Command(["-m", "snntorch_binary", *arguments])
    while not (out / "runs" / trained).exists():  # after an epoch of this run
        assert process.poll() is None, process.said()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "results.json").exists()
    assert main(arguments) == 0
    assert without_time(rows_of(out)) == without_time(rows_of(unbroken))
    for name in ("differences.json", "intervals.json"):
        assert (out / name).read_bytes() == (unbroken / name).read_bytes()
    histories = [
        torch.load(folder / "runs/bayes-seed1/predictions.pt", weights_only=True)["history"]
        for folder in (out, unbroken)
    ]
    assert histories[0] == histories[1]


@pytest.mark.parametrize("dataset", ["digits", "two-moons"])
def test_every_rule_seed_and_member_sees_the_same_test_spikes(dataset, tmp_path, monkeypatch):
    seen = {}
    original = train._tested

    def recording(module, rule, data, say):
        inputs = []
        handle = module.net.register_forward_pre_hook(lambda net, given: inputs.append(given[0].clone()))
        found = original(module, rule, data, say)
        handle.remove()
        seen[rule.name, len(seen)] = inputs
        return found

    monkeypatch.setattr(train, "_tested", recording)
    monkeypatch.setattr(surface, "_RESOLUTION", 12)  # the picture of a paper takes minutes
    arguments = ["--epochs", "1", "--limit-per-class", "4", "--seeds", "0,3"]
    assert main(["compare", dataset, *arguments, "--out", str(tmp_path / "out")]) == 0
    assert [rule for rule, _ in seen] == 2 * ["full-precision", "st", "bayes"]
    firsts = next(iter(seen.values()))
    validation, test = firsts[0], firsts[-1]
    assert validation.sum() > 0
    assert not (validation.shape == test.shape and torch.equal(validation, test))
    for (rule, _), inputs in seen.items():
        # of each part once for the class scores and once for the answers; with an ensemble also mode and members
        passes = 1 + 1 + (10 if rule == "bayes" else 0)
        assert len(inputs) == 2 * passes
        assert all(torch.equal(validation, x) for x in inputs[:passes])
        assert all(torch.equal(test, x) for x in inputs[passes:])


def test_every_rule_starts_from_the_same_float_network_up_to_its_drive(tmp_path, monkeypatch):
    starts = {}
    original = Experiment.make_network

    def recording(experiment, rule, data, seed, fold=0):
        net, drive = original(experiment, rule, data, seed, fold), experiment.network_of(rule).init_args["drive"]
        starts[rule.name] = {name: value / drive for name, value in net.state_dict().items()}
        return net

    monkeypatch.setattr(Experiment, "make_network", recording)
    monkeypatch.setattr(surface, "_RESOLUTION", 12)  # the picture of a paper takes minutes
    assert main(["compare", "two-moons", *TINY, "--epochs", "1", "--seeds", "5", "--out", str(tmp_path)]) == 0
    first = starts.pop("full-precision")
    assert len(starts) == 2
    for start in starts.values():
        for name in ("1.weight", "3.weight", "5.weight"):
            torch.testing.assert_close(start[name], first[name])


def test_folds_on_digits(tmp_path, capsys):
    arguments = [
        "--epochs",
        "1",
        "--limit-per-class",
        "6",
        "--folds",
        "3",
        "--seeds",
        "0",
        "--rules",
        "st,full-precision",
    ]
    assert main(["compare", "digits", *arguments, "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "[6/6]" in text
    assert ".." in text.split("paired differences")[0]  # NLL and Brier with intervals
    assert "95 % bootstrap interval" in text
    rows = rows_of(tmp_path)
    assert [(row["rule"], row["seed"]) for row in rows] == [
        ("full-precision", 0), ("temperature-scaled", 0), ("st", 0),
    ]  # fmt: skip
    done = [torch.load(path, weights_only=True) for path in sorted(tmp_path.glob("runs/st-*/predictions.pt"))]
    assert len(done) == 3
    labels = torch.cat([run["labels"] for run in done])
    correct = torch.cat([run["probabilities"]["single"] for run in done]).argmax(1) == labels
    assert rows[2]["accuracy"] == pytest.approx(correct.double().mean().item())


def test_poker_dvs_is_cross_validated(real_data, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["--data-dir", real_data, "--epochs", "1", "--seeds", "0", "--out", str(out)]
    assert main(["compare", "poker-dvs", *arguments]) == 0
    assert "[15/15]" in capsys.readouterr().out
    tested = [torch.load(path, weights_only=True)["labels"] for path in out.glob("runs/bayes-*/predictions.pt")]
    assert len(tested) == 5
    assert sum(map(len, tested)) == 131
    assert {row["epochs"] for row in rows_of(out)} == {1}


@pytest.mark.parametrize(
    ("classes", "folds", "num_tested"), [("8,9", [], 2 * 5), ("all", ["--folds", "2"], 2 * 5 * 10)]
)
def test_nmnist(real_data, classes, folds, num_tested, tmp_path):
    if classes == "all":
        pytest.importorskip("tonic")
    out = tmp_path / "out"
    arguments = ["--data-dir", real_data, "--classes", classes, *folds, "--limit-per-class", "5"]
    arguments += ["--epochs", "1", "--seeds", "0", "--rules", "bayes", "--out", str(out)]
    assert main(["compare", "nmnist", *arguments]) == 0
    tested = torch.cat([torch.load(path, weights_only=True)["labels"] for path in out.glob("runs/*/predictions.pt")])
    assert len(tested) == num_tested
    assert [row["prediction"] for row in rows_of(out)] == ["mode", "ensemble"]


def folds_of(name, *options):
    """The folds of what a command would compare."""
    from snntorch_binary.cli import _parser
    from snntorch_binary.commands.compare import _experiment

    return _experiment(_parser().parse_args(["compare", name, *options])).num_folds


def test_sets_are_cross_validated_where_the_test_part_is_small():
    assert folds_of("nmnist", "--classes", "6,7,8,9") is None
    assert folds_of("nmnist") == folds_of("poker-dvs") == folds_of("poker-dvs", "--classes", "0,1") == 5
    assert folds_of("mnist") is None
    assert folds_of("digits", "--folds", "3") == 3


@pytest.mark.parametrize(
    ("name", "rules", "credit", "found"),
    [
        ("digits", None, "through-time", "digits"),
        ("digits", ("bayes",), "through-time", "digits"),
        ("digits", ("vowel-binary", "bayes"), "through-time", "digits-vowel"),
        ("digits", ("softlif",), "through-time", "digits-softlif"),
        ("mnist", None, "local", "mnist-local"),
        ("mnist", ("st",), "online", "mnist-local"),
        ("mnist-dvs", ("vowel-wta",), "through-time", "mnist-dvs-vowel"),
        ("digits-local", ("st",), "through-time", "digits-local"),
    ],
)
def test_a_name_and_rules_find_the_experiment_that_ships(name, rules, credit, found):
    path = find(name, rules, credit)
    assert path.stem == found
    experiment = read_experiment(path, rules)
    assert rules is None or tuple(rule.name for rule in experiment.rules) == rules


def test_no_other_data_set_stands_in():
    """mnist-dvs-vowel has this rule, and its name begins with mnist."""
    with pytest.raises(ValueError, match=r"one of the experiments mnist, mnist-local, .* has .* but got vowel-wta"):
        find("mnist", ("vowel-wta",), "through-time")
