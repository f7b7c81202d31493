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
from snntorch_binary.experiments.results_folder import FORMAT
from snntorch_binary.metrics import accuracy, apply_temperature, fit_temperature, negative_log_likelihood

ROW = {
    "dataset": str,
    "rule": str,
    "credit": str,
    "prediction": str,
    "trainings": int,
    "scaled": bool,
    "seed": int,
    "accuracy": float,
    "ece": float,
    "nll": float,
    "brier": float,
    "adaptive_ece": float,
    "classwise_ece": float,
    "validation_nll": float,
    "bits_per_weight": float,
    "train_seconds": float,
    "epochs": int,
}
TINY = ["--epochs", "2", "--limit-per-class", "10", "--jobs", "1"]
LINES = {  # rule, prediction, trainings: bits a weight
    ("full-precision", "single", 1): 32,
    ("full-precision", "single", 2): 64,
    ("st", "single", 1): 1,
    ("st", "single", 2): 2,
    ("bayes", "mode", 1): 1,
    ("bayes", "draw", 1): 1,
    ("bayes", "ensemble", 1): 10,
}


def rows_of(folder):
    return json.loads((folder / "results.json").read_text())


def label_of(row):
    name = row["rule"] if row["prediction"] == "single" else f"{row['rule']} {row['prediction']}"
    return name + (f" x {row['trainings']}" if row["trainings"] > 1 else "") + (", scaled" if row["scaled"] else "")


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
        assert {key: type(value) for key, value in row.items()} == ROW | (
            {"seed": type(None)} if row["trainings"] == 2 else {}
        )
        assert row["dataset"] == "digits"
        assert row["credit"] == "through-time"
        assert row["epochs"] == 2
        assert 0 <= row["accuracy"] <= 1
        assert 0 <= row["ece"] <= 1
        assert 0 <= row["brier"] <= 2
        assert row["bits_per_weight"] == LINES[row["rule"], row["prediction"], row["trainings"]]
    assert [(row["rule"], row["prediction"], row["trainings"], row["scaled"], row["seed"]) for row in rows] == [
        (*line, scaled, seed)
        for line in LINES
        for scaled in (False, True)
        for seed in ((0, 1) if line[2] == 1 else (None,))
    ]
    seconds = {(row["trainings"], row["seed"]): row["train_seconds"] for row in rows if row["rule"] == "st"}
    assert seconds[2, None] == pytest.approx(seconds[1, 0] + seconds[1, 1], abs=0.11)
    header, first, *_ = (unbroken / "results.csv").read_text().splitlines()
    assert {"trainings", "scaled", "bits_per_weight", "command"} < set(header.split(","))
    assert "full-precision,through-time,single,1,False,0," in first


def test_a_temperature_is_of_validation_data_and_changes_no_label(unbroken):
    plain, scaled = ([row for row in rows_of(unbroken) if row["scaled"] == value] for value in (False, True))
    for row, of_scaled in zip(plain, scaled, strict=True):
        assert row["accuracy"] == of_scaled["accuracy"]
        assert row["nll"] != of_scaled["nll"]
        assert of_scaled["validation_nll"] < row["validation_nll"]
    done = torch.load(unbroken / "runs/bayes-seed1/predictions.pt", weights_only=True)
    validation, test = (done[name]["ensemble"].log() for name in ("validation_answers", "probabilities"))
    temperature = fit_temperature(validation, done["validation_labels"])
    nll = negative_log_likelihood(apply_temperature(test, temperature), done["labels"])
    found = next(r for r in scaled if (r["rule"], r["prediction"], r["seed"]) == ("bayes", "ensemble", 1))
    assert found["nll"] == pytest.approx(nll, rel=1e-5)


def test_networks_of_all_seeds_together(unbroken):
    done = [torch.load(unbroken / f"runs/st-seed{seed}/predictions.pt", weights_only=True) for seed in (0, 1)]
    together = sum(run["probabilities"]["single"] for run in done) / 2
    row = next(r for r in rows_of(unbroken) if (r["rule"], r["trainings"], r["scaled"]) == ("st", 2, False))
    assert row["accuracy"] == pytest.approx(accuracy(together, done[0]["labels"]))
    assert row["nll"] == pytest.approx(negative_log_likelihood(together, done[0]["labels"]), rel=1e-5)


FAIR = (" (at its bits)", " (at its trainings)", " (at its bits and trainings)")


def test_intervals_of_differences_and_of_scores(unbroken):
    differences = json.loads((unbroken / "differences.json").read_text())
    claims = [
        "bayes ensemble - full-precision",
        "bayes ensemble - full-precision, scaled",
        "bayes ensemble - st",
        "bayes mode - bayes ensemble",
        "bayes draw - bayes mode",
        "st - full-precision",
        "bayes mode - st",
    ]
    assert list(differences)[-len(claims) :] == claims
    fair = list(differences)[: -len(claims)]
    assert all(pair.endswith(FAIR) for pair in fair)
    rows = rows_of(unbroken)

    def mean(label, score):
        values = [row[score] for row in rows if label_of(row) == label]
        assert len(values) == (1 if " x 2" in label else 2)
        return sum(values) / len(values)

    for pair, scores in differences.items():
        assert list(scores) == ["accuracy", "ece", "nll", "brier"]
        first, second = pair.partition(" (")[0].split(" - ")
        for score, found in scores.items():
            assert found["difference"] == pytest.approx(mean(first, score) - mean(second, score), abs=1e-6)
            assert found["low"] <= found["high"]
            assert found["tie"] == (found["low"] <= 0 <= found["high"])
    intervals = json.loads((unbroken / "intervals.json").read_text())
    assert list(intervals) == list(dict.fromkeys(map(label_of, rows)))
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
            *(f"shift-{name}.pt" for name in ("dead_pixels", "noise_spikes", "occlusion", "spikes_lost")),
        }  # fmt: skip
    assert not [path for path in unbroken.rglob(".*")]


def test_the_same_command_again_trains_nothing_and_says_the_same(unbroken, capsys, monkeypatch):
    before = {path: path.read_bytes() for path in unbroken.glob("*.json")}
    monkeypatch.setattr(train.L.Trainer, "fit", lambda *_, **__: pytest.fail("trained again"))
    assert main(["compare", "digits", *TINY, "--seeds", "0,1", "--out", str(unbroken)]) == 0
    assert {path: path.read_bytes() for path in unbroken.glob("*.json")} == before
    text = capsys.readouterr().out
    first, *lines = text.splitlines()
    assert first == "6 of 6 were done before, and are not trained again."
    assert lines[0].startswith("[1/6] full-precision-seed0")
    assert all("validation accuracy" in line for line in lines[:6])
    assert "mode" in lines[2]
    assert "ensemble" in lines[2]
    assert max(len(line) for line in lines if str(unbroken) not in line) <= 120  # a folder's name may be longer
    for word in ("st, scaled", "st x 2", "bayes mode", "(at its bits)", "paired differences", "results.json"):
        assert word in text


def test_fewer_rules_and_seeds_use_what_is_there(unbroken, monkeypatch, tmp_path):
    monkeypatch.setattr(train.L.Trainer, "fit", lambda *_, **__: pytest.fail("trained again"))
    before, out = rows_of(unbroken), tmp_path / "out"
    shutil.copytree(unbroken, out)
    assert main(["compare", "digits", *TINY, "--rules", "bayes,st", "--seeds", "1", "--out", str(out)]) == 0
    rows = rows_of(out)
    assert rows == [row for row in before if row["rule"] in ("st", "bayes") and row["seed"] == 1]
    assert {row["trainings"] for row in rows} == {1}


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
        passes = 1 + 10 if rule == "bayes" else 1  # of each part once; a posterior's mode and its members
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
    assert [label_of(row) for row in rows] == ["full-precision", "full-precision, scaled", "st", "st, scaled"]
    done = [torch.load(path, weights_only=True) for path in sorted(tmp_path.glob("runs/st-*/predictions.pt"))]
    assert len(done) == 3
    labels = torch.cat([run["labels"] for run in done])
    correct = torch.cat([run["probabilities"]["single"] for run in done]).argmax(1) == labels
    assert rows[2]["accuracy"] == pytest.approx(correct.double().mean().item())
    scaled = []
    for run in done:  # each fold by a temperature of its own; logarithms of probabilities are scores up to a constant
        validation, test = (run[of]["single"].log() for of in ("validation_answers", "probabilities"))
        scaled.append(apply_temperature(test, fit_temperature(validation, run["validation_labels"])))
    assert rows[3]["nll"] == pytest.approx(negative_log_likelihood(torch.cat(scaled), labels), rel=1e-5)


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
    assert [label_of(row) for row in rows_of(out) if not row["scaled"]] == [
        "bayes mode",
        "bayes draw",
        "bayes ensemble",
    ]


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
