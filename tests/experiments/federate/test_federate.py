"""`federate`: tables, files and pictures; a killed run goes on bit for bit; mistakes are one sentence."""

import copy
import json
import pickle
import re

import pytest
import torch
import yaml

pytest.importorskip("flwr")
pytest.importorskip("lightning")

from snntorch_binary.cli import main
from snntorch_binary.experiments.config import shipped
from snntorch_binary.experiments.description import load_run, network_state
from snntorch_binary.experiments.federate import record
from snntorch_binary.experiments.federate.config import SHIPPED, read_federation
from snntorch_binary.experiments.federate.report import _sent, compared
from snntorch_binary.experiments.federate.runs import FederatedRun, _planned
from snntorch_binary.experiments.federate.sides import make_sides
from snntorch_binary.experiments.progress import Sender
from snntorch_binary.federated import Task
from snntorch_binary.federated.flower import InProcessGrid, ray, run_in_process
from snntorch_binary.federated.participant import NetworkParticipant
from snntorch_binary.optim import BayesBiSNN

MLP = {"class_path": "snntorch_binary.models.SpikingMLP", "init_args": {"hidden_sizes": [16]}}


def method(rule, aggregation=None, **arguments):
    made = {"rule": {rule: arguments}}
    if aggregation is not None:
        made["aggregation"] = f"snntorch_binary.federated.{aggregation}"
    return made


SMALL = {
    "data": {"name": "digits", "num_steps": 3, "limit_per_class": 15},
    "network": MLP,
    "num_clients": 3,
    "clients_per_round": 2,
    "num_rounds": 4,
    "seeds": [0],
    "methods": {
        "full-precision": method("full-precision"),
        "product": method("bayes", "ProductOfExperts"),
        "one-bit": method("st", "OneBit"),
    },
}
# A network with noise of torch's own, dropout and that of its neurons.
DROPOUT = method(
    "full-precision",
    network={
        "class_path": "snntorch_binary.models.SoftLIFConvNet",
        "init_args": {"image_shape": [1, 8, 8], "channels": [2, 2], "hidden_size": 8, "noise": 10.0},
    },
)


MASKED = {"secure_aggregation": {}, "clients_per_round": 3}
PRIVATE = {"local_privacy": {"clipping_norm": 1.0, "sensitivity": 0.1, "epsilon": 1.0, "delta": 1e-5}}
PRIVATE_NOISE = {"clipping_norm": 1.0, "sensitivity": 1.0, "epsilon": 1.0, "delta": 1e-5}
FEW = {"name": "digits", "num_steps": 1, "limit_per_class": 15}
LOCAL = {"class_path": "snntorch_binary.models.LocalSpikingMLP", "init_args": {"hidden_sizes": [16]}}
LARGE = {**MLP, "init_args": {**MLP["init_args"], "input_size": 65}}


def write(tmp_path, **changes):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes}, sort_keys=False))
    return str(path)


def run(tmp_path, *options, config=None, out="out"):
    # In this process, where a test can look into it.
    return main(["federate", config or write(tmp_path), "--out", str(tmp_path / out), "--jobs", "1", *options])


@pytest.mark.drawn
def test_it_ends_with_a_table_files_and_pictures(tmp_path, capsys):
    assert run(tmp_path) == 0
    printed = capsys.readouterr().out
    for word in ("full-precision", "product, mode", "product, ensemble", "one-bit", "3 clients, 2 a round", "kB"):
        assert word in printed
    rows = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [(row["method"], row["prediction"]) for row in rows] == [
        ("full-precision", "single"),
        ("product", "mode"),
        ("product", "draw"),
        ("product", "ensemble"),
        ("one-bit", "single"),
    ]
    sent = {row["method"]: row["bytes_up"] for row in rows}
    weights = 64 * 16 + 16 * 10
    assert sent["full-precision"] - sent["one-bit"] > 0.7 * 31 / 32 * 4 * weights
    assert all(0 <= row["accuracy"] <= 1 and row["nll"] > 0 for row in rows)
    for name in ("results.csv", "differences.json", "rounds.png", "bytes.png", "reliability.png", "settings.json"):
        assert (tmp_path / "out" / name).stat().st_size > 0
    assert run(tmp_path) == 0  # nothing is left to do
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == rows


def test_a_killed_run_goes_on_bit_for_bit(tmp_path, monkeypatch):
    write(tmp_path, methods={**SMALL["methods"], "dropout": DROPOUT})
    config = str(tmp_path / "small.yaml")
    assert run(tmp_path, config=config, out="whole") == 0
    after = record.RoundRecord.after_round

    def killed(self, report):
        after(self, report)
        if (self.name, report.round) in {("product-seed0", 2), ("one-bit-seed0", 3), ("dropout-seed0", 1)}:
            torch.manual_seed(5)  # another process begins with other random numbers
            raise KeyboardInterrupt

    monkeypatch.setattr(record.RoundRecord, "after_round", killed)
    for _ in range(3):
        assert run(tmp_path, config=config, out="parts") == 130
    assert run(tmp_path, config=config, out="parts") == 0
    for name in ("full-precision-seed0", "product-seed0", "one-bit-seed0", "dropout-seed0"):
        whole, parts = (
            torch.load(tmp_path / folder / "runs" / name / "predictions.pt", weights_only=True)
            for folder in ("whole", "parts")
        )
        for prediction, probabilities in whole["probabilities"].items():
            assert torch.equal(probabilities, parts["probabilities"][prediction])
        assert whole["history"] == parts["history"]
        states = [torch.load(tmp_path / f / "runs" / name / "last.ckpt", weights_only=True) for f in ("whole", "parts")]
        for key, tensor in states[0]["state_dict"].items():
            assert torch.equal(tensor, states[1]["state_dict"][key])
    kept = {path.name for path in (tmp_path / "parts" / "runs" / "product-seed0").glob("client*")}
    assert kept == {path.name for path in (tmp_path / "whole" / "runs" / "product-seed0").glob("client*")}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clients_per_round": 4}, "`clients_per_round` to be at most 3"),
        ({"num_rounds": 0}, "`num_rounds` to be a positive integer"),
        ({"num_rounds": "many"}, "num_rounds"),
        ({"stragglers": 1.5}, "`stragglers`"),
        ({"engine": "magic"}, "`engine`"),
        ({"round": 3}, "'round'"),
        ({"methods": {}}, "`methods`"),
        ({"methods": {"a": {"rulle": {}}}}, "with rule, and perhaps aggregation and data, but got rulle"),
        ({"methods": {"a": method("full-precision", "ProductOfExperts")}}, "Bernoulli"),
        ({"methods": {"a": method("full-precision", "OneBit")}}, "binary layers"),
        ({"methods": {"a": method("full-precision", lr=-1.0)}}, "`lr` to be a positive float"),
        ({"methods": {"a": method("full-precision", rate=1.0)}}, "rate"),
        ({"data": {"name": "nothing"}}, "nothing"),
        ({"num_clients": 1000, "clients_per_round": 2}, "`num_clients` to be at most"),
        ({**PRIVATE, "methods": {"a": method("st", "OneBit")}}, "cannot have noise"),
        ({**PRIVATE, "methods": {"a": method("st", "OneBitChange")}}, "None with OneBitChange"),
        ({**PRIVATE, "methods": {"a": method("bayes", "ProductOfExperts")}}, "None with ProductOfExperts"),
        ({"local_privacy": {**PRIVATE["local_privacy"], "delta": 3.0}}, "`delta` to be a float in (0, 1)"),
        ({"label_shift": "often"}, "label_shift"),
        ({"methods": "abc"}, "methods"),
        (
            {"methods": {1: method("full-precision")}},
            "`methods` to be with names of letters, digits and - _ ., but got 1",
        ),
        ({"methods": {"../../a": method("full-precision")}}, "but got '../../a'"),
        ({"network": LOCAL, "credit": "online"}, "`credit` to be through-time or local"),
        ({"methods": {"a": method("vowel-wta")}}, "a rule that learns a sequence at a time, where clients learn"),
        ({"network": "torch.nn.Identity", "data": FEW}, "to be 64, the outputs of the network, but got 10"),
        ({"network": LARGE}, "a network that takes the data, [3, 2, 64], and returns what a readout reads"),
        ({"network": "nowhere.Net"}, "`network` to be a class or function that can be imported, but got 'nowhere.Net'"),
        ({"network": None}, "network"),
        (
            {"data": {"name": "regression-1d"}},
            "at least two, but got the real targets of regression-1d",
        ),
        ({"data": {"class_path": "os.getcwd"}}, "`data` to be three parts (train, validation, test)"),
        ({"methods": {"a": {"rule": ["st", "bayes"]}}}, "rules"),
        ({"methods": {"a": {"rule": {"st": {}, "bayes": {}}}}}, "`methods.a.rule` to be one rule, but got st, bayes"),
        ({"methods": {"a": {"rule": "st", "aggregation": "torch.nn.Identity"}}}, "to be a Aggregation"),
        ({"methods": {"a": {"rule": "st", "data": {"name": "mnist"}}}}, "name"),
        ({"partition": {"class_path": "snntorch_binary.federated.Dirichlet", "init_args": {"alpha": -1.0}}}, "`alpha`"),
        ({"seeds": [0, 0]}, "`seeds` to be different integers of at least 0"),
        ({"secure_aggregation": {"num_shares": 0.0}}, "`num_shares` to be a float in (0, 1]"),
        ({"secure_aggregation": {"clipping_range": -1.0}}, "`clipping_range` to be a positive float"),
        ({"secure_aggregation": {"clipping_range": float("inf")}}, "`clipping_range` to be a positive float"),
        ({"secure_aggregation": None}, "`secure_aggregation` to be with settings, such as {}"),
        ({"secure_aggregation": {}}, "`clients_per_round` to be from 3 to 1023 with"),
        ({**MASKED, "stragglers": 0.5}, "`stragglers` to be 0 with secure_aggregation"),
        ({**MASKED, "gradient_noise": 0.5}, "`gradient_noise` to be 0 with secure_aggregation"),
        (MASKED, "`uniform` to be True with secure_aggregation and ProductOfExperts"),
        ({**MASKED, "uniform": True}, "hides single answers, which OneBit needs"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, capsys, changes, words):
    assert run(tmp_path, config=write(tmp_path, **changes)) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert words in said
    assert not (tmp_path / "out" / "runs").exists()


def test_a_federation_in_which_nobody_can_learn_is_an_error(tmp_path, capsys, monkeypatch):
    def fails(self, arrays, task, memory):
        raise RuntimeError("no disk")

    monkeypatch.setattr(NetworkParticipant, "train", fails)
    assert run(tmp_path) == 1
    said = capsys.readouterr().err
    assert "full-precision-seed0 has learned nothing: no client's answer ever counted (client 1: it failed" in said
    assert "no disk" in said
    assert not (tmp_path / "out" / "results.json").exists()


def test_all_of_a_file_reaches_both_sides(tmp_path):
    changes = {
        "local_epochs": 3,
        "batch_size": 7,
        "drop_last": True,
        "temperature": 0.25,
        "lr_drops": [2],
        "lr_drop": 4.0,
    }
    more = {"uniform": True, "stragglers": 0.5, "gradient_noise": 0.125}
    federation = make_sides(read_federation(write(tmp_path, **changes, **more)), "product", 0)
    clients, server = federation.participant, federation.coordinator
    assert (clients.epochs, clients.batch_size, clients.drop_last, clients.temperature) == (3, 7, True, 0.25)
    assert [clients.lr_factor(round) for round in (1, 2, 3, 4)] == [1, 1, 0.25, 0.25]
    assert (server.uniform, server.stragglers, server.gradient_noise) == (True, 0.5, 0.125)


@pytest.mark.parametrize(("round", "factor"), [(2, 1.0), (3, 0.25)])
def test_learning_rates_drop_and_a_posteriors_temperature_is_for_each_example(tmp_path, monkeypatch, round, factor):
    methods = {"product": method("bayes", "ProductOfExperts", rho=None, lr=0.2)}
    changes = {"temperature": 0.5, "lr_drops": [2], "lr_drop": 4.0, "methods": methods}
    federation = make_sides(read_federation(write(tmp_path, **changes)), "product", 0)
    used = []
    step = BayesBiSNN.step
    monkeypatch.setattr(BayesBiSNN, "step", lambda self: used.append(copy.deepcopy(self.param_groups)) or step(self))
    federation.participant.train(federation.coordinator.arrays(), Task(round, 0, 1, 3, 0), {})
    latent = next(group for group in used[-1] if group["rho"])
    assert latent["rho"] == pytest.approx(0.5 / len(federation.parts[1]))
    assert latent["lr"] == pytest.approx(0.2 * factor)


def test_the_report_by_hand(tmp_path):
    """Differences are of accuracy less the first method's; all that was sent counts, whether it came in time or not."""
    labels = torch.tensor([0, 1, 1, 0])
    right = torch.nn.functional.one_hot(labels, 2).float() * 0.8 + 0.1
    wrong = torch.cat([right[:3], 1 - right[3:]])
    history = [{"bytes_up": 2e6, "answers": 3, "used": [1]}, {"bytes_up": 1e6, "answers": 2, "used": [0, 2]}]
    runs = [
        FederatedRun(name, 0, tmp_path, {"single": answers}, labels, history, 1.0)
        for name, answers in (("first", right), ("second", wrong))
    ]
    (difference,) = compared(runs).values()
    assert difference["accuracy"].difference == pytest.approx(-0.25)
    assert _sent(runs[0]) == [6.0, 8.0]


def test_label_shift_reaches_the_clients_and_changes_what_they_learn(tmp_path):
    path, losses = write(tmp_path), []
    for shift in (False, True):
        federation = make_sides(read_federation(path, label_shift=shift), "full-precision", 0)
        arrays = federation.coordinator.arrays()
        update = federation.participant.train(arrays, Task(1, 0, 0, 3, 0), {})
        losses.append((update.metrics["loss"], update.arrays))
    assert losses[0][0] != losses[1][0]
    assert any(not torch.equal(tensor, losses[1][1][name]) for name, tensor in losses[0][1].items())


@pytest.mark.parametrize("name", ["digits-5-clients", "mnist-10-clients", "mnist-100-clients"])
def test_shipped_methods_can_be_built(name):
    federation = read_federation(name)
    assert federation.label_shift
    data = federation.load("full-precision", 0) if name.startswith("digits") else None
    for name in federation.methods:
        experiment = federation.experiment(name)
        assert experiment.readout_scale == 5.0
        if data is not None:
            module = experiment.make_module(experiment.rules[0], data, 0)
            assert federation.make_aggregation(name).like(module.net)


def test_a_config_that_is_not_there_is_one_sentence(tmp_path, capsys):
    assert run(tmp_path, config="nowhere") == 1
    assert re.search(r"`CONFIG` to be a YAML file or one of .*mnist-10-clients", capsys.readouterr().err)
    assert run(tmp_path, "--methods", "magic") == 1
    assert "`--methods`" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(shipped(SHIPPED)))
def test_shipped_configs_are_read(name):
    federation = read_federation(name)
    assert federation.lr_factor(1) == 1.0
    assert federation.lr_factor(federation.num_rounds) <= 1.0


def test_local_privacy_is_switched_on_by_the_file(tmp_path):
    """With next to no noise the update is clipped to its norm; with much noise nothing is learned."""
    given = {"clipping_norm": 0.01, "sensitivity": 1e-9, "epsilon": 1.0, "delta": 1e-5}
    config = write(tmp_path, methods={"full": method("full-precision")}, num_rounds=1, local_privacy=given)
    assert run(tmp_path, config=config) == 0
    state = network_state(torch.load(tmp_path / "out/runs/full-seed0/last.ckpt", weights_only=True))
    start = make_sides(read_federation(config), "full", 0).module.net.state_dict()
    moved = torch.cat([(state[name] - start[name]).flatten() for name in start]).norm()
    assert 0 < float(moved) <= 0.0101
    config = write(tmp_path, methods={"full": method("full-precision")}, num_rounds=1, local_privacy=PRIVATE_NOISE)
    assert run(tmp_path, config=config, out="noisy") == 0
    kept = torch.load(tmp_path / "noisy/runs/full-seed0/last.ckpt", weights_only=True)
    learned = {name for name, _ in make_sides(read_federation(config), "full", 0).module.net.named_parameters()}
    for name, tensor in start.items():  # thresholds, decays and what a reset does are not learned
        assert torch.equal(network_state(kept)[name], tensor) == (name not in learned), name
        assert network_state(kept)[name].dtype == tensor.dtype
    assert "loss" not in kept["history"][0]


SECURE = {
    "uniform": True,
    "clients_per_round": 3,
    "secure_aggregation": {"clipping_range": 4.0},
    "methods": {"product": method("bayes", "ProductOfExperts")},
    "num_rounds": 2,
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "uniform": False,
            "methods": {"full": method("full-precision")},
            "data": {**SMALL["data"], "limit_per_class": 14},
        },
        {
            "methods": {"full": method("full-precision")},
            "local_privacy": {"clipping_norm": 0.5, "sensitivity": 1e-9, "epsilon": 1.0, "delta": 1e-5},
        },
    ],
)
def test_secure_aggregation_is_switched_on_by_the_file(tmp_path, changes):
    """The same network as in the clear but for rounding, more bytes, no loss of a client; noise before masks."""
    given = {**SECURE, **changes}
    assert run(tmp_path, config=write(tmp_path, **given), out="masked") == 0
    del given["secure_aggregation"]
    assert run(tmp_path, config=write(tmp_path, **given), out="clear") == 0
    masked, clear = (
        torch.load(next((tmp_path / out / "runs").iterdir()) / "last.ckpt", weights_only=True)
        for out in ("masked", "clear")
    )
    for name, tensor in clear["state_dict"].items():
        kept = slice(2) if name.endswith("weight_draw") else ...  # what follows says how large latents are, in 1e-9
        torch.testing.assert_close(masked["state_dict"][name][kept], tensor[kept], rtol=0, atol=1e-3)
    first, first_in_the_clear = masked["history"][0], clear["history"][0]
    assert first["bytes_up"] > 8 * sum(
        tensor.numel() for tensor in clear["state_dict"].values() if tensor.is_floating_point()
    )
    assert "loss" not in first
    assert ("loss" in first_in_the_clear) == ("local_privacy" not in changes)


def test_a_killed_run_on_ray_goes_on_bit_for_bit(tmp_path, monkeypatch):
    """Contexts are new in every call of Flower's engine, for which one in this process stands here."""
    monkeypatch.setattr(
        ray, "run_on_ray", lambda server, clients, num: run_in_process(server, InProcessGrid(clients, num))
    )
    config = write(tmp_path, methods={"product": method("bayes", "ProductOfExperts", rho=0.02)}, engine="ray")
    assert run(tmp_path, config=config, out="whole") == 0
    after = record.RoundRecord.after_round

    def killed(self, report):
        after(self, report)
        if report.round == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(record.RoundRecord, "after_round", killed)
    assert run(tmp_path, config=config, out="parts") == 130
    assert run(tmp_path, config=config, out="parts") == 0
    last = "runs/product-seed0/last.ckpt"
    whole, parts = (torch.load(tmp_path / out / last, weights_only=True)["state_dict"] for out in ("whole", "parts"))
    for name, tensor in whole.items():
        assert torch.equal(tensor, parts[name]), name


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
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(60) % 3
    x = torch.rand(60, 4, 6, generator=generator) + labels[:, None, None]
    return {"train": (x, labels), "validation": (x[:12], labels[:12]), "test": (x[12:30], labels[12:30])}


def unfinished():
    return {"train": recordings()["train"]}
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Return changes that name a network and data of one's own, in a file beside the YAML file."""
    (tmp_path / "my_federation.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    return {"network": "my_federation.Net", "data": {"class_path": "my_federation.recordings"}}


def test_a_network_and_data_of_ones_own(own, tmp_path, capsys):
    """Partition by labels, several rules, a description from which evaluate and predict read the global network."""
    partition = {"class_path": "snntorch_binary.federated.Dirichlet", "init_args": {"min_examples": 5}}
    methods = {"full": method("full-precision"), "product": method("bayes", "ProductOfExperts")}
    config = write(tmp_path, **own, methods=methods, partition=partition, num_rounds=2, label_shift=True)
    assert run(tmp_path, config=config) == 0
    rows = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {row["dataset"] for row in rows} == {"recordings"}
    for name in ("full", "product"):
        folder = tmp_path / "out" / "runs" / f"{name}-seed0"
        capsys.readouterr()
        assert main(["evaluate", str(folder)]) == 1
        assert "a file chooses no class: name it yourself, as --network my_federation.Net" in capsys.readouterr().err
        scores = str(tmp_path / "scores.json")
        named = ["--network", "my_federation.Net", "--data", "my_federation.recordings"]
        assert main(["evaluate", str(folder), *named, "--out", scores]) == 0
        found = {row["prediction"]: row["accuracy"] for row in json.loads((tmp_path / "scores.json").read_text())}
        assert found == {row["prediction"]: row["accuracy"] for row in rows if row["method"] == name}
    own["data"] = {"class_path": "my_federation.unfinished"}
    assert run(tmp_path, config=write(tmp_path, **own), out="other") == 1
    assert "`data` to be with a validation part" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_the_network_of_a_run_is_read_from_its_folder(tmp_path):
    assert run(tmp_path) == 0
    rows = json.loads((tmp_path / "out" / "results.json").read_text())
    for name in SMALL["methods"]:
        folder = tmp_path / "out" / "runs" / f"{name}-seed0"
        assert main(["evaluate", str(folder), "--out", str(tmp_path / "scores.json")]) == 0
        found = {row["prediction"]: row["accuracy"] for row in json.loads((tmp_path / "scores.json").read_text())}
        assert found == {row["prediction"]: row["accuracy"] for row in rows if row["method"] == name}
        assert load_run(folder).description.input_shape == (64,)


def test_a_run_travels_to_another_process(tmp_path):
    """As `--jobs` sends it: pickled, made anew there, and the same."""
    federation = read_federation(write(tmp_path, num_rounds=1))
    planned = [pickle.loads(pickle.dumps(_planned(federation, "product", 0))) for _ in range(2)]
    first, second = (
        of.train(of.folder(tmp_path / name), Sender("", lambda *_: None))
        for of, name in zip(planned, ("here", "there"), strict=True)
    )
    for name, answers in first["probabilities"].items():
        assert torch.equal(answers, second["probabilities"][name])
    assert first["history"] == second["history"]


@pytest.mark.repeated
def test_several_runs_at_once_give_the_same(tmp_path):
    config = write(tmp_path, num_rounds=2)
    assert run(tmp_path, config=config, out="one") == 0
    assert run(tmp_path, "--jobs", "2", config=config, out="two") == 0
    one, two = (json.loads((tmp_path / out / "results.json").read_text()) for out in ("one", "two"))
    for row in (*one, *two):
        del row["train_seconds"]
    assert one == two


@pytest.mark.network
@pytest.mark.parametrize("changes", [{"methods": SECURE["methods"]}, SECURE])
def test_flowers_simulation_engine_gives_the_same(tmp_path, changes):
    """Ray's processes, real messages: the very numbers of the engine in this process."""
    pytest.importorskip("ray")
    config = write(tmp_path, **changes)
    assert run(tmp_path, config=config, out="here") == 0
    assert run(tmp_path, "--engine", "ray", config=config, out="ray") == 0
    here, there = (
        torch.load(tmp_path / out / "runs/product-seed0/last.ckpt", weights_only=True)["state_dict"]
        for out in ("here", "ray")
    )
    for name, tensor in here.items():
        torch.testing.assert_close(there[name], tensor, rtol=1e-6, atol=1e-6)
