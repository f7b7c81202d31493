"""`tune`: files of networks, rules and data, each mistake one sentence, and the winner read from its folder."""

import json
from contextlib import nullcontext

import pytest

pytest.importorskip("ray.tune", reason="Ray is not installed")

import yaml

from snntorch_binary.cli import main
from snntorch_binary.experiments.config import shipped
from snntorch_binary.experiments.description import load_run
from snntorch_binary.experiments.tune import populations
from snntorch_binary.experiments.tune.config import SHIPPED, read_tuning
from snntorch_binary.experiments.tune.members import DataOf, replayed
from snntorch_binary.lightning import BayesBiSNN
from snntorch_binary.tune import Quadratic, population
from snntorch_binary.tune.interval import train_or_find
from snntorch_binary.tune.lineage import write_report
from snntorch_binary.tune.space import first_values

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
]


def test_shipped_configurations_can_be_read():
    assert set(shipped(SHIPPED)) == {"toy-quadratic", "digits-bayes-pbt", "nmnist-bayes-pbt"}
    toy = read_tuning("toy-quadratic")
    assert isinstance(toy.modules(None)(), Quadratic)
    digits = read_tuning("digits-bayes-pbt", population=4, seeds=(7,), epochs=20, slots=2)
    assert (digits.plan.population, digits.plan.epochs, digits.plan.seed, digits.seeds) == (4, 20, 7, (7,))
    assert digits.resources.slots == 2
    data = digits.data_of(3)
    assert digits.plain(3)["data"]["seed"] == data.seed == 3
    module = digits.modules(data)()
    assert isinstance(module, BayesBiSNN)
    assert (module.lr, module.base_lr, module.rho, module.readout_scale) == (0.3, 0.001, 0.0, 5.0)
    nmnist = read_tuning("nmnist-bayes-pbt", data_dir="D")
    assert nmnist.data.data_dir == "D"
    assert "D" not in json.dumps(nmnist.plain(0))


def test_a_winner_by_the_command_line_is_what_tune_trains():
    """Sections of fit for a shipped set and a class; none for what fit has no words for."""
    digits = read_tuning("digits-bayes-pbt")
    data = digits.data_of(1)
    sections = replayed(digits.modules(data), data)
    assert sections["data"] == {"name": "digits", "classes": "all", "batch_size": 50, "seed": 1}
    assert sections["model"]["class_path"] == "snntorch_binary.lightning.bayes_bisnn.BayesBiSNN"
    assert sections["model"]["init_args"]["net"]["init_args"]["input_size"] == 64
    assert sections["model"]["init_args"]["lr"] == 0.3
    assert digits.replayable


def edited(tmp_path, **changes):
    """The digits' configuration with other values, as a file."""
    config = yaml.safe_load(shipped(SHIPPED)["digits-bayes-pbt"].read_text())
    for path, value in changes.items():
        *sections, name = path.split("__")
        inner = config
        for section in sections:
            inner = inner[section]
        if value is None:
            del inner[name]
        else:
            inner[name] = value
    (tmp_path / "it.yaml").write_text(yaml.safe_dump(config))
    return str(tmp_path / "it.yaml")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"interval": 100}, ["`interval`", "divisor", "60", "100"]),
        ({"population": 1}, ["`population`", "at least 2"]),
        ({"metric": None}, ["metric"]),
        ({"popolation": 8}, ["popolation"]),
        ({"space": None}, ["space"]),
        ({"trainer": {"max_epochs": 3}}, ["trainer"]),
        ({"network__class_path": "torch.nn.LSTM"}, ["`network`", "LSTM"]),
        ({"network__class_path": "os.getcwd", "network__init_args": {}}, ["`network`", "a torch.nn.Module"]),
        ({"network__class_path": "nope.X"}, ["`network` to be a class or function that can be imported", "nope.X"]),
        ({"network": None}, ["`network` to be given with a rule, or a model in its place, but got neither"]),
        ({"model": {"class_path": "torch.nn.Linear"}}, ["but got both"]),
        (
            {"network": None, "model": {"class_path": "torch.nn.Flatten"}, "rule": None},
            ["`model`", "a LightningModule"],
        ),
        ({"rule": None}, ["`rule` to be given with a network"]),
        ({"data": None}, ["`data` to be given with a network"]),
        ({"rule__bayes__lr": -1.0}, ["`lr`", "positive"]),
        ({"rule__bayes__lrr": 1.0}, ["`rules.bayes`", "lrr"]),
        ({"rule": {"st": {}, "bayes": {}}}, ["`rule` to be one rule, but got bayes, st"]),
        ({"data": "cifar"}, ["`name`", "'cifar'"]),
        ({"space__lr__high": 0.01}, ["`space.lr.high`", "0.03"]),
        ({"space__lr": ["low"]}, ["`space.lr`", "low, high", "['low']"]),
        ({"quantile": "abc"}, ["quantile", "abc"]),
        ({"quantile": 0.7}, ["`quantile`", "a float in (0, 0.5]"]),
        ({"factors": 1.2}, ["factors"]),
        ({"factors": [0.8, -1.0]}, ["`factors`", "two positive floats"]),
        ({"start": {"lr": 0.5}}, ["start"]),
        ({"start": [{"lr": "x"}]}, ["start"]),
        ({"slots": "x"}, ["slots"]),
        ({"slots": 0}, ["`slots`", "a positive integer or None"]),
        ({"fixed": "often"}, ["fixed"]),
        ({"seeds": [0, -1]}, ["`seeds`", "different integers of at least 0"]),
        ({"seeds": [0, 2**20]}, ["`seed`", "got 1048576."]),
        ({"seeds": [3, 3]}, ["`seeds`", "different integers"]),
        ({"seeds": []}, ["`seeds`", "different integers"]),
        ({"seeds": 0}, ["seeds"]),
    ],
)
def test_the_command_says_one_sentence_and_leaves_nothing(changes, words, tmp_path, monkeypatch, capsys):
    path = edited(tmp_path, **changes)
    monkeypatch.chdir(tmp_path)
    assert main(["tune", path]) == 1
    error = capsys.readouterr().err
    assert error.startswith("snntorch-binary: error: ")
    assert error.count("\n") == 1
    for word in words:
        assert word in error
    assert [of.name for of in tmp_path.iterdir()] == ["it.yaml"]


def test_a_file_that_is_no_text_is_named(tmp_path, capsys):
    path = tmp_path / "it.yaml"
    path.write_bytes(b"model: \xff\xfe")
    assert main(["tune", str(path)]) == 1
    assert f"`CONFIG` to be an experiment, but got {path}: 'utf-8' codec can't decode" in capsys.readouterr().err


def test_all_seeds_are_checked_before_the_first_is_trained(tmp_path, capsys):
    assert main(["tune", "toy-quadratic", "--seeds", "0,-1", "--out", str(tmp_path / "out")]) == 1
    assert "`seeds` to be different integers of at least 0, but got" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_configuration_that_is_not_there(capsys):
    assert main(["tune", "nothing"]) == 1
    assert "`CONFIG` to be a YAML file or one of digits-bayes-pbt, nmnist-bayes-pbt, toy" in capsys.readouterr().err


def without_ray(module_factory, data, space, plan, resources, out, of_population, listener, tried):
    """Train the members one after the other, each with its first settings."""
    values = first_values(space, list(plan.start), plan.population, plan.seed)
    starts = [None] * plan.population
    for _ in range(plan.epochs // plan.interval):
        for member in range(plan.population):
            arguments = (plan, member, values[member], starts[member], out / "members", "cpu", of_population)
            report = train_or_find(module_factory, data, *arguments)
            write_report(out / "reports.jsonl", report)
            listener(report)
            starts[member] = report.id


OWN = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, size=8, num_classes=2):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, size), nn.ReLU(), nn.Linear(size, num_classes))

    def forward(self, x):
        return torch.stack([self.layers(step) for step in x])


def recordings(seed=0):
    labels = torch.arange(30) % 3
    x = torch.rand(30, 4, 6, generator=torch.Generator().manual_seed(3)) + labels[:, None, None]
    return {"train": (x, labels), "validation": (x[:12], labels[:12]), "test": (x[12:], labels[12:])}
"""


def test_a_network_and_data_of_ones_own(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(population, "_run", without_ray)
    monkeypatch.setattr(populations, "ray_started", lambda *_: nullcontext())
    (tmp_path / "my_tuning.py").write_text(OWN)
    config = {
        "network": "my_tuning.py:Net",
        "rule": "st",
        "data": {"class_path": "my_tuning.py:recordings"},
        "epochs": 2,
        "interval": 1,
        "batch_size": 10,
        "population": 2,
        "metric": "val_single_nll",
        "mode": "min",
        "space": {"latent_lr": {"low": 0.001, "high": 0.1, "scale": "log"}},
    }
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(config))
    assert main(["tune", str(path), "--slots", "1", "--out", str(tmp_path / "out")]) == 0
    assert "fit has no words for this network or data" in " ".join(capsys.readouterr().out.split())
    rows = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [(row["dataset"], row["rule"], row["bits_per_weight"]) for row in rows] == [
        ("recordings", "PBT", 1.0),
        ("recordings", "best fixed", 1.0),
    ]
    folder = tmp_path / "out" / "seed0" / "pbt"
    run = load_run(folder, f"{tmp_path}/my_tuning.py:Net")
    assert (run.description.rule, run.description.num_classes) == ("st", 3)
    assert yaml.safe_load((folder / "schedule.yaml").read_text()).keys() == {"seed_everything", "trainer"}
    named = ["--network", f"{tmp_path}/my_tuning.py:Net", "--data", f"{tmp_path}/my_tuning.py:recordings"]
    assert main(["evaluate", str(folder), *named, "--out", str(tmp_path / "scores.json")]) == 0
    (scores,) = json.loads((tmp_path / "scores.json").read_text())
    assert scores["accuracy"] == rows[0]["accuracy"]
    data = DataOf(read_tuning(path).data, 10, 0)
    data.setup()
    assert all(len(part.tensors[1]) for part in data._datasets)


def test_results_say_the_arguments_of_main_and_not_those_of_the_process(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr("sys.argv", ["some_script.py", "--foo"])
    monkeypatch.setattr("snntorch_binary.experiments.tune.run", lambda tuning, out: None)
    monkeypatch.setattr("snntorch_binary.experiments.provenance.write_csv", lambda out, of: given.append(of))
    arguments = ["tune", "toy-quadratic", "--seeds", "7", "--out", str(tmp_path)]
    assert main(arguments) == 0
    assert given == [arguments]
