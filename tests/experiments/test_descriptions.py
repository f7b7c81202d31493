"""A run's description: every kind of network is read back as it was tested; a planted one is one sentence, no code."""

import io
import json
import shutil
import sys
from functools import partial

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

import snntorch_binary as sb
from snntorch_binary.checkpoint import CheckpointError
from snntorch_binary.cli import main
from snntorch_binary.experiments import compare, load_run
from snntorch_binary.experiments.answers import answers
from snntorch_binary.experiments.data import ShippedData
from snntorch_binary.experiments.evaluate import answers_of, load_for, own_data, read_files

MODELS = "snntorch_binary.models."


class Recurrent(nn.Module):
    """A user's recurrent network, which keeps batch statistics, too."""

    def __init__(self, hidden=7, num_classes=3):
        super().__init__()
        self.norm = sb.nn.TimeFirst(nn.BatchNorm1d(4))
        self.hidden = nn.Sequential(
            nn.Linear(4, hidden), sb.nn.Recurrent(sb.nn.Leaky(beta=0.8), nn.Linear(hidden, hidden))
        )
        self.fc = nn.Linear(hidden, num_classes)

    def forward(self, x):
        return self.fc(self.hidden(self.norm(x)))


class Convolutional(nn.Module):
    """A user's network of images, batch first, which makes its own time steps."""

    def __init__(self, channels, num_classes=3):
        super().__init__()
        self.conv, self.lif = nn.Conv2d(1, channels, 3), sb.nn.Leaky(beta=0.9)
        self.fc = nn.Linear(channels * 4, num_classes)

    def forward(self, x):
        current = self.conv(x).flatten(1).expand(5, -1, -1)
        return self.fc(self.lif(current))


def recordings(shape=(5, 4)):
    generator = torch.Generator().manual_seed(0)

    def part(count):
        return (torch.rand(count, *shape, generator=generator) < 0.4).float(), torch.arange(count) % 3

    return {"train": part(18), "validation": part(6), "test": part(9)}


def images():
    return recordings((1, 4, 4))


DIGITS = {"name": "digits", "limit_per_class": 3}
KINDS = {
    "fully connected": ({"class_path": f"{MODELS}SpikingMLP", "init_args": {"hidden_sizes": [9]}}, DIGITS, {}),
    "local": (
        {"class_path": f"{MODELS}LocalSpikingMLP", "init_args": {"hidden_sizes": [9, 8], "burn_in": 2}},
        DIGITS,
        {"credit": "local"},
    ),
    "soft LIF": (
        {"class_path": f"{MODELS}SoftLIFConvNet", "init_args": {"image_shape": [1, 8, 8], "channels": [3, 4]}},
        {**DIGITS, "num_steps": 1, "encoder": "direct"},
        {"rules": [{"softlif-bayes": {"num_members": 2}}], "readout_scale": 1.0},
    ),
    "recurrent": (Recurrent, recordings, {"readout": "membrane", "readout_scale": 3.0}),
    "convolutional": (
        {"class_path": f"{__name__}.Convolutional", "init_args": {"channels": 4}},
        {"class_path": f"{__name__}.images", "time": "none"},
        {},
    ),
}
RULES = ["full-precision", "st", {"bayes": {"num_members": 2}}, {"trajectory": {"num_members": 2}}]
QUIET = Console(file=io.StringIO())


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    """A function that returns the comparison of a kind of network."""
    known = {}

    def compared(kind):
        if kind not in known:
            network, data, settings = KINDS[kind]
            given = {"rules": RULES, "epochs": 1, "seeds": [0], "console": QUIET, **settings}
            known[kind] = compare(network, data, out=tmp_path_factory.mktemp("runs") / "out", **given)
        return known[kind]

    return compared


@pytest.mark.parametrize("kind", KINDS)
def test_every_network_is_read_back_and_answers_as_when_it_was_tested(kind, comparison):
    found = comparison(kind)
    network, data, _ = KINDS[kind]
    users = not isinstance(data, dict) or "class_path" in data
    for run in found.runs:
        again = load_run(run.folder, network if users else None)
        source = own_data(again, found.experiment.data if users else None, None)
        said = answers(load_for(again, source).test(), partial(answers_of, again))
        assert torch.equal(said.pop("labels"), run.labels)
        assert said.keys() == {name for name in run.probabilities if not name.startswith("spiking")}
        for name, value in said.items():
            assert torch.equal(value, run.probabilities[name]), (kind, run.rule, name)


def test_a_run_of_a_fold_answers_what_it_has_not_learned_from(tmp_path):
    """Its test part is that of its own seed and fold."""
    network = {"class_path": f"{MODELS}SpikingMLP", "init_args": {"hidden_sizes": [5]}}
    settings = {"epochs": 1, "seeds": [3], "num_folds": 2, "console": QUIET}
    found = compare(network, DIGITS, ["full-precision"], out=tmp_path / "out", **settings)
    labels = []
    for run in found.runs:
        again = load_run(run.folder)
        said = answers(load_for(again, own_data(again, None, None)).test(), partial(answers_of, again))
        assert torch.equal(said["labels"], run.labels)
        assert torch.equal(said["single"], run.probabilities["single"])
        labels.append(run.labels)
        assert main(["predict", str(run.folder), "--out", str(tmp_path / "answers.csv"), "--quiet"]) == 0
        assert len((tmp_path / "answers.csv").read_text().splitlines()) == len(run.labels) + 1
    assert len(labels) == 2
    other = load_for(again, ShippedData("digits", limit_per_class=2)).test()
    assert len(answers(other, partial(answers_of, again))["labels"]) == 20


@pytest.mark.parametrize("kind", ["recurrent", "convolutional"])
def test_arrays_are_answered_as_the_network_takes_them(kind, comparison, tmp_path):
    """With time first, and images of a network that makes its own steps."""
    x, _ = KINDS[kind][1]()["test"] if callable(KINDS[kind][1]) else images()["test"]
    for index, one in enumerate(x):
        np.save(tmp_path / f"{index}.npy", one.numpy())
    (run, *_) = comparison(kind).runs
    again = load_run(run.folder, KINDS[kind][0])
    batches, files = read_files(again, tmp_path)
    said = answers(batches, partial(answers_of, again))
    assert len(files) == len(x)
    assert torch.equal(said["single"], run.probabilities["single"])


def test_what_a_description_says(comparison):
    (run, *_) = comparison("convolutional").runs
    said = json.loads((run.folder / "description.json").read_text())
    assert said["network"] == {
        "class_path": f"{__name__}.Convolutional",
        "init_args": {"channels": 4, "num_classes": 3},
    }
    assert said["data"] == {"class_path": f"{__name__}.images", "init_args": {}, "time": "none"}
    assert (said["num_classes"], said["input_shape"], said["num_steps"]) == (3, [1, 4, 4], None)
    assert (said["rule"], said["weights"]) == ("full-precision", None)
    run = comparison("fully connected").runs[1]
    said = json.loads((run.folder / "description.json").read_text())
    assert said["weights"] == {"rule": sb.Sign().to_json(), "scale": "channel"}
    assert said["network"]["init_args"] == {"hidden_sizes": [9], "input_size": 64, "num_classes": 10}


# ---- planted ---------------------------------------------------------------------------------------------------------

PLANTED = """\
from pathlib import Path

Path("marker").touch()


def run(*arguments, **more):
    Path("marker").touch()


class Net:
    def __init__(self, *arguments, **more):
        run()
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder beside a module that makes a marker when it is imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "planted_module.py").write_text(PLANTED)
    yield tmp_path
    assert "planted_module" not in sys.modules
    assert not (tmp_path / "marker").exists()


def network(class_path, **arguments):
    return {"network": {"class_path": class_path, "init_args": arguments}}


def mlp(**arguments):
    return network(f"{MODELS}SpikingMLP", **{"hidden_sizes": [9], "input_size": 64, "num_classes": 10, **arguments})


DEEP = json.loads("[" * 300 + "]" * 300)
BAD = {
    "a shell": network("os.system", command="touch marker"),
    "a process": network("subprocess.Popen", args=["touch", "marker"]),
    "a planted class": network("planted_module.Net"),
    "a planted file": network("planted_module.py:Net"),
    "what a model imports": network(f"{MODELS}spiking_mlp.nn.Linear", in_features=2, out_features=2),
    "a function of no model": network("snntorch_binary.cli.main", arguments=["--version"]),
    "what begins as ours": network("snntorch_binary.models.", hidden_sizes=[9]),
    "a module": network("snntorch_binary.models.spiking_mlp"),
    "dots": network("snntorch_binary.models..SpikingMLP"),
    "a loader of ours": network("snntorch_binary.nn.torch.load", f="planted.pt"),
    "no name": network(""),
    "a list for a class": {"network": ["os.system"]},
    "a class in arguments": mlp(hidden_sizes={"class_path": "planted_module.Net"}),
    "a class deep in arguments": mlp(reset_mechanism=[{"x": {"class_path": "subprocess.Popen", "init_args": {}}}]),
    "a function as a word": mlp(reset_mechanism="planted_module.run"),
    "a file as a word": mlp(hidden_sizes="planted_module.py"),
    "a path": mlp(hidden_sizes="/etc/passwd"),
    "YAML": mlp(hidden_sizes="{class_path: planted_module.Net}"),
    "an unknown argument": mlp(depth=3),
    "a missing argument": network(f"{MODELS}SpikingMLP", hidden_sizes=[9]),
    "another size": mlp(hidden_sizes=[11]),
    "a gigantic layer": mlp(hidden_sizes=[10**9]),
    "more than gigantic": mlp(hidden_sizes=[2**62, 2**62]),
    "many layers": mlp(hidden_sizes=[100_000] * 5),
    "a million layers of one neuron": mlp(hidden_sizes=[1] * 1_000_000),
    "a negative size": mlp(hidden_sizes=[-9]),
    "no number": mlp(hidden_sizes=[float("nan")]),
    "arguments that are a list": {"network": {"class_path": f"{MODELS}SpikingMLP", "init_args": [64]}},
    "deep arguments": mlp(hidden_sizes=DEEP),
    "a number for a rule": {"rule": 3},
    "weights that are a word": {"weights": "sign"},
    "an unknown weight rule": {"weights": {"rule": {"rule": "planted_module.run"}, "scale": "channel"}},
    "a weight rule of more": {"weights": {"rule": {**sb.Sign().to_json(), "module": "os"}, "scale": "channel"}},
    "another weight rule": {"weights": {"rule": sb.Bernoulli().to_json(), "scale": "channel"}},
    "no weight rule": {"weights": {}},
    "an unknown scale": {"weights": {"rule": sb.Sign().to_json(), "scale": "planted_module.run"}},
    "classes in words": {"num_classes": "ten"},
    "one class": {"num_classes": 1},
    "truth for a number": {"num_steps": True},
    "no steps": {"num_steps": 0},
    "a shape of words": {"input_shape": ["os"]},
    "a negative shape": {"input_shape": [-64]},
    "a shape that is a number": {"input_shape": 64},
    "a deep shape": {"input_shape": DEEP},
    "names that are numbers": {"class_names": [1, 2]},
    "data in a list": {"data": ["digits"]},
    "a part in a list": {"part": [0]},
    "a seed of words": {"part": {"seed": "planted_module"}},
    "more to a part": {"part": {"seed": 0, "data_dir": "/"}},
    "no members": {"num_members": 0},
    "many members": {"num_members": 10**9},
    "an unknown readout": {"reading": {"readout": "planted_module.run"}},
    "more to reading": {"reading": {"readout": "auto", "module": "os"}},
    "a negative scale": {"reading": {"readout_scale": -1}},
    "a scale of infinity": {"reading": {"readout_scale": float("inf")}},
    "an unknown key": {"hook": "planted_module.run"},
    "another format": {"format": 9},
    "no format": {"format": None},
}


def planted(comparison, here, change):
    """A run whose description somebody has changed."""
    run = here / "run"
    shutil.copytree(comparison("fully connected").runs[1].folder, run)
    if callable(change):
        change(run / "description.json")
        return run
    said = json.loads((run / "description.json").read_text())
    (run / "description.json").write_text(json.dumps({**said, **change}))
    return run


def assert_one_sentence(code, capsys):
    error = capsys.readouterr().err
    error = "".join(line for line in error.splitlines(True) if not line.startswith("snntorch_binary compiles "))
    assert code == 1
    assert error.startswith("snntorch-binary: error: ")
    assert error.count("\n") == 1
    assert len(error) < 900
    return error


@pytest.mark.parametrize("change", BAD)
def test_a_planted_description_is_one_sentence(change, comparison, here, capsys):
    run = planted(comparison, here, BAD[change])
    assert_one_sentence(main(["summary", str(run)]), capsys)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"3", b"\0", b"[" * 100_000, b'{"format": 1}', b'{"format": 1, "network": null}', b"\xff"],
)
def test_a_file_that_is_no_description_is_one_sentence(text, comparison, here, capsys):
    run = planted(comparison, here, lambda path: path.write_bytes(text))
    error = assert_one_sentence(main(["summary", str(run)]), capsys)
    assert "description.json" in error


@pytest.mark.parametrize(
    "data",
    [
        {"class_path": "planted_module.run", "init_args": {}},
        {"name": "planted_module"},
        {"name": "digits", "encoder": "planted_module.run"},
        {"name": "digits", "limit_per_class": "all"},
        {"name": "digits", "num_steps": -3},
        {"name": "digits", "classes": [1, 400]},
        {"name": ["digits"]},
        {"name": "digits", "hook": "planted_module.run"},
        {"name": "mnist", "data_dir": "/", "download": True},
        {},
    ],
)
def test_planted_data_are_one_sentence(data, comparison, here, capsys, monkeypatch):
    """Where files are, and whether they are downloaded, is the user's to say."""
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("opened an address"))
    run = planted(comparison, here, {"data": data})
    assert_one_sentence(main(["evaluate", str(run)]), capsys)


def test_the_network_that_a_user_names_is_taken_in_place_of_the_files(comparison, here, capsys):
    """With the sizes that the file says, so that another is found out."""
    run = planted(comparison, here, network("planted_module.Net", hidden_sizes=[9], input_size=64, num_classes=10))
    assert main(["summary", str(run), "--network", f"{MODELS}SpikingMLP", "--quiet"]) == 0
    capsys.readouterr()
    error = assert_one_sentence(main(["summary", str(run), "--network", f"{MODELS}LocalSpikingMLP"]), capsys)
    assert "does not fit the network" in error or "arguments" in error


def test_the_good_one_is_read(comparison, here):
    """What is planted is all that is wrong."""
    run = planted(comparison, here, {})
    assert main(["summary", str(run), "--quiet"]) == 0
    assert main(["evaluate", str(run)]) == 0


# ---- statistics of batch norms ---------------------------------------------------------------------------------------


@pytest.fixture
def with_norms(comparison, tmp_path):
    """A copy of a run with a posterior and batch norms."""
    run = next(run for run in comparison("recurrent").runs if run.rule == "bayes")
    shutil.copytree(run.folder, tmp_path / "run")
    return tmp_path / "run"


def test_the_mode_is_read_with_its_own(with_norms):
    again = load_run(with_norms, KINDS["recurrent"][0])
    stored = torch.load(with_norms / "norms.pt", weights_only=True)
    norm = next(module for module in again.net.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))
    assert torch.equal(norm.running_mean, stored["mode/0"])
    assert sorted({name.partition("/")[0] for name in stored}) == ["0", "1", "mode"]


def test_a_packed_ensemble_answers_as_the_run(with_norms, capsys):
    pytest.importorskip("safetensors")
    network = f"{__name__}.Recurrent"
    command = ["export", "--to", "packed", "--network", network, str(with_norms)]
    assert main([*command, str(with_norms / "net.safetensors"), "--weights", "7"]) == 1
    assert "`--weights` to be mode for a network with batch norms" in capsys.readouterr().err
    assert main([*command, str(with_norms / "net.safetensors"), "--members", "3"]) == 1
    assert "at most 2, for which the run has statistics of batch norms, but got member 2" in capsys.readouterr().err
    assert main([*command, str(with_norms / "net.safetensors"), "--members", "2"]) == 0
    packed, run = sb.load_packed(with_norms / "net.safetensors"), load_run(with_norms, KINDS["recurrent"][0])
    ensemble = sb.Ensemble(run.net, num_members=2, **run.description.reading)
    for index, member in enumerate(ensemble.members):
        run.norms.put_(member, index)
    x = (torch.rand(6, 5, *run.description.input_shape) < 0.4).float()
    torch.testing.assert_close(packed(x), ensemble(x))


@pytest.mark.parametrize("change", ["no mode", "another shape", "another name", "no archive", "no tensor"])
def test_statistics_that_do_not_fit_are_refused(change, with_norms):
    path = with_norms / "norms.pt"
    state = torch.load(path, weights_only=True)
    if change == "no mode":
        state = {name: value for name, value in state.items() if not name.startswith("mode/0")}
    elif change == "another shape":
        state["0/0"] = torch.zeros(1000)
    elif change == "another name":
        state["../0"] = state["0/0"]
    elif change == "no tensor":
        state["0/0"] = 3.0
    torch.save(state, path)
    if change == "no archive":
        path.write_text("no archive")
    with pytest.raises(CheckpointError, match=r"norms\.pt does not fit the network, or is damaged: "):
        load_run(with_norms, KINDS["recurrent"][0])
