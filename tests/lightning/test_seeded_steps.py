"""A training with dropout that is interrupted ends where it would have."""

from types import SimpleNamespace

import lightning as L
import pytest
import torch
from torch import nn
from training import checkpoint_in, make_trainer

from snntorch_binary.kernels.noise import mix
from snntorch_binary.lightning import SeededSteps, SpikeDataModule, SpikingModule
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.nn import Leaky

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
]


class StopAfter(L.Callback):
    def __init__(self, epochs):
        self.epochs = epochs

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.should_stop = trainer.current_epoch + 1 == self.epochs


def fit(folder, *callbacks, resume=False):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 12), Leaky(beta=0.9), nn.Dropout(0.5), nn.Linear(12, 10), Leaky(beta=0.9))
    module = SpikingModule(net, 10, lr=0.01)
    trainer = make_trainer(3, [checkpoint_in(folder), *callbacks], limit_train_batches=2, limit_val_batches=0)
    data = SpikeDataModule("digits", batch_size=8, limit_per_class=5)
    torch.manual_seed(1 + resume)  # another process begins with other random numbers
    with quiet():
        trainer.fit(module, datamodule=data, ckpt_path=folder / "last.ckpt" if resume else None, weights_only=True)
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


@pytest.mark.parametrize("seeded", [True, False])
def test_dropout_goes_on_as_it_would_have(seeded, tmp_path):
    callbacks = [SeededSteps(seed=3)] if seeded else []
    unbroken = fit(tmp_path / "unbroken", *callbacks)
    fit(tmp_path / "killed", StopAfter(1), *callbacks)
    assert torch.equal(fit(tmp_path / "killed", *callbacks, resume=True), unbroken) == seeded


def test_every_batch_has_its_own_noise_where_several_make_a_step():
    seen = []

    class Look(L.Callback):
        def on_train_batch_end(self, trainer, *_):
            seen.append(torch.initial_seed())

    module = SpikingModule(nn.Sequential(nn.Linear(64, 10), Leaky(beta=0.9)), 10, lr=0.01)
    callbacks = [SeededSteps(seed=0), Look()]
    trainer = make_trainer(2, callbacks, limit_train_batches=4, limit_val_batches=0, accumulate_grad_batches=2)
    with quiet():
        trainer.fit(module, datamodule=SpikeDataModule("digits", batch_size=8, limit_per_class=5))
    assert len(set(seen)) == len(seen) == 8


def test_processes_have_noise_of_their_own():
    seeds = []
    for rank in (0, 1, 0):
        strategy = SimpleNamespace(root_device=torch.device("cpu"))
        loop = SimpleNamespace(total_batch_idx=3)
        trainer = SimpleNamespace(fit_loop=loop, global_rank=rank, strategy=strategy)
        SeededSteps(seed=0).on_train_batch_start(trainer)
        seeds.append(torch.initial_seed())
    assert seeds[0] == seeds[2] != seeds[1]


def test_seed_and_fold_make_the_noise(tmp_path):
    ends = [fit(tmp_path / str(i), SeededSteps(*given)) for i, given in enumerate([(0,), (0, 0), (1,), (0, 1)])]
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])
    assert not torch.equal(ends[0], ends[3])


@pytest.mark.parametrize("name", ["seed", "fold"])
def test_negative_numbers(name):
    with pytest.raises(ValueError, match=f"Expected argument `{name}` to be an integer of at least 0, but got -1."):
        SeededSteps(**{"seed": 0, name: -1})


def test_nothing_is_noted_for_devices_that_are_not_in_use():
    """torch.manual_seed keeps a note for each, with a stack, at every call: it cost a tenth of a training."""
    before = len(torch.cuda._queued_calls)
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    for batch in range(5):
        loop = SimpleNamespace(total_batch_idx=batch)
        SeededSteps(seed=0).on_train_batch_start(SimpleNamespace(fit_loop=loop, global_rank=0, strategy=strategy))
    assert len(torch.cuda._queued_calls) == before
    found = torch.rand(3)
    torch.manual_seed(mix(0, 0, 4) >> 1)
    assert torch.equal(found, torch.rand(3))
