"""`snntorch-binary federate` with devices that learn online: settings, runs, table and picture."""

import json
from dataclasses import replace

import pytest
import torch
from rich.console import Console

pytest.importorskip("flwr", reason="Flower is not installed")

from snntorch_binary.federated.online_report import online_rows, online_table
from snntorch_binary.federated.online_run import OnlineRun, run_online
from snntorch_binary.federated.online_settings import ExchangeMethod, is_online, read_online_settings
from snntorch_binary.federated.settings import shipped_configs
from snntorch_binary.lightning.progress import ComparisonProgress

from snntorch_binary.cli import main
from snntorch_binary.federated import online_run
from snntorch_binary.nn import WTANetwork, layered_mask

ONLINE = [name for name in shipped_configs() if is_online(name)]

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
        settings = read_online_settings(name)
        assert {settings.methods[member].num_selected for member in settings.methods if member != "separate"} == {
            1,
            2,
            4,
            8,
        }
        # All methods of a curve's place have the same load.
        for members in settings.curves.values():
            loads = [settings.methods[each].num_selected / settings.methods[each].tau for each in members]
            assert loads == [0.125, 0.25, 0.5, 1.0]


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
    settings = read_online_settings(config, seeds=[1])

    def run(out):
        return run_online(settings, out, ComparisonProgress(Console(quiet=True), 3, 1))

    whole = run(tmp_path / "whole")
    learn, calls = online_run._run, []

    def until_the_second(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return learn(*arguments)

    monkeypatch.setattr(online_run, "_run", until_the_second)
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
    assert "holds another method of this name" in capsys.readouterr().err


def test_settings_reach_the_devices_and_steps_after_the_last_exchange_are_made(config, tmp_path, monkeypatch):
    config.write_text(CONFIG.replace("lr: 0.05", "lr: 0.03\nkappa: 0.25\nwindow: 2\nhidden: 3"))
    settings = read_online_settings(config, seeds=[1])
    settings = replace(settings, methods={"rare": ExchangeMethod(tau=25, rate=1.0, counted_since="exchange")})
    made, exchanged = [], []
    make, exchange = online_run.make_devices, online_run.exchange_
    monkeypatch.setattr(online_run, "make_devices", lambda *given: made.append(make(*given)) or made[-1])
    monkeypatch.setattr(
        online_run, "exchange_", lambda devices, num: exchanged.append(devices[0].position) or exchange(devices, num)
    )
    run_online(settings, tmp_path / "out", ComparisonProgress(Console(quiet=True), 1, 1))
    devices = made[-1]
    assert [(device.lr, device.rule.kappa, device.rule.window) for device in devices] == [(0.03, 0.25, 2)] * 2
    assert [(device.net.num_hidden, device.counted_since) for device in devices] == [(3, "exchange")] * 2
    assert devices[0].seed != devices[1].seed
    assert exchanged == [25 * 2, 50 * 2]
    assert [device.position for device in devices] == [60 * 2, 60 * 2]


def test_joined_time_steps(config):
    spikes = torch.zeros(1, 7, 3, dtype=torch.uint8)
    spikes[0, [1, 4, 6], [0, 1, 2]] = 1

    class Recorded:
        def __len__(self):
            return 1

        def __getitems__(self, indices):
            return spikes.transpose(0, 1).float(), torch.tensor([0])

    class Shape:
        input_shape = (3,)

    joined, _ = online_run._spikes(Recorded(), Shape(), 3)
    assert joined.tolist() == [[[1, 0, 0], [0, 1, 0]]]  # the seventh step is no whole one


@pytest.mark.parametrize("feedback", ["none", "all"])
def test_answers_are_those_of_free_runs(feedback):
    net = WTANetwork(6, 0, 3, feedback=feedback, init=1.0, mask=layered_mask(6, 0, 3, output_lateral=feedback == "all"))
    spikes = (torch.rand(7, 9, 6) < 0.4).byte()
    found = online_run.answer(net, spikes, 3)
    with torch.no_grad():
        each = [net(spikes.transpose(0, 1).float().unsqueeze(-1), seed).sum(0).softmax(-1) for seed in range(3)]
    assert torch.equal(found["single"], each[0])
    torch.testing.assert_close(found["ensemble"], sum(each) / 3)
    assert not torch.equal(found["single"], found["ensemble"])


def test_the_table_shows_means_over_devices_and_the_worst(config):
    settings = read_online_settings(config)
    labels = torch.tensor([0, 1, 0, 1])
    right, half = torch.eye(2)[labels], torch.tensor([[1.0, 0.0]]).expand(4, 2)
    answers = {name: torch.stack([right, half]) for name in ("single", "ensemble")}
    runs = [OnlineRun("turns", seed, answers, answers, labels, labels, 10, 2000, 1.0) for seed in (0, 1)]
    rows = online_rows(settings, runs)
    assert rows[0]["accuracy"] == 0.75
    assert rows[0]["worst_accuracy"] == 0.5
    with (console := Console(width=80)).capture() as printed:
        console.print(online_table(rows))
    assert "75.0 ±0.0" in printed.get()
    assert "50.0" in printed.get()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("everything: {tau: 0.5}", "Expected argument `tau` to be of type int, but got 0.5."),
        ("everything: {tau: -1}", "Expected argument `tau` to be an integer of at least 1, but got -1."),
        ("everything: {tau: 61}", "`methods.everything.tau` to be at most num_local_steps = 60, but got 61."),
        ("everything: {tau: 4, rate: 0.1}", "`rate` to be at least 1 / tau = 0.25, so that something can be sent"),
        ("everything: {taus: 4}", "`methods.everything` to be with some of tau, rate, counted_since, but got 'taus'."),
        ("5: {tau: 4}", "`methods` to be with names of letters, digits and - _ ., but got 5."),
        ("everything: {counted_since: never}", "`counted_since` to be 'sent' or 'exchange', but got 'never'."),
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
        ("lr: 0.05", "feedback: some", "`feedback` to be one of"),
        ("classes: [0, 1]", "classes: 5", "`data` to be with the name of a data set and at least two classes"),
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
    assert f"{path} is no YAML file" in capsys.readouterr().err


def test_options_that_do_not_fit(config, capsys):
    for options, sentence in (
        (["--rounds", "3"], "`--rounds` to be left out with online devices, but got 3."),
        (["--methods", "none"], "`--methods` to be some of separate, everything, turns, but got 'none'."),
        (["--seeds", "a"], "`--seeds` to be integers separated by commas, but got 'a'."),
    ):
        assert main(["federate", str(config), *options]) == 1
        assert sentence in capsys.readouterr().err
    config.write_text(CONFIG.replace("[turns, everything]", "[turns, nothing]"))
    with pytest.raises(ValueError, match=r"`curves\.in turn` to be a list of some of separate"):
        read_online_settings(config)
    with pytest.raises(ValueError, match="with the name of a data set and at least two classes"):
        replace(read_online_settings("fl-snn-nmnist"), data={"name": "nmnist"})


def test_two_digits_of_nmnist(real_data, tmp_path):
    """A device alone is at chance, together they are not: the first 30 recordings of each, one seed."""
    settings = read_online_settings(
        "fl-snn-nmnist", data_dir=str(real_data), methods=["separate", "turns-1"], seeds=[0], limit_per_class=30
    )
    settings = replace(settings, num_local_steps=600, num_samples=2)
    alone, together = run_online(settings, tmp_path, ComparisonProgress(Console(quiet=True), 2, 1))
    accuracies = [
        (run.probabilities["ensemble"].argmax(-1) == run.labels).double().mean(1) for run in (alone, together)
    ]
    assert accuracies[0].tolist() == [0.5, 0.5]
    assert accuracies[1].min() > 0.85
