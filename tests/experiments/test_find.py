"""Shipped experiments found by their data set, rules and credit."""

import pytest

from snntorch_binary.experiments import rules
from snntorch_binary.experiments.config import find, read_experiment


@pytest.mark.parametrize(
    ("name", "wanted", "credit", "found"),
    [
        ("nmnist", ["st", "balanced-bayes"], "through-time", "nmnist"),
        ("nmnist", ["balanced"], "through-time", "nmnist"),
        ("nmnist", ["vowel-wta", "balanced"], "through-time", "nmnist-vowel"),
        ("mnist", ["balanced", "full-precision"], "local", "mnist-local"),
        ("mnist", ["softlif", "balanced"], "through-time", "mnist-softlif"),
    ],
)
def test_rules_that_fit_any_network_need_no_settings(name, wanted, credit, found):
    path = find(name, wanted, credit)
    assert path.stem == found
    assert [rule.name for rule in read_experiment(path, wanted).rules] == wanted


def test_a_rule_without_settings_has_its_defaults():
    wanted = ["st", "balanced-bayes"]
    st, balanced = read_experiment(find("nmnist", wanted, "through-time"), wanted).rules
    assert st.network == {"drive": 6.0}  # what the experiment says
    assert balanced == rules.RULES["balanced-bayes"]()
