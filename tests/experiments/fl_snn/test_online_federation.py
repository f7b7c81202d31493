"""`snntorch-binary federate` with devices that learn online: federation, runs, table and picture."""

import json
from dataclasses import replace

import pytest
import torch
from rich.console import Console

pytest.importorskip("flwr", reason="Flower is not installed")


from snntorch_binary.cli import main
from snntorch_binary.experiments.config import shipped
from snntorch_binary.experiments.fl_snn import OnlineRun, read_online_federation, run_online, runs
from snntorch_binary.experiments.fl_snn.config import SHIPPED, is_online
from snntorch_binary.experiments.fl_snn.federation import ExchangeMethod
from snntorch_binary.experiments.fl_snn.report import online_rows, online_table
from snntorch_binary.experiments.progress import RunsProgress
from snntorch_binary.nn import WTANetwork, layered_mask

ONLINE = list(shipped(SHIPPED))

CONFIG = """
online: true
data: {name: digits, classes: [0, 1], num_steps: 5, limit_per_class: 20}
num_local_steps: 60
num_samples: 2
lr: 0.05
seeds: [0, 1]
methods:
  separate: {}
  everything: {tau: 6, rate: 2.0}
  turns: {tau: 6, rate: 0.2}
curves:
  in turn: [turns, everything]
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "online.yaml"
    path.write_text(CONFIG)
    return path


def test_the_shipped_ones():
    assert ONLINE == ["fl-snn-mnist-dvs", "fl-snn-nmnist"]
    for name in ONLINE:
        assert is_online(name)
        federation = read_online_federation(name)
        assert {federation.methods[member].num_selected for member in federation.methods if member != "separate"} == {
            1,
            2,
            4,
            8,
        }
        # All methods of a curve's place have the same load.
        for members in federation.curves.values():
            loads = [federation.methods[each].num_selected / federation.methods[each].tau for each in members]
            assert loads == [0.125, 0.25, 0.5, 1.0]


@pytest.mark.drawn
def test_a_federation_ends_in_a_table_a_file_and_a_picture(config, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["federate", str(config), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("validation accuracy") == 6
    assert "separate" in printed
    rows = json.loads((out / "results.json").read_text())
    assert len(rows) == 3 * 2 * 2
    by_name = {row["method"]: row for row in rows if row["seed"] == 0 and row["prediction"] == "single"}
    assert by_name["separate"]["accuracy"] == 0.5
    assert by_name["everything"]["accuracy"] > 0.8
    # 64 inputs to each of 2 outputs and 2 biases, in 10 rounds of n basis functions.
    assert by_name["everything"]["scalars"] == 10 * (2 * 64 * 8 + 2)
    assert by_name["turns"]["scalars"] == 10 * (2 * 64 * 1 + 2)
    assert by_name["turns"]["bytes"] == 10 * (4 * (2 * 64 + 2) + 8)
    assert by_name["separate"]["bytes"] == 0
    assert (out / "load.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "results.csv").read_text().count("\n") == 13


def test_what_is_done_is_not_done_again_and_the_rest_is_the_same(config, tmp_path, monkeypatch):
    federation = read_online_federation(config, seeds=[1])

    def run(out):
        return run_online(federation, out, RunsProgress(Console(quiet=True), 3, 1))

    whole = run(tmp_path / "whole")
    learn, calls = runs._run, []

    def until_the_second(*arguments, **named):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return learn(*arguments, **named)

    monkeypatch.setattr(runs, "_run", until_the_second)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts")
    parts = run(tmp_path / "parts")
    assert len(calls) == 4  # one finished, one interrupted, two more
    for one, other in zip(whole, parts, strict=True):
        assert torch.equal(one.probabilities["ensemble"], other.probabilities["ensemble"])


def test_another_method_of_the_same_name_is_not_read_as_this_one(config, tmp_path, capsys):
    arguments = ["federate", str(config), "--methods", "turns", "--seeds", "0", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    config.write_text(CONFIG.replace("turns: {tau: 6, rate: 0.2}", "turns: {tau: 12, rate: 0.2}"))
    capsys.readouterr()
    assert main(arguments) == 1
    assert "holds runs with other settings (methods.turns.tau)" in capsys.readouterr().err


def test_federation_reach_the_devices_and_steps_after_the_last_exchange_are_made(config, tmp_path, monkeypatch):
    config.write_text(CONFIG.replace("lr: 0.05", "lr: 0.03\nkappa: 0.25\nwindow: 2\nhidden: 3"))
    federation = read_online_federation(config, seeds=[1])
    federation = replace(federation, methods={"rare": ExchangeMethod(tau=25, rate=1.0, counted_since="exchange")})
    made, exchanged = [], []
    make, exchange = runs.make_devices, runs.exchange_
    monkeypatch.setattr(runs, "make_devices", lambda *given: made.append(make(*given)) or made[-1])
    monkeypatch.setattr(
        runs, "exchange_", lambda devices, num: exchanged.append(devices[0].position) or exchange(devices, num)
    )
    run_online(federation, tmp_path / "out", RunsProgress(Console(quiet=True), 1, 1))
    devices = made[-1]
    assert [(device.lr, device.rule.kappa, device.rule.window) for device in devices] == [(0.03, 0.25, 2)] * 2
    assert [(device.net.num_hidden, device.counted_since) for device in devices] == [(3, "exchange")] * 2
    assert devices[0].seed != devices[1].seed
    assert exchanged == [25 * 2, 50 * 2]
    assert [device.position for device in devices] == [60 * 2, 60 * 2]


def test_joined_time_steps():
    spikes = torch.zeros(1, 7, 3, dtype=torch.uint8)
    spikes[0, [1, 4, 6], [0, 1, 2]] = 1

    joined, _ = runs._spikes([(spikes.transpose(0, 1).float(), torch.tensor([0]))], polarities=False, join=3)
    assert joined.tolist() == [[[1, 0, 0], [0, 1, 0]]]  # the seventh step is no whole one


@pytest.mark.parametrize("feedback", ["none", "all"])
def test_answers_are_those_of_free_runs(feedback):
    net = WTANetwork(6, 0, 3, feedback=feedback, init=1.0, mask=layered_mask(6, 0, 3, output_lateral=feedback == "all"))
    spikes = (torch.rand(7, 9, 6) < 0.4).byte()
    found = runs.answer(net, spikes, 3)
    with torch.no_grad():
        each = [net(spikes.transpose(0, 1).float().unsqueeze(-1), seed).sum(0).softmax(-1) for seed in range(3)]
    assert torch.equal(found["single"], each[0])
    torch.testing.assert_close(found["ensemble"], sum(each) / 3)
    assert not torch.equal(found["single"], found["ensemble"])


def test_the_table_shows_means_over_devices_and_the_worst(config):
    federation = read_online_federation(config)
    labels = torch.tensor([0, 1, 0, 1])
    right, half = torch.eye(2)[labels], torch.tensor([[1.0, 0.0]]).expand(4, 2)
    answers = {name: torch.stack([right, half]) for name in ("single", "ensemble")}
    found = [OnlineRun("turns", seed, answers, answers, labels, labels, 10, 2000, 1.0, "0 1") for seed in (0, 1)]
    rows = online_rows(federation, found)
    assert rows[0]["accuracy"] == 0.75
    assert rows[0]["worst_accuracy"] == 0.5
    with (console := Console(width=80)).capture() as printed:
        console.print(online_table(rows))
    assert "75.0 ±0.0" in printed.get()
    assert "50.0" in printed.get()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("everything: {tau: 0.5}", "`methods.everything` to be arguments that ExchangeMethod takes"),
        ("everything: {tau: -1}", "Expected argument `tau` to be an integer of at least 1, but got -1."),
        ("everything: {tau: 61}", "`methods.everything.tau` to be at most num_local_steps = 60, but got 61."),
        ("everything: {tau: 4, rate: 0.1}", "`rate` to be at least 1 / tau = 0.25, so that something can be sent"),
        ("everything: {taus: 4}", "taus"),
        ("5: {tau: 4}", "`methods` to be with names of letters, digits and - _ ., but got 5."),
        ("everything: {counted_since: never}", "counted_since"),
    ],
)
def test_a_wrong_file_is_one_sentence(config, change, sentence, capsys):
    config.write_text(CONFIG.replace("everything: {tau: 6, rate: 2.0}", change))
    assert main(["federate", str(config)]) == 1
    assert sentence in (message := capsys.readouterr().err)
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("methods:", "methods: 5\nmore:", "but got"),
        ("lr: 0.05", "hidden: -1", "`hidden` to be an integer of at least 0, but got -1."),
        ("lr: 0.05", "lr: -1.0", "`lr`"),
        ("lr: 0.05", "kappa: 1.5", "`kappa`"),
        ("lr: 0.05", "feedback: some", "feedback"),
        ("classes: [0, 1]", "classes: 5", "`data` to be arguments that ShippedData takes"),
        ("classes: [0, 1]", "classes: [3]", "`classes` to be all or at least two different labels, but got (3,)"),
        ("classes: [0, 1]", "class: 5", "class"),
    ],
)
def test_a_wrong_value_is_one_sentence(config, tmp_path, old, new, sentence, capsys):
    config.write_text(CONFIG.replace(old, new))
    assert main(["federate", str(config), "--out", str(tmp_path / "out")]) == 1
    assert sentence in (message := capsys.readouterr().err)
    assert message.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_text_is_named(tmp_path, capsys):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xff\xfe\x00\xd8")
    assert main(["federate", str(path)]) == 1
    assert f"`CONFIG` to be an experiment, but got {path}: 'utf-8' codec" in capsys.readouterr().err


def test_options_that_do_not_fit(config, capsys):
    for options, sentence in (
        (["--rounds", "3"], "`--rounds` to be left out with online devices, but got 3."),
        (["--methods", "none"], "`--methods` to be some of separate, everything, turns, but got 'none'."),
        (["--jobs", "2"], "`--jobs` to be left out with online devices, but got 2."),
    ):
        assert main(["federate", str(config), *options]) == 1
        assert sentence in capsys.readouterr().err
    config.write_text(CONFIG.replace("[turns, everything]", "[turns, nothing]"))
    with pytest.raises(ValueError, match=r"`curves\.in turn` to be a list of some of separate"):
        read_online_federation(config)


OWN = """
import torch


def recordings(scale=1.0):
    x = (torch.arange(240).reshape(40, 6, 1) * 7 + torch.arange(5) * 3) % 4 == 0
    x, labels = scale * x.float(), torch.arange(40) % 2
    return {name: (x, labels) for name in ("train", "validation", "test")}
"""


def test_data_of_ones_own(tmp_path, monkeypatch, capsys):
    """Devices of a user's classes; the networks of all devices are kept with a description."""
    (tmp_path / "my_recordings.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "own.yaml"
    own = CONFIG.replace("data: {name: digits, classes: [0, 1], num_steps: 5, limit_per_class: 20}", "data: {data}")
    path.write_text(own.replace("{data}", "{class_path: my_recordings.recordings}"))
    assert main(["federate", str(path), "--methods", "turns", "--seeds", "0", "--out", str(tmp_path / "out")]) == 0
    row = json.loads((tmp_path / "out" / "results.json").read_text())[0]
    assert (row["dataset"], row["classes"]) == ("recordings", "0 1")
    folder = tmp_path / "out" / "runs" / "turns-seed0"
    described = json.loads((folder / "description.json").read_text())
    assert described["network"]["class_path"] == "snntorch_binary.models.layered_network"
    states = [torch.load(folder / f"device{number}.ckpt", weights_only=True)["state_dict"] for number in (0, 1)]
    assert states[0].keys() == states[1].keys()
    assert any(not torch.equal(value, states[1][name]) for name, value in states[0].items())
    path.write_text(own.replace("{data}", "{class_path: my_recordings.recordings, init_args: {scale: 0.5}}"))
    capsys.readouterr()
    assert main(["federate", str(path), "--out", str(tmp_path / "other")]) == 1
    assert "`data` to be spikes, 0 or 1, but got other numbers" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_two_digits_of_nmnist(real_data, tmp_path):
    """A device alone is at chance, together they are not: the first 30 recordings of each, one seed."""
    federation = read_online_federation(
        "fl-snn-nmnist", data_dir=str(real_data), methods=["separate", "turns-1"], seeds=[0], limit_per_class=30
    )
    federation = replace(federation, num_local_steps=600, num_samples=2)
    alone, together = run_online(federation, tmp_path, RunsProgress(Console(quiet=True), 2, 1))
    accuracies = [
        (run.probabilities["ensemble"].argmax(-1) == run.labels).double().mean(1) for run in (alone, together)
    ]
    assert accuracies[0].tolist() == [0.5, 0.5]
    assert accuracies[1].min() > 0.85
