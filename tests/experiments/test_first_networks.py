"""A run's seed and fold decide the first weights of its network, whatever came before."""

import pytest
import torch

from snntorch_binary.experiments.config import find, read_experiment
from snntorch_binary.experiments.split_mnist import run as split_mnist
from snntorch_binary.experiments.split_mnist.settings import SplitSettings


@pytest.mark.parametrize("rule", ["full-precision", "st", "bayes", "softlif"])
def test_the_first_network_is_a_function_of_seed_and_fold(rule):
    experiment = read_experiment(find("digits", [rule], "through-time"), [rule], limit_per_class=4)
    experiment = experiment.with_changes(num_folds=2)
    data = experiment.load(0, 0)

    def first(seed, fold):
        torch.rand(7)  # whatever came before
        state = experiment.make_module(experiment.rule(rule), data, seed, fold).net.state_dict()
        return torch.cat([state[name].flatten() for name in sorted(state) if name.endswith("weight")])

    networks = {place: first(*place) for place in [(0, 0), (0, 1), (1, 0), (1, 1)]}
    for place, network in networks.items():
        assert torch.equal(network, first(*place))
        for other in networks.keys() - {place}:
            same = (network.sign() == networks[other].sign()).float().mean()
            assert same < 0.75, (place, other)


class Stop(Exception):
    """Ends a run before it learns."""


def test_the_first_network_of_split_mnist_is_a_function_of_the_seed(monkeypatch):
    found = []

    def learn(settings, coreset, seed):
        raise Stop

    original = split_mnist.make_module
    monkeypatch.setattr(split_mnist, "training_sets", learn)
    monkeypatch.setattr(split_mnist, "make_module", lambda *given: found.append(original(*given)) or found[-1])
    settings = SplitSettings(None)
    splits = type("Splits", (), {"train": None})
    for seed in (0, 1, 0):
        torch.rand(7)
        with pytest.raises(Stop):
            split_mnist._run(settings, splits, "bayes", seed, None, None)
    first, other, again = (module.net.state_dict()["1.weight"].sign() for module in found)
    assert torch.equal(first, again)
    assert (first == other).float().mean() < 0.75
