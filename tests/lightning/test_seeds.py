"""What a seed decides: the order of the examples in each epoch."""

import lightning as L
import torch

from snntorch_binary.lightning import SpikeDataModule, SpikingModule
from snntorch_binary.lightning.data import SeededSampler
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.models import SpikingMLP


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
