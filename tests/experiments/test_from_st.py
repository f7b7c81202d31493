"""A posterior that begins at the network of ST-BiSNN: what it takes over, and a training that is interrupted."""

import pytest
import torch

from snntorch_binary.experiments import compare
from snntorch_binary.experiments.compare import train
from snntorch_binary.experiments.config import find, read_experiment
from snntorch_binary.experiments.rules import Bayes, make_rule
from snntorch_binary.experiments.rules.rule import alone

SETTINGS = {"from_st": {"share": 0.5, "latent_lr": 0.01}, "init_scale": 6.0, "num_members": 3}
DIGITS = {"name": "digits", "limit_per_class": 10}
NETWORK = {"class_path": "snntorch_binary.models.SpikingMLP", "init_args": {"hidden_sizes": [16]}}


def run(out, epochs=4, **changed):
    rules = {"bayes": SETTINGS | changed}
    return compare(NETWORK, DIGITS, rules, epochs=epochs, seeds=[0], out=out, jobs=1, readout_scale=5.0).runs[0]


def state(folder, name):
    return torch.load(folder / "runs" / "bayes-seed0" / name, weights_only=True)["state_dict"]


def test_it_takes_over_signs_gains_and_the_rest(tmp_path):
    found = run(tmp_path, epochs=2, lr=1e-9, base_lr=1e-9)
    first, last = (state(tmp_path, name) for name in ("first.ckpt", "last.ckpt"))
    latents = [name for name in last if name.endswith("weight")]
    assert len(latents) == 2
    for name in latents:
        assert torch.allclose(last[name], 6.0 * torch.where(first[name] >= 0, 1.0, -1.0))
        assert first[name].abs().max() <= 1
    others = [name for name, value in last.items() if value.is_floating_point() and "prior" not in name]
    for name in set(others) - set(latents):
        assert torch.allclose(first[name], last[name], atol=1e-6), name
    assert any("gain" in name for name in others)
    assert found.history["mode"][0] == found.history["ensemble"][0]  # of one network, that of ST
    assert [len(values) for values in found.history.values()] == [2, 2, 2]


class EndedError(Exception):
    pass


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_training_that_was_interrupted_goes_on_in_either_part(after, tmp_path, monkeypatch):
    run(tmp_path / "whole")
    ended, count = train._History.on_validation_epoch_end, []

    def end(self, trainer, module):
        ended(self, trainer, module)
        count.append(0)
        if len(count) == after + 1:
            raise EndedError

    with monkeypatch.context() as patched:
        patched.setattr(train._History, "on_validation_epoch_end", end)
        with pytest.raises(EndedError):
            run(tmp_path / "parts")
    assert (tmp_path / "parts" / "runs" / "bayes-seed0" / "last.ckpt").exists() == (after > 2)
    again = run(tmp_path / "parts")
    whole = run(tmp_path / "whole")
    assert again.history == whole.history
    for prediction, answers in whole.probabilities.items():
        assert torch.equal(again.probabilities[prediction], answers)


def test_shares_of_epochs():
    assert Bayes().first(60) is None
    rule, epochs = make_rule("bayes", {"from_st": {"share": 0.125, "lr": 0.01}, "scale": "fan_in"}).first(60)
    assert (rule.name, rule.lr, rule.scale, epochs) == ("st", 0.01, "fan_in", 8)
    always = make_rule("bayes", {"from_st": {"share": 0.9}})
    assert [always.first(epochs) and always.first(epochs)[1] for epochs in (1, 2, 10)] == [None, 1, 9]


def test_bad_input():
    for share in (-0.1, 0, 1.0, 2):
        with pytest.raises(ValueError, match=r"from_st\.share` to be between 0 and 1, both excluded"):
            make_rule("bayes", {"from_st": {"share": share}})
    for given in (0.5, "st", [0.5]):
        with pytest.raises(ValueError, match=r"`rules\.bayes\.from_st` to be share, latent_lr and lr by name, or null"):
            make_rule("bayes", {"from_st": given})
    assert make_rule("bayes", {"from_st": None}) == Bayes()
    with pytest.raises(ValueError, match=r"`rules\.bayes\.from_st` to be left out in a federation"):
        alone(make_rule("bayes", {"from_st": {"share": 0.1}}), "a federation")
    assert alone(Bayes(), "a federation") == Bayes()


def test_digits_begins_at_st():
    digits = read_experiment(find("digits", None, "through-time"), None)
    rule, epochs = digits.rule("bayes").first(digits.epochs)
    assert (rule.name, epochs) == ("st", 8)
