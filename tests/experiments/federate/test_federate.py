"""`federate`: tables, files and pictures; a killed run goes on bit for bit; mistakes are one sentence."""

import copy
import json
import re

import pytest
import torch
import yaml

pytest.importorskip("flwr")
pytest.importorskip("lightning")

from snntorch_binary.federated.federation import make_federation, make_module
from snntorch_binary.federated.report import _sent, compared
from snntorch_binary.federated.run import FederatedRun
from snntorch_binary.federated.settings import FederationSettings, build, read_settings, shipped_configs

from snntorch_binary.cli import main
from snntorch_binary.federated import Aggregation, Task, record
from snntorch_binary.federated.flower import InProcessGrid, ray, run_in_process
from snntorch_binary.federated.participant import NetworkParticipant
from snntorch_binary.optim import BayesBiSNN

MLP = {
    "class_path": "snntorch_binary.models.SpikingMLP",
    "init_args": {"input_size": 64, "hidden_sizes": [16], "num_classes": 10},
}


def method(module, aggregation=None, **arguments):
    made = {
        "model": {
            "class_path": f"snntorch_binary.lightning.{module}",
            "init_args": {"net": MLP, "num_classes": 10} | arguments,
        }
    }
    if aggregation is not None:
        made["aggregation"] = {"class_path": f"snntorch_binary.federated.{aggregation}"}
    return made


SMALL = {
    "data": {"name": "digits", "num_steps": 3, "limit_per_class": 15},
    "num_clients": 3,
    "clients_per_round": 2,
    "num_rounds": 4,
    "seeds": [0],
    "methods": {
        "full-precision": method("SpikingModule"),
        "product": method("BayesBiSNN", "ProductOfExperts"),
        "one-bit": method("STBiSNN", "OneBit"),
    },
}
# A plain network with noise of torch's own, dropout and that of its neurons.
DROPOUT = {
    "model": {
        "class_path": "snntorch_binary.models.SoftLIFConvNet",
        "init_args": {
            "image_shape": [1, 8, 8], "num_classes": 10, "channels": [2, 2], "hidden_size": 8, "noise": 10.0
        },
    }
}  # fmt: skip


MASKED = {"secure_aggregation": {}, "clients_per_round": 3}
PRIVATE = {"local_privacy": {"clipping_norm": 1.0, "sensitivity": 0.1, "epsilon": 1.0, "delta": 1e-5}}
PRIVATE_NOISE = {"clipping_norm": 1.0, "sensitivity": 1.0, "epsilon": 1.0, "delta": 1e-5}
FEW = {"name": "digits", "num_steps": 1, "limit_per_class": 15}
LOCAL = {
    "class_path": "snntorch_binary.models.LocalSpikingMLP",
    "init_args": {"input_size": 64, "hidden_sizes": [16], "num_outputs": 10},
}
ONLINE = method("SpikingModule", net=LOCAL, credit="online")
LARGE = method("SpikingModule", net={**MLP, "init_args": {**MLP["init_args"], "input_size": 65}})


def write(tmp_path, **changes):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes}, sort_keys=False))
    return str(path)


def run(tmp_path, *options, config=None, out="out"):
    return main(["federate", config or write(tmp_path), "--out", str(tmp_path / out), *options])


def test_it_ends_with_a_table_files_and_pictures(tmp_path, capsys):
    assert run(tmp_path) == 0
    printed = capsys.readouterr().out
    for word in ("full-precision", "product, mode", "product, ensemble", "one-bit", "3 clients, 2 a round", "kB"):
        assert word in printed
    rows = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [(row["method"], row["prediction"]) for row in rows] == [
        ("full-precision", "single"),
        ("product", "mode"),
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
        states = [torch.load(tmp_path / f / "runs" / name / "last.pt", weights_only=True) for f in ("whole", "parts")]
        for key, tensor in states[0]["state"].items():
            assert torch.equal(tensor, states[1]["state"][key])
    kept = {path.name for path in (tmp_path / "parts" / "runs" / "product-seed0").glob("client*")}
    assert kept == {path.name for path in (tmp_path / "whole" / "runs" / "product-seed0").glob("client*")}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clients_per_round": 4}, "`clients_per_round` to be at most 3"),
        ({"num_rounds": 0}, "`num_rounds` to be a positive integer"),
        ({"num_rounds": "many"}, "`num_rounds` to be of type int"),
        ({"stragglers": 1.5}, "`stragglers`"),
        ({"engine": "magic"}, "`engine`"),
        ({"round": 3}, "to be with some of data"),
        ({"methods": {}}, "`methods`"),
        ({"methods": {"a": {"modell": {}}}}, "'modell'"),
        ({"methods": {"a": method("SpikingModule", "ProductOfExperts")}}, "Bernoulli"),
        ({"methods": {"a": method("SpikingModule", "OneBit")}}, "binary layers"),
        ({"methods": {"a": method("SpikingModule", lr=-1.0)}}, "`lr` to be a positive float"),
        ({"methods": {"a": method("SpikingModule", rate=1.0)}}, "rate"),
        ({"data": {"name": "nothing"}}, "nothing"),
        ({"num_clients": 1000, "clients_per_round": 2}, "`num_clients` to be at most"),
        ({**PRIVATE, "methods": {"a": method("STBiSNN", "OneBit")}}, "cannot have noise"),
        ({**PRIVATE, "methods": {"a": method("STBiSNN", "OneBitChange")}}, "None with OneBitChange"),
        ({**PRIVATE, "methods": {"a": method("BayesBiSNN", "ProductOfExperts")}}, "None with ProductOfExperts"),
        ({"local_privacy": {**PRIVATE["local_privacy"], "delta": 3.0}}, "`delta` to be a float in (0, 1)"),
        ({"label_shift": "yes"}, "`label_shift` to be of type bool"),
        ({"methods": "abc"}, "`methods` to be with methods by name, but got 'abc'"),
        (
            {"methods": {1: method("SpikingModule")}},
            "`methods` to be with names of letters, digits and - _ ., but got 1",
        ),
        ({"methods": {"../../a": method("SpikingModule")}}, "but got '../../a'"),
        ({"methods": {"a": {"model": {"class_path": "lightning.LightningModule"}}}}, "clients make no training_step"),
        ({"methods": {"a": ONLINE}}, "with credit 'through-time' or 'local', but got 'online'"),
        (
            {"methods": {"a": {"model": {"class_path": "torch.nn.Identity"}}}, "data": FEW},
            "to be 64, the outputs of the network, but got 10",
        ),
        ({"methods": {"a": LARGE}}, "The network of method a cannot take spikes of shape [3, 2, 64]"),
        ({"data": {"name": "regression-1d"}}, "a data set that has classes, but got 'regression-1d'"),
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
    federation = make_federation(read_settings(write(tmp_path, **changes, **more)), "product", 0)
    clients, server = federation.participant, federation.coordinator
    assert (clients.epochs, clients.batch_size, clients.drop_last, clients.temperature) == (3, 7, True, 0.25)
    assert [clients.lr_factor(round) for round in (1, 2, 3, 4)] == [1, 1, 0.25, 0.25]
    assert (server.uniform, server.stragglers, server.gradient_noise) == (True, 0.5, 0.125)


@pytest.mark.parametrize(("round", "factor"), [(2, 1.0), (3, 0.25)])
def test_learning_rates_drop_and_a_posteriors_temperature_is_for_each_example(tmp_path, monkeypatch, round, factor):
    methods = {"product": method("BayesBiSNN", "ProductOfExperts", rho=None, lr=0.2)}
    changes = {"temperature": 0.5, "lr_drops": [2], "lr_drop": 4.0, "methods": methods}
    federation = make_federation(read_settings(write(tmp_path, **changes)), "product", 0)
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
        settings = read_settings(path, label_shift=shift)
        federation = make_federation(settings, "full-precision", 0)
        arrays = federation.coordinator.arrays()
        update = federation.participant.train(arrays, Task(1, 0, 0, 3, 0), {})
        losses.append((update.metrics["loss"], update.arrays))
    assert losses[0][0] != losses[1][0]
    assert any(not torch.equal(tensor, losses[1][1][name]) for name, tensor in losses[0][1].items())


@pytest.mark.parametrize("name", ["digits-5-clients", "mnist-10-clients", "mnist-100-clients"])
def test_shipped_methods_can_be_built(name):
    settings = read_settings(name)
    assert settings.label_shift
    for method in settings.methods.values():
        module = make_module(method.model, 10, 0)()
        assert build(method.aggregation, Aggregation).like(module.net)


def test_a_config_that_is_not_there_is_one_sentence(tmp_path, capsys):
    assert run(tmp_path, config="nowhere") == 1
    assert re.search(r"`CONFIG` to be a YAML file or one of .*mnist-10-clients", capsys.readouterr().err)
    assert run(tmp_path, "--methods", "magic") == 1
    assert "`--methods`" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_shipped_configs_are_read(name):
    try:
        settings = read_settings(name)
    except ValueError as error:  # a config of another kind of federation has a reader of its own
        pytest.skip(str(error))
    assert isinstance(settings, FederationSettings)
    assert settings.lr_factor(1) == 1.0
    assert settings.lr_factor(settings.num_rounds) <= 1.0


def test_local_privacy_is_switched_on_by_the_file(tmp_path):
    """With next to no noise the update is clipped to its norm; with much noise nothing is learned."""
    given = {"clipping_norm": 0.01, "sensitivity": 1e-9, "epsilon": 1.0, "delta": 1e-5}
    config = write(tmp_path, methods={"full": method("SpikingModule")}, num_rounds=1, local_privacy=given)
    assert run(tmp_path, config=config) == 0
    state = torch.load(tmp_path / "out/runs/full-seed0/last.pt", weights_only=True)["state"]
    start = make_federation(read_settings(config), "full", 0).module.net.state_dict()
    moved = torch.cat([(state[name] - start[name]).flatten() for name in start]).norm()
    assert 0 < float(moved) <= 0.0101
    config = write(tmp_path, methods={"full": method("SpikingModule")}, num_rounds=1, local_privacy=PRIVATE_NOISE)
    assert run(tmp_path, config=config, out="noisy") == 0
    kept = torch.load(tmp_path / "noisy/runs/full-seed0/last.pt", weights_only=True)
    learned = {name for name, _ in make_federation(read_settings(config), "full", 0).module.net.named_parameters()}
    for name, tensor in start.items():  # thresholds, decays and what a reset does are not learned
        assert torch.equal(kept["state"][name], tensor) == (name not in learned), name
        assert kept["state"][name].dtype == tensor.dtype
    assert "loss" not in kept["history"][0]


SECURE = {
    "uniform": True,
    "clients_per_round": 3,
    "secure_aggregation": {"clipping_range": 4.0},
    "methods": {"product": method("BayesBiSNN", "ProductOfExperts")},
    "num_rounds": 2,
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "uniform": False,
            "methods": {"full": method("SpikingModule")},
            "data": {**SMALL["data"], "limit_per_class": 14},
        },
        {
            "methods": {"full": method("SpikingModule")},
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
        torch.load(next((tmp_path / out / "runs").iterdir()) / "last.pt", weights_only=True)
        for out in ("masked", "clear")
    )
    for name, tensor in clear["state"].items():
        kept = slice(2) if name.endswith("weight_draw") else ...  # what follows says how large latents are, in 1e-9
        torch.testing.assert_close(masked["state"][name][kept], tensor[kept], rtol=0, atol=1e-3)
    first, first_in_the_clear = masked["history"][0], clear["history"][0]
    assert first["bytes_up"] > 8 * sum(
        tensor.numel() for tensor in clear["state"].values() if tensor.is_floating_point()
    )
    assert "loss" not in first
    assert ("loss" in first_in_the_clear) == ("local_privacy" not in changes)


def test_a_killed_run_on_ray_goes_on_bit_for_bit(tmp_path, monkeypatch):
    """Contexts are new in every call of Flower's engine, for which one in this process stands here."""
    monkeypatch.setattr(
        ray, "run_on_ray", lambda server, clients, num: run_in_process(server, InProcessGrid(clients, num))
    )
    config = write(tmp_path, methods={"product": method("BayesBiSNN", "ProductOfExperts", rho=0.02)}, engine="ray")
    assert run(tmp_path, config=config, out="whole") == 0
    after = record.RoundRecord.after_round

    def killed(self, report):
        after(self, report)
        if report.round == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(record.RoundRecord, "after_round", killed)
    assert run(tmp_path, config=config, out="parts") == 130
    assert run(tmp_path, config=config, out="parts") == 0
    last = "runs/product-seed0/last.pt"
    whole, parts = (torch.load(tmp_path / out / last, weights_only=True)["state"] for out in ("whole", "parts"))
    for name, tensor in whole.items():
        assert torch.equal(tensor, parts[name]), name


def test_a_damaged_description_of_a_method_is_named(tmp_path, capsys):
    assert run(tmp_path, "--methods", "full-precision") == 0
    path = tmp_path / "out/runs/full-precision-seed0/method.json"
    path.write_text("{")
    capsys.readouterr()
    assert run(tmp_path, "--methods", "full-precision") == 1
    assert f"{path} is damaged" in capsys.readouterr().err


@pytest.mark.network
@pytest.mark.parametrize("changes", [{"methods": SECURE["methods"]}, SECURE])
def test_flowers_simulation_engine_gives_the_same(tmp_path, changes):
    """Ray's processes, real messages: the very numbers of the engine in this process."""
    pytest.importorskip("ray")
    config = write(tmp_path, **changes)
    assert run(tmp_path, config=config, out="here") == 0
    assert run(tmp_path, "--engine", "ray", config=config, out="ray") == 0
    here, there = (
        torch.load(tmp_path / out / "runs/product-seed0/last.pt", weights_only=True)["state"] for out in ("here", "ray")
    )
    for name, tensor in here.items():
        torch.testing.assert_close(there[name], tensor, rtol=1e-6, atol=1e-6)
