"""Rules as objects: their defaults, their hyper-parameters, and what each makes of a float network."""

import re
import textwrap
from dataclasses import fields
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

import snntorch_binary as sb
import snntorch_binary.experiments.federate.rules
from snntorch_binary.experiments.config import read_experiment, shipped
from snntorch_binary.experiments.rules import (
    DEFAULT_RULES,
    IN_SPIKES,
    RULES,
    Bayes,
    FullPrecision,
    StraightThrough,
    in_spikes,
    make_rule,
    rules_of,
)
from snntorch_binary.lightning import VOWEL, BayesBiSNN, SpikingModule, STBiSNN
from snntorch_binary.models import symbol_network
from snntorch_binary.nn import RaisedCosine
from snntorch_binary.weights import binary_layers

NAMES = [
    "full-precision",
    "st",
    "bayes",
    "balanced",
    "balanced-bayes",
    "trajectory",
    "vowel-wta",
    "vowel-binary",
    "softlif",
    "softlif-st",
    "softlif-bayes",
    "fedsnn",
]


def network():
    return nn.Sequential(nn.Linear(4, 5), sb.nn.Leaky(beta=0.9), nn.Linear(5, 3))


def test_the_rules_and_their_order():
    assert list(RULES)[: len(NAMES)] == NAMES  # a federation has more
    assert [rule.order for rule in RULES.values()] == list(range(len(RULES)))
    assert len({rule.title for rule in RULES.values()}) == len(RULES)
    assert tuple(rule.name for rule in rules_of(None)) == DEFAULT_RULES == ("full-precision", "st", "bayes")


def test_ways_to_list_rules():
    wanted = (StraightThrough(), Bayes(lr=0.3))
    assert rules_of(["st", {"bayes": {"lr": 0.3}}]) == wanted
    assert rules_of({"st": None, "bayes": {"lr": 0.3}}) == wanted
    assert rules_of([StraightThrough(), Bayes(lr=0.3)]) == wanted
    assert rules_of([{"st": {}, "bayes": {"lr": 0.3}}]) == wanted


@pytest.mark.parametrize("given", [[], {}, "st", 3, ["st", "st"], ["st", StraightThrough()], ["sgd"], [3], [None]])
def test_no_rules(given):
    with pytest.raises(ValueError, match="Expected argument `rules` to be"):
        rules_of(given)


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("st", {"speed": 1}, "rules.st.*speed"),
        ("st", {"lr": "fast"}, "rules.st.*lr"),
        ("bayes", {"num_members": 2.5}, "rules.bayes.*num_members"),
        ("st", {"scale": "row"}, "rules.st.*scale"),
        ("st", 3, "rules.st.*hyper-parameters by name, but got 3"),
        ("st", {"network": 3}, "rules.st.network.*arguments of the network by name"),
    ],
)
def test_hyper_parameters_that_are_none(name, settings, words):
    with pytest.raises(ValueError, match=words):
        make_rule(name, settings)


def test_integers_are_floats_where_those_are_meant():
    rule = make_rule("bayes", {"lr": 1, "rho": None})
    assert (rule.lr, type(rule.lr), rule.rho) == (1.0, float, None)


def test_what_each_makes_of_a_float_network():
    x = (torch.rand(5, 2, 4) < 0.5).float()
    module = FullPrecision(lr=0.02).module(network(), 3, readout_scale=2.0)
    assert (type(module), module.hparams["lr"], module.hparams["readout_scale"]) == (SpikingModule, 0.02, 2.0)
    assert not binary_layers(module.net)
    module = StraightThrough(lr=0.02, latent_lr=0.3, scale="fan_in").module(network(), 3)
    assert type(module) is STBiSNN
    assert (module.hparams["lr"], module.hparams["latent_lr"]) == (0.02, 0.3)
    assert {layer.rule for layer in binary_layers(module.net).values()} == {sb.Sign()}
    module = Bayes(lr=0.2, rho=0.5, init_scale=0.7, num_members=4).module(network(), 3).eval()
    assert type(module) is BayesBiSNN
    assert {layer.rule.init_scale for layer in binary_layers(module.net).values()} == {0.7}
    assert list(module.answers(x, final=True)) == list(Bayes.predictions)
    assert module.scores(x, final=True)["ensemble"].shape == (4, 2, 3)
    net = symbol_network((4,), 3, 3, 1, RaisedCosine(2))
    module = make_rule("vowel-binary", {"kappa": 0.4}).module(net, 3, polarities=False, credit="through-time")
    assert (type(module), module.rule.kappa) == (VOWEL, 0.4)
    for rule in ("vowel-binary", "vowel-wta"):
        with pytest.raises(ValueError, match=f"a winner-take-all network .* for the rule {rule}, but got Sequential"):
            make_rule(rule).module(network(), 3, polarities=False)


def test_bits_of_a_weight():
    assert [FullPrecision().bits("single"), StraightThrough().bits("single")] == [32, 1]
    assert [Bayes(num_members=7).bits(name) for name in ("mode", "draw", "ensemble")] == [1, 1, 7]
    spiking = make_rule("softlif-bayes", {"num_members": 5})
    assert [spiking.bits(in_spikes(name)) for name in ("mode", "draw", "ensemble")] == [1, 1, 5]
    assert make_rule("softlif").bits(in_spikes("single")) == 32
    assert (in_spikes("single"), in_spikes("mode")) == (IN_SPIKES, "spiking mode")


def test_plain_values_make_the_same_rule():
    rule = make_rule("bayes", {"lr": 0.3, "network": {"drive": 8.0}})
    assert make_rule("bayes", rule.plain()) == rule
    soft = make_rule("softlif", {"spiking": {"tau_syn": 0.004}})
    assert (soft.spiking.tau_syn, soft.spiking.presentation) == (0.004, 0.1)
    assert make_rule("softlif", soft.plain()) == soft
    assert "network" not in StraightThrough().plain()


def test_a_class_in_a_rules_network_stays_a_name():
    """It is made where the network is, with what the data offer."""
    network = read_experiment(shipped()["nmnist-vowel"]).rule("vowel-wta").network
    assert network["init_args"]["basis"] == {
        "class_path": "snntorch_binary.nn.RaisedCosine", "init_args": {"num": 2, "window": 10},
    }  # fmt: skip
    assert "input_shape" not in network["init_args"]


# ---- the page of experiments -----------------------------------------------------------------------------------------

PAGE = (Path(__file__).parent.parent.parent / "docs" / "experiments.rst").read_text()


def test_the_page_says_every_default():
    cells = re.findall(r"^   \* - (.*)\n     - ``(\w+)``\n     - (.*)\n", PAGE, re.MULTILINE)
    said = {(rule, name): value for rules, name, value in cells for rule in re.findall(r"``([\w-]+)``", rules)}
    there = {
        (name, field.name): str(field.default)
        for name, rule in RULES.items()
        if not name.startswith("softlif")
        for field in fields(rule)
        if field.name not in ("network", "spiking")
    }
    assert said == there
    assert yaml.safe_load(re.search(r"``(\{tau_syn.*?\})``", PAGE)[1]) == make_rule("softlif").plain()["spiking"]


def test_the_files_of_the_page_and_of_the_guide_are_experiments(tmp_path):
    guide = (Path(__file__).parent.parent.parent / "docs" / "guide" / "your_network.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```$", guide, re.DOTALL | re.MULTILINE)
    blocks += [textwrap.dedent(re.search(r"code-block:: yaml\n\n(.*?)\n(?=\S)", PAGE, re.DOTALL)[1])]
    for text in blocks:
        (tmp_path / "mine.yaml").write_text(text)
        experiment = read_experiment(tmp_path / "mine.yaml")
        assert experiment.network.class_path == "my_models.ConvNet"
        assert experiment.data.named.class_path == "my_data.gestures"
        assert [rule.name for rule in experiment.rules] == list(DEFAULT_RULES)
        assert (experiment.epochs, experiment.seeds, experiment.readout) == (20, (0, 1, 2), "membrane")
    assert len(blocks) == 2
    assert experiment.rule("bayes").num_members == 20
