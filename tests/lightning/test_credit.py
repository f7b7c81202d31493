"""Local and online credit in the modules."""

import math

import pytest
import torch
from torch import nn
from training import RULES, Stop, make_trainer, train

import snntorch_binary as sb
from snntorch_binary.learning import LocalNetwork, online_gradients
from snntorch_binary.lightning import SpikeDataModule
from snntorch_binary.lightning.bayes_bisnn import BayesBiSNN
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.lightning.spiking_module import SpikingModule
from snntorch_binary.models import LocalSpikingMLP, SpikingMLP


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("credit", ["local", "online"])
def test_a_run_that_stops_goes_on_bit_for_bit(rule, credit, tmp_path):
    whole = train(rule, tmp_path / "whole", credit=credit)
    with pytest.raises(RuntimeError, match="stopped"):
        train(rule, tmp_path / "stopped", Stop(25), credit=credit)
    again = train(rule, tmp_path / "stopped", credit=credit)
    assert whole[1] == again[1]
    for name, value in whole[0].items():
        assert torch.equal(value, again[0][name]), name
    for name, answer in whole[2].items():
        assert torch.equal(answer, again[2][name])


def test_online_credit_is_the_plain_loop(tmp_path):
    """One update per time step, one turn of the schedule and one global step per batch."""
    data = SpikeDataModule("digits", batch_size=50, limit_per_class=10)
    data.setup()
    torch.manual_seed(0)
    net = LocalSpikingMLP(64, [16], 10, burn_in=3)
    torch.manual_seed(0)
    twin = LocalSpikingMLP(64, [16], 10, burn_in=3)
    module = SpikingModule(net, 10, lr=1e-2, credit="online")
    trainer = make_trainer(epochs=2)
    with quiet():
        trainer.fit(module, datamodule=data)
    batches = trainer.global_step
    assert batches == 2 * len(data.train_dataloader())
    optimizer = torch.optim.Adam(twin.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, batches)
    for epoch in range(2):
        data.train_dataloader().dataset.set_epoch(epoch)
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        for x, labels in loader:
            for _ in online_gradients(twin, x, labels):
                optimizer.step()
                optimizer.zero_grad()
            schedule.step()
    for (name, a), b in zip(net.named_parameters(), twin.parameters(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("credit", ["local", "online"])
def test_local_credit_needs_a_local_network(credit):
    with pytest.raises(ValueError, match="for a SpikingMLP, which is no LocalNetwork"):
        SpikingModule(SpikingMLP(64, [8], 10), 10, credit=credit)


def test_bad_credit_is_named():
    net = LocalSpikingMLP(64, [8], 10)
    with pytest.raises(ValueError, match="Expected argument `credit` to be one of through-time, local, online"):
        SpikingModule(net, 10, credit="global")
    with pytest.raises(ValueError, match="Expected argument `num_train_samples` to be 1 with credit 'online'"):
        BayesBiSNN(net, 10, credit="online", num_train_samples=2)


def test_online_learning_is_for_one_device(monkeypatch):
    module = SpikingModule(LocalSpikingMLP(64, [8], 10), 10, credit="online")
    trainer = make_trainer()
    monkeypatch.setattr(type(trainer), "world_size", property(lambda self: 2))
    module._trainer = trainer
    with pytest.raises(ValueError, match="on more than one device"):
        module.setup("fit")


def test_an_online_run_with_a_nan_stops_and_says_so():
    net = LocalSpikingMLP(64, [8], 10)
    with torch.no_grad():
        net.blocks[0][2].weight.fill_(math.nan)
    with quiet(), pytest.raises(RuntimeError, match="NaN"):
        make_trainer().fit(
            SpikingModule(net, 10, credit="online"),
            datamodule=SpikeDataModule("digits", batch_size=50, limit_per_class=5),
        )


def test_one_output_decides_between_two_classes():
    torch.manual_seed(0)
    net = LocalSpikingMLP(20, [16], 1)
    module = SpikingModule(net, 2, credit="local").eval()
    x = torch.rand(30, 4, 20).round()
    (answer,) = module.answers(x, final=True).values()
    torch.testing.assert_close(answer[:, 1], net(x).mean(0).squeeze(-1).sigmoid())
    torch.testing.assert_close(answer.sum(1), torch.ones(4))
    labels = torch.tensor([0, 1, 1, 0])
    readout, _ = net.local(x)[0]
    expected = nn.functional.binary_cross_entropy_with_logits(readout.squeeze(-1), labels.float().expand(30, 4))
    torch.testing.assert_close(module.loss(x, labels), expected)


def test_readouts_differ_between_seeds_and_are_restored_from_the_checkpoint(tmp_path):
    nets = [LocalSpikingMLP(20, [16], 2, seed=seed) for seed in (0, 1)]
    assert not torch.equal(nets[0].readout(0), nets[1].readout(0))
    assert isinstance(nets[0], LocalNetwork)


def test_disarm_trains_in_the_module_and_not_online():
    torch.manual_seed(0)
    module = BayesBiSNN(
        SpikingMLP(64, [16], 10), 10, 0.1, rho=0.0, rule=sb.Bernoulli(estimator="disarm", init_scale=0.5)
    )
    before = module.net[1].latent.detach().clone()
    with quiet():
        make_trainer().fit(module, datamodule=SpikeDataModule("digits", batch_size=50, limit_per_class=5))
    assert not torch.equal(before, module.net[1].latent)
    with pytest.raises(ValueError, match="`rule` to be one with estimator 'hard' or 'gumbel' with credit 'online'"):
        BayesBiSNN(LocalSpikingMLP(64, [8], 10), 10, rule=sb.Bernoulli(estimator="disarm"), credit="online")
