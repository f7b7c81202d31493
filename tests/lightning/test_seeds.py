"""What a seed decides: the first weights, and the order of the examples in each epoch."""

import lightning as L
import pytest
import torch

from snntorch_binary.lightning import SpikeDataModule, SpikingModule, compare
from snntorch_binary.lightning.data import SeededSampler
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.lightning.settings import Settings
from snntorch_binary.lightning.split_mnist import _run
from snntorch_binary.lightning.split_mnist_settings import SplitSettings
from snntorch_binary.models import SpikingMLP


@pytest.mark.parametrize("rule", ["full-precision", "st", "bayes", "softlif"])
def test_the_first_network_is_a_function_of_seed_and_fold(rule):
    settings = Settings("digits", rules=(rule,), limit_per_class=4, num_folds=2)
    splits = compare.load_data(settings, 0, 0).splits

    def first(seed, fold):
        torch.rand(7)  # whatever came before
        state = compare._make(settings, rule, seed, fold, splits).net.state_dict()
        return torch.cat([state[name].flatten() for name in sorted(state) if name.endswith("weight")])

    networks = {place: first(*place) for place in [(0, 0), (0, 1), (1, 0), (1, 1)]}
    for place, network in networks.items():
        assert torch.equal(network, first(*place))
        for other in networks.keys() - {place}:
            same = (network.sign() == networks[other].sign()).float().mean()
            assert same < 0.75, (place, other)


class Stop(Exception):
    """Ends a run before it learns."""


def test_the_first_network_of_split_mnist_is_a_function_of_the_seed(monkeypatch, tmp_path):
    found = []

    def learn(settings, coreset, seed):
        raise Stop

    from snntorch_binary.lightning import split_mnist

    original = split_mnist.make_module
    monkeypatch.setattr(split_mnist, "training_sets", learn)
    monkeypatch.setattr(split_mnist, "make_module", lambda *given: found.append(original(*given)) or found[-1])
    settings = SplitSettings(None)
    splits = type("Splits", (), {"train": None})
    for seed in (0, 1, 0):
        torch.rand(7)
        with pytest.raises(Stop):
            _run(settings, splits, "bayes", seed, None, None)
    first, other, again = (module.net.state_dict()["1.weight"].sign() for module in found)
    assert torch.equal(first, again)
    assert (first == other).float().mean() < 0.75


def test_the_order_is_a_function_of_seed_and_epoch():
    orders = {}
    for seed in range(3):
        sampler = SeededSampler(50, seed)
        for epoch in (0, 1, 2, 0, 1, 2):
            sampler.set_epoch(epoch)
            order = list(sampler)
            assert sorted(order) == list(range(50))
            assert orders.setdefault((seed, epoch), order) == order
    assert len({tuple(order) for order in orders.values()}) == 9


class Records(SpikingModule):
    """Knows the labels of its batches by epoch."""

    def on_fit_start(self):
        self.seen = {}

    def loss(self, x, targets):
        self.seen.setdefault(self.current_epoch, []).append(targets)
        return super().loss(x, targets)


def test_lightning_gives_another_order_in_every_epoch():
    def orders(seed):
        data = SpikeDataModule("digits", batch_size=20, limit_per_class=10, seed=seed)
        module = Records(SpikingMLP(64, [4], 10), 10)
        options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        with quiet():
            trainer = L.Trainer(max_epochs=3, accelerator="cpu", enable_model_summary=False, **options)
            trainer.fit(module, datamodule=data)
        return [torch.cat(labels) for labels in module.seen.values()]

    first, again, other = orders(0), orders(0), orders(1)
    assert len(first) == 3
    for one, same in zip(first, again, strict=True):
        assert torch.equal(one, same)
    for one, another in [(first[0], first[1]), (first[1], first[2]), (first[0], first[2]), (first[0], other[0])]:
        assert one.bincount().tolist() == another.bincount().tolist()
        assert not torch.equal(one, another)
