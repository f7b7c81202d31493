"""`BalancedTrajectory`: whose networks answer, as trainings begin anew, go on and are read back."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from training import checkpoint_in, make_trainer

import snntorch_binary as sb
from snntorch_binary.lightning import BalancedTrajectory, STBiSNN
from snntorch_binary.lightning.quiet import quiet

IN, C = 30, 3
X = (torch.rand(5, 12, IN, generator=torch.Generator().manual_seed(0)) < 0.4).float()
Y = torch.arange(12) % C


def time_first(batch):
    return torch.stack([x for x, _ in batch], 1), torch.stack([y for _, y in batch])


def loader():
    return DataLoader(TensorDataset(X.transpose(0, 1), Y), 3, collate_fn=time_first)


def network(norm=False):
    middle = [sb.nn.TimeFirst(nn.BatchNorm1d(20))] if norm else []
    return nn.Sequential(nn.Linear(IN, 20), *middle, sb.nn.Leaky(beta=0.9), nn.Linear(20, C))


def module_of(seed=0, norm=False, **more):
    torch.manual_seed(seed)
    return BalancedTrajectory(network(norm), C, 1e-2, 2e-2, num_test_samples=4, **more)


def fit(module, folder=None, epochs=5, **more):
    with quiet():
        trainer = make_trainer(epochs, [] if folder is None else [checkpoint_in(folder)])
        trainer.fit(module, loader(), **more)
    return module.eval()


def after_a_test(module, checkpoint):
    folder = checkpoint.parent
    with quiet():
        trainer = make_trainer(callbacks=[checkpoint_in(folder)])
        trainer.test(module, loader(), ckpt_path=str(checkpoint), weights_only=True)
    return module.eval()


def scores(module):
    with torch.no_grad():
        return module.scores(X, final=True)


def test_its_ensemble_is_the_trajectorys():
    module = fit(module_of())
    assert module.trajectory.num_steps == 20
    found = scores(module)
    assert found["ensemble"].shape == (4, 12, C)
    torch.testing.assert_close(found["ensemble"], module.trajectory.ensemble(4)(X))
    torch.testing.assert_close(sb.predict(module, X).samples, found["ensemble"].softmax(-1))
    torch.testing.assert_close(sb.Ensemble(module)(X), found["ensemble"])
    torch.testing.assert_close(found["single"][0], module(X))
    assert not torch.equal(found["ensemble"][0], found["ensemble"][-1])


def test_one_module_answers_for_each_checkpoint_that_it_takes_up(tmp_path):
    """Two of the same number of steps, one after the other."""
    expected = {}
    for seed in (0, 1):
        expected[seed] = scores(fit(module_of(seed), tmp_path / str(seed)))
    one = module_of(2)
    for seed in (0, 1, 0):
        for name, value in scores(after_a_test(one, tmp_path / f"{seed}/last.ckpt")).items():
            assert torch.equal(value, expected[seed][name]), name
    again = BalancedTrajectory.load_from_checkpoint(tmp_path / "1/last.ckpt", net=network())
    assert torch.equal(scores(again.eval())["ensemble"], expected[1]["ensemble"])


def test_a_training_goes_on_where_it_was(tmp_path):
    whole = scores(fit(module_of(), epochs=6))
    fit(module_of(), tmp_path, epochs=4)
    resumed = fit(module_of(1), tmp_path, epochs=6, ckpt_path=str(tmp_path / "last.ckpt"), weights_only=True)
    assert resumed.trajectory.num_steps == 24
    assert list(scores(resumed)) == list(whole)


def test_a_new_training_begins_a_new_trajectory(tmp_path):
    module = fit(module_of(), tmp_path)
    after_a_test(module, tmp_path / "last.ckpt")
    fit(module, epochs=3)
    assert module.trajectory.num_steps == 12
    assert min(module.trajectory.networks(4)) >= 1
    assert max(module.trajectory.networks(4)) == 12


def test_with_batch_norms_it_answers_after_a_test():
    module = fit(module_of(norm=True))
    with quiet():
        make_trainer().test(module, loader())
    torch.testing.assert_close(sb.predict(module, X).samples, scores(module)["ensemble"].softmax(-1))


def test_members_follow_it_into_another_precision():
    module = fit(module_of())
    before = scores(module)["ensemble"]
    after = sb.predict(module.double(), X.double()).samples
    torch.testing.assert_close(after, before.softmax(-1).double(), rtol=1e-4, atol=1e-4)


def test_a_checkpoint_without_networks_is_said(tmp_path):
    torch.manual_seed(0)
    other = STBiSNN(network(), C, 1e-2, 2e-2, rule=sb.BalancedSign())
    fit(other, tmp_path)
    module = fit(module_of())
    with pytest.warns(UserWarning, match="holds no networks that its training passed"):
        after_a_test(module, tmp_path / "last.ckpt")
    found = scores(module)
    assert torch.equal(found["ensemble"], found["single"])


def test_modules_are_joined_by_the_networks_that_they_passed():
    first, second = (fit(module_of(seed)) for seed in (0, 1))
    joined = sb.Ensemble.of([first, second], num_members=6)
    for module, mine in ((first, joined.members[::2]), (second, joined.members[1::2])):
        expected = module.trajectory.networks(3).values()
        assert all(torch.equal(one(X), other(X)) for one, other in zip(mine, expected, strict=True))
    assert len(sb.Ensemble.of([first, second]).members) == 4
    with pytest.raises(ValueError, match="Expected argument `num_members` to be at most"):
        sb.Ensemble.of([first, second], num_members=100)


@pytest.mark.parametrize(("name", "value"), [("num_test_samples", 0), ("num_validation_samples", True)])
def test_numbers_of_members_are_whole_and_positive(name, value):
    with pytest.raises(ValueError, match=f"Expected argument `{name}` to be an integer of at least 1"):
        BalancedTrajectory(network(), C, **{name: value})
