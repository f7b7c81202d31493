"""Whatever is wrong with an experiment is one sentence before anything is trained or written."""

import json
import sys

import pytest
import yaml

from snntorch_binary.cli import main

MODELS = """\
import torch
from torch import nn

number = 3


def net(hidden: int = 5, num_classes=3):
    return nn.Sequential(nn.Linear(4, hidden), nn.Linear(hidden, num_classes))


def none():
    return {"layers": 2}


def fails():
    raise RuntimeError("no memory left")


class Says(nn.Module):
    def __init__(self, what="text", num_classes=3):
        super().__init__()
        self.fc, self.what = nn.Linear(4, num_classes), what

    def forward(self, x):
        return {"text": "spikes", "one": self.fc(x)[0, 0, 0], "dict": {"y": self.fc(x)}, "none": None}[self.what]


class NoWeights(nn.Module):
    def forward(self, x):
        return x[..., :3]
"""
DATA = """\
import torch
from torch.utils.data import IterableDataset


def part(n=12, size=4, classes=3, steps=5):
    return torch.rand(n, steps, size), torch.arange(n) % classes


class Ragged:
    def __len__(self):
        return 6

    def __getitem__(self, index):
        return torch.rand(3 + index % 2, 4), index % 3


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(torch.rand(5, 4), 0)])


def good():
    return part(), part(), part()


def wide():
    return part(size=7), part(size=7), part(size=7)


def mixed():
    return part(), part(size=7), part()


def two():
    return {"train": part(), "test": part()}


def nothing():
    return None


def fails():
    raise OSError("no such disk")


def one_class():
    return part(classes=1), part(classes=1), part(classes=1)


def ragged():
    return Ragged(), part(), part()


def empty():
    return part(n=0), part(), part()


def stream():
    return Stream(), part(), part()


def uneven():
    x, labels = part()
    return (x, labels[:-1]), part(), part()


def many_labels():
    x, labels = part()
    return (x, torch.eye(3)[labels]), part(), part()


def beyond():
    return {"train": part(classes=4), "validation": part(), "test": part(), "num_classes": 3}


def words():
    return (["a", "b"], [0, 1]), part(), part()


def named_otherwise():
    return {"train": part(), "val": part(), "test": part()}
"""
GOOD = {
    "network": {"class_path": "bad_models.net"},
    "data": {"class_path": "bad_data.good"},
    "rules": ["full-precision", "st"],
    "epochs": 1,
    "batch_size": 4,
    "seeds": [0],
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "bad_models.py").write_text(MODELS)
    (tmp_path / "bad_data.py").write_text(DATA)
    (tmp_path / "broken.py").write_text("def net(:\n")
    yield tmp_path
    for name in ("bad_models", "bad_data", "broken"):
        sys.modules.pop(name, None)


def compare(here, text, capsys, *more):
    """Run the experiment of a YAML file; return the exit code and what was said of the mistake."""
    (here / "mine.yaml").write_text(text if isinstance(text, str) else yaml.safe_dump(text))
    code = main(["compare", "--config", "mine.yaml", "--out", "out", "--jobs", "1", *more])
    error = capsys.readouterr().err
    return code, "".join(line for line in error.splitlines(True) if not line.startswith("snntorch_binary compiles "))


def network(name, **arguments):
    return {"network": {"class_path": name, "init_args": arguments}}


def data(name, **more):
    return {"data": {"class_path": f"bad_data.{name}", **more}}


BAD = {
    "no such module": (network("nowhere.ConvNet"), ["`network`", "'nowhere.ConvNet'", "ModuleNotFoundError"]),
    "no such class": (network("bad_models.Conv"), ["`network`", "'bad_models.Conv'"]),
    "no class": (network("bad_models.number"), ["`network`", "a class or function", "'bad_models.number'"]),
    "no name": (network("ConvNet"), ["`network`", "package.module.Name", "'ConvNet'"]),
    "no such file": (network("nothing.py:net"), ["`network`", "'nothing.py:net'"]),
    "a file with an error": (network("broken.py:net"), ["`network`", "SyntaxError"]),
    "a class that is no module": (network("bad_models.none"), ["`network`", "torch.nn.Module", "dict"]),
    "a network that fails": (network("bad_models.fails"), ["`network`", "RuntimeError: no memory left"]),
    "an unknown argument": (network("bad_models.net", depth=3), ["`network`", "arguments that net takes", "depth"]),
    "an argument of another type": (network("bad_models.net", hidden="wide"), ["`network`", "hidden", "wide"]),
    "another number of classes": (network("bad_models.net", num_classes=7), ["`network`"]),
    "returns text": (network("bad_models.Says"), ["`network`", "what a readout reads", "bad_models.Says"]),
    "returns a number": (network("bad_models.Says", what="one"), ["`network`", "what a readout reads"]),
    "returns a mapping": (network("bad_models.Says", what="dict"), ["`network`", "what a readout reads"]),
    "returns nothing": (network("bad_models.Says", what="none"), ["`network`", "what a readout reads"]),
    "no weights": (network("bad_models.NoWeights"), ["`network`", "parameters to learn", "bad_models.NoWeights"]),
    "init_args that are a list": ({"network": {"class_path": "bad_models.net", "init_args": [5]}}, ["`network`"]),
    "unknown key of a network": ({"network": {"class_path": "bad_models.net", "args": {}}}, ["`network`", "args"]),
    "no network": ({"network": None}, ["network"]),
    "a size that does not fit": (data("wide"), ["`network`", "[5, 2, 7]"]),
    "parts of several shapes": (data("mixed"), ["`data`", "one shape", "[5, 7]", "validation"]),
    "no validation part": (data("two"), ["`data`", "with a validation part"]),
    "no parts": (data("nothing"), ["`data`", "three parts", "None"]),
    "other names": (data("named_otherwise"), ["`data`", "'val'"]),
    "a function that fails": (data("fails"), ["`data`", "OSError: no such disk"]),
    "one class": (data("one_class"), ["`data`", "two classes"]),
    "unequal lengths": (data("ragged"), ["`data`", "unequal lengths", "[4, 4] in train example 1"]),
    "an empty part": (data("empty"), ["`data`", "at least one"]),
    "a stream": (data("stream"), ["`data`", "has a length"]),
    "fewer labels": (data("uneven"), ["`data`", "as many inputs as labels", "12 and 11"]),
    "labels one-hot": (data("many_labels"), ["`data`", "one label for each train example", "[12, 3]"]),
    "a label beyond": (data("beyond"), ["`data`", "labels in 0..2", "0 to 3"]),
    "words": (data("words"), ["`data`", "of numbers in its train part"]),
    "an unknown time": (data("good", time="last"), ["`data`", "time", "last"]),
    "another time": (data("good", time="none"), ["`data`", "`time`", "2 answers to 2 examples", "time: none"]),
    "an unknown key of data": (data("good", shuffle=True), ["`data`", "shuffle"]),
    "no such function": (data("best"), ["`data`", "'bad_data.best'"]),
    "an unknown set": ({"data": {"name": "cifar11"}}, ["`name`", "'cifar11'"]),
    "an unknown key of a set": ({"data": {"name": "digits", "colour": "red"}}, ["`data`", "colour"]),
    "no data": ({"data": None}, ["data"]),
    "folds of one's own data": ({"num_folds": 3}, ["`num_folds`", "of your own"]),
    "an unknown key": ({"epoch": 3}, ["`--config`", "mine.yaml", "epoch"]),
    "an unknown rule": ({"rules": ["st", "sgd"]}, ["`rules`", "full-precision", "'sgd'"]),
    "an unknown hyper-parameter": ({"rules": [{"st": {"speed": 3}}]}, ["`rules.st`", "speed"]),
    "a hyper-parameter of another type": ({"rules": {"st": {"lr": "fast"}}}, ["`rules.st`", "lr", "fast"]),
    "hyper-parameters that are none": ({"rules": {"st": 3}}, ["`rules.st`", "by name", "3"]),
    "a hyper-parameter out of range": ({"rules": {"full-precision": {"lr": -1.0}}}, ["`lr`", "positive", "-1.0"]),
    "no rules": ({"rules": []}, ["`rules`", "at least one"]),
    "a rule twice": ({"rules": ["st", "st"]}, ["`rules`", "different rules"]),
    "a winner-take-all rule": ({"rules": ["vowel-binary"]}, ["`network`", "winner-take-all network", "Sequential"]),
    "spikes of no soft LIF": ({"rules": ["softlif"]}, ["SoftLIF neurons", "Sequential"]),
    "local credit": ({"credit": "local"}, ["LocalNetwork"]),
    "unknown credit": ({"credit": "far"}, ["`credit`", "through-time", "'far'"]),
    "no epochs": ({"epochs": 0}, ["`epochs`", "positive integer", "0"]),
    "epochs in words": ({"epochs": "many"}, ["`--config`", "epochs", "many"]),
    "a negative seed": ({"seeds": [-1]}, ["`seeds`", "-1"]),
    "a seed twice": ({"seeds": [1, 1]}, ["`seeds`", "different"]),
    "an unknown readout": ({"readout": "loud"}, ["`readout`", "'loud'"]),
    "a scale of nothing": ({"readout_scale": 0.0}, ["`readout_scale`", "positive", "0.0"]),
    "an unknown picture": ({"pictures": ["art"]}, ["`pictures`", "surface", "'art'"]),
    "a picture of no plane": ({"pictures": ["surface"]}, ["`pictures`", "without 'surface'"]),
    "no YAML": ("network: [", ["`--config`", "mine.yaml"]),
    "no mapping": ("- network", ["`--config`", "mine.yaml"]),
    "nothing": ("", ["mine.yaml"]),
}


@pytest.mark.parametrize("change", BAD)
def test_a_mistake_is_one_sentence_and_leaves_nothing(change, here, capsys):
    values, words = BAD[change]
    text = values if isinstance(values, str) else {**GOOD, **values}
    before = {path.name for path in here.iterdir()} | {"mine.yaml", "__pycache__"}
    code, error = compare(here, text, capsys)
    assert code == 1
    assert error.startswith("snntorch-binary: error: ")
    assert error.count("\n") == 1
    assert len(error) < 700
    for word in words:
        assert word in error
    assert not (here / "out").exists()
    assert {path.name for path in here.iterdir()} <= before


def test_without_a_mistake_it_is_compared_and_mixed_with_no_other_experiment(here, capsys):
    code, error = compare(here, GOOD, capsys)
    assert (code, error) == (0, "")
    before = {path: path.read_bytes() for path in (here / "out").rglob("*") if path.is_file()}
    for change, name in (
        (network("bad_models.net", hidden=6), "network.init_args.hidden"),
        ({"data": {"class_path": "bad_data.good", "time": "batch-first"}}, "data.time"),
        ({"rules": {"st": {"lr": 0.5}}}, "rules.st.lr"),
        ({"epochs": 2}, "epochs"),
    ):
        code, error = compare(here, {**GOOD, **change}, capsys)
        assert code == 1
        assert f"out holds runs with other settings ({name}); give another --out" in error
        assert {path: path.read_bytes() for path in (here / "out").rglob("*") if path.is_file()} == before
    (here / "out" / "settings.json").write_text(json.dumps({"format": 1, "epochs": 1}))
    code, error = compare(here, GOOD, capsys)
    assert code == 1
    assert "out holds runs of another version of this package; give another --out or remove the folder." in error


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(["--data-dir", "."], "--data-dir"), (["--classes", "0,1"], "--classes"), (["--ood", "digits"], "`--ood`")],
)
def test_options_of_shipped_sets_are_for_no_data_of_ones_own(arguments, word, here, capsys):
    code, error = compare(here, GOOD, capsys, *arguments)
    assert code == 1
    assert word in error
    assert "of your own" in error
    assert error.count("\n") == 1
    assert not (here / "out").exists()
