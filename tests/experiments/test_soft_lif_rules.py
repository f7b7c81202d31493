"""Comparisons of soft LIF networks: rate and spiking answers side by side, and what cannot be compared."""

import json

import pytest
import torch
import yaml
from matplotlib.image import imread
from rich.console import Console

import snntorch_binary as sb
from snntorch_binary.cli import main
from snntorch_binary.convert import SpikingNetwork
from snntorch_binary.data import DirectEncoder
from snntorch_binary.experiments.compare.comparison import train_all
from snntorch_binary.experiments.config import read_experiment, shipped
from snntorch_binary.experiments.fit.command import shipped_configs
from snntorch_binary.lightning import SpikeDataModule
from snntorch_binary.lightning.spiking_module import SpikingModule

SOFT_LIF_RULES = ("softlif", "softlif-st", "softlif-bayes")
RULES = ",".join(SOFT_LIF_RULES)
LINES = [
    ("softlif", "single"),
    ("softlif", "spiking"),
    ("softlif-st", "single"),
    ("softlif-st", "spiking"),
    ("softlif-bayes", "mode"),
    ("softlif-bayes", "draw"),
    ("softlif-bayes", "ensemble"),
    ("softlif-bayes", "spiking mode"),
    ("softlif-bayes", "spiking draw"),
    ("softlif-bayes", "spiking ensemble"),
]


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    out = tmp_path_factory.mktemp("compare") / "digits"
    arguments = ["compare", "digits", "--rules", RULES, "--epochs", "3", "--seeds", "0", "--limit-per-class", "10"]
    assert main([*arguments, "--out", str(out)]) == 0
    return out


def test_rate_and_spikes_side_by_side(compared):
    rows = json.loads((compared / "results.json").read_text())
    assert [(row["rule"], row["prediction"], row["scaled"]) for row in rows] == [
        (*line, scaled) for line in LINES for scaled in (False, True)
    ]
    bits = {(row["rule"], row["prediction"]): row["bits_per_weight"] for row in rows}
    assert list(bits.values()) == [32, 32, 1, 1, 1, 1, 5, 1, 1, 5]
    answers = {
        rule: torch.load(compared / "runs" / f"{rule}-seed0" / "predictions.pt", weights_only=True)["probabilities"]
        for rule in SOFT_LIF_RULES
    }
    for by_prediction in answers.values():
        for name, probabilities in by_prediction.items():
            if not name.startswith("spiking"):
                spiking = by_prediction["spiking" if name == "single" else f"spiking {name}"]
                assert not torch.equal(spiking, probabilities)
                assert (spiking - probabilities).abs().mean() < 0.1
    differences = json.loads((compared / "differences.json").read_text())
    assert "softlif spiking - softlif" in differences
    assert "softlif-bayes spiking ensemble - softlif-bayes ensemble" in differences


def test_every_image_is_shown_in_spikes_once(tmp_path, monkeypatch):
    """A presentation of hundreds of time steps is what such a comparison spends its time on."""
    shown = []
    forward = SpikingNetwork.forward
    monkeypatch.setattr(SpikingNetwork, "forward", lambda net, x: shown.append(x.shape[1]) or forward(net, x))
    arguments = ["compare", "digits", "--rules", "softlif", "--seeds", "0", "--limit-per-class", "6", "--epochs", "1"]
    assert main([*arguments, "--out", str(tmp_path / "digits")]) == 0
    answers = torch.load(tmp_path / "digits" / "runs" / "softlif-seed0" / "predictions.pt", weights_only=True)
    num_images = len(answers["validation_labels"]) + len(answers["labels"])
    assert sum(shown[:-1]) == num_images  # the last call counts operations on a few of them
    assert shown[-1] <= len(answers["labels"])


def test_energy_and_pictures(compared):
    energies = json.loads((compared / "energy.json").read_text())
    assert list(energies) == list(SOFT_LIF_RULES)
    assert all(energy["neurons"] == [8 * 64, 16 * 16, 128] for energy in energies.values())
    for name in ("rates.png", "spikes.png", "rates_against_spikes.png"):
        assert imread(compared / name).shape[1] > 500


def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path, monkeypatch):
    """Noise of the neurons and dropout come back, too."""
    arguments = ["compare", "digits", "--rules", "softlif", "--seeds", "0", "--limit-per-class", "6", "--epochs", "3"]
    assert main([*arguments, "--out", str(tmp_path / "unbroken")]) == 0
    begin = SpikingModule.on_train_epoch_start

    def interrupted(module):
        if module.current_epoch == 2:
            raise KeyboardInterrupt
        begin(module)

    with monkeypatch.context() as patch:
        patch.setattr(SpikingModule, "on_train_epoch_start", interrupted)
        assert main([*arguments, "--out", str(tmp_path / "broken")]) == 130
    assert main([*arguments, "--out", str(tmp_path / "broken")]) == 0
    first, second = (
        torch.load(tmp_path / name / "runs" / "softlif-seed0" / "last.ckpt", weights_only=True)["state_dict"]
        for name in ("unbroken", "broken")
    )
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_trained_module_runs_in_spikes(compared):
    experiment = read_experiment(shipped()["digits-softlif"], ["softlif-st"], limit_per_class=10)
    comparison = train_all(experiment.with_changes(epochs=3, seeds=(0,)), compared, Console(quiet=True))
    (run,) = comparison.runs
    module, data = comparison.load(run)
    x, _ = data.splits.test.__getitems__([0, 1, 2])
    assert x.shape == (1, 3, 64)
    spiking = sb.to_spiking(module.net, presentation=0.03, scoring=0.01)
    assert spiking(x).shape == (20, 3, 10)


def test_pixels_are_currents():
    data = SpikeDataModule("digits", num_steps=1, encoder=DirectEncoder())
    data.setup()
    x, _ = next(iter(data.val_dataloader()))
    assert x.shape[0] == 1
    assert 2 < len(x.unique()) <= 17
    assert x.min() == -1
    assert x.max() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits", "--rules", "softlif,st"], "experiments digits, digits-local, digits-softlif, digits-vowel has"),
        (["two-moons", "--rules", "softlif"], "rules that one of the experiments two-moons, "),
        (["digits", "--rules", "softlif", "--credit", "online"], "has with --credit online, but got softlif"),
        (["digits", "--rules", "soft-lif"], "some of full-precision"),
    ],
)
def test_what_cannot_be_compared(arguments, message, capsys, tmp_path):
    assert main(["compare", *arguments, "--out", str(tmp_path / "out")]) == 1
    assert message in " ".join(capsys.readouterr().err.split())


def test_cifar_config_learns_from_the_real_files(real_data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config = shipped_configs()["cifar10-softlif"]
    assert yaml.safe_load(config.read_text())["data"]["name"] == "cifar10"
    few = ["--data.data_dir", str(real_data), "--data.limit_per_class", "4", "--data.batch_size", "10"]
    small = ["--model.init_args.net.init_args.channels", "[8, 8, 8, 4]", "--trainer.max_epochs", "1"]
    assert main(["fit", "--config", "cifar10-softlif", *few, *small]) == 0
    assert "epoch 1/1" in capsys.readouterr().out
