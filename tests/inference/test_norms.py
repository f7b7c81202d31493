"""Batch norms behind binary weights: statistics of the weights that answer, not of those before."""

import copy

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.convert.copies import copy_model
from snntorch_binary.inference import run
from snntorch_binary.inference.norms import NormsOfDraws, norms_of, refit_norms_

T, B, IN = 4, 6, 5


class Net(nn.Module):
    """A norm between weights and neurons, in a loop over time."""

    def __init__(self):
        super().__init__()
        self.fc1, self.norm, self.lif = nn.Linear(IN, 8), nn.BatchNorm1d(8), snn.Leaky(beta=0.9)
        self.drop, self.fc2 = nn.Dropout(0.5), nn.Linear(8, 3)

    def forward(self, x):
        mem, out = self.lif.init_leaky(), []
        for x_t in x:
            spk, mem = self.lif(self.norm(self.fc1(x_t)), mem)
            out.append(self.fc2(self.drop(spk)))
        return torch.stack(out)


def made(rule):
    torch.manual_seed(0)
    net, x = Net(), torch.rand(T, 40, IN)
    sb.binarize_(net, rule)
    net.train()
    for _ in range(3):
        net(x)
    return net.eval(), x


def by_hand(net, x, kind="mode", generator=None):
    """The mean of each step's statistics, and the mean of the batches' means."""
    with sb.sampled(net, kind, generator), torch.no_grad():
        currents = [net.fc1(x_t) for batch in x for x_t in batch]
    means, variances = [current.mean(0) for current in currents], [current.var(0) for current in currents]
    return torch.stack(means).mean(0), torch.stack(variances).mean(0)


@pytest.mark.parametrize("rule", [sb.Sign(), sb.Bernoulli(init_scale=0.5)])
@pytest.mark.parametrize("fused", [False, True])
def test_the_statistics_are_those_of_the_weights_in_force(rule, fused):
    net, x = made(rule)
    before = copy.deepcopy(net.state_dict())
    mean, variance = by_hand(net, x.split(20, 1))
    assert not torch.allclose(net.norm.running_mean, mean, atol=1e-3)
    model = sb.fuse(net, x[:, :2]) if fused else net
    refit_norms_(model, [(part, "label") for part in x.split(20, 1)])
    torch.testing.assert_close(net.norm.running_mean, mean)
    torch.testing.assert_close(net.norm.running_var, variance)
    assert (net.norm.momentum, net.norm.training, net.training) == (0.1, False, False)
    for name, value in net.state_dict().items():
        assert name.startswith("norm.") or torch.equal(value, before[name]), name


def test_modes_and_states_are_left_as_they_were():
    net, x = made(sb.Sign())
    net.train()
    refit_norms_(net, x)
    assert all(module.training for module in net.modules())
    net(x).sum().backward()


def test_every_draw_has_its_own():
    net, x = made(sb.Bernoulli(init_scale=0.5))
    before = net.norm.running_mean.clone()
    found = sb.predict(net, x, 3, generator=torch.Generator().manual_seed(4), data=x)
    assert torch.equal(net.norm.running_mean, before)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for member in found.samples:
            state = generator.get_state()
            twin = copy_model(net)
            twin.norm.running_mean[:], twin.norm.running_var[:] = by_hand(twin, [x], "binary", generator)
            generator.set_state(state)
            with sb.sampled(twin, "binary", generator):
                torch.testing.assert_close(twin(x).mean(0).softmax(-1), member)
    refit_norms_(net, x)
    torch.testing.assert_close(net(x).mean(0).softmax(-1), found.mode_probs)


def test_members_of_an_ensemble():
    net, x = made(sb.Bernoulli(init_scale=0.5))
    ensemble = sb.Ensemble(net, 3, seed=4, data=x.split(20, 1))
    for member in ensemble.members:
        currents = [member.fc1(x_t) for part in x.split(20, 1) for x_t in part]
        torch.testing.assert_close(
            member.norm.running_mean, torch.stack([current.mean(0) for current in currents]).mean(0)
        )
    plain = sb.Ensemble(net, 3, seed=4)
    assert not torch.allclose(plain(x), ensemble(x), atol=1e-3)
    refit_norms_(plain, x.split(20, 1))
    torch.testing.assert_close(plain(x), ensemble(x))


def test_they_are_taken_once_for_each_name():
    net, x = made(sb.Bernoulli(init_scale=0.5))
    norms, calls = NormsOfDraws(x), []
    run(net, x)  # finds out the network's form
    net.fc1.register_forward_hook(lambda *_: calls.append(1))
    for _ in range(2):
        with sb.sampled(net, "mode"), norms.of(net, "mode"):
            net(x)
    assert len(calls) == 3 * T


def test_without_such_norms_nothing_is_run():
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, track_running_stats=False), nn.LayerNorm(2))
    assert norms_of(net) == []
    refit_norms_(net, [])


def test_so_many_batches_are_used():
    net, x = made(sb.Sign())
    refit_norms_(net, (x for _ in range(10**9)))
    assert int(net.norm.num_batches_tracked) == 50 * T


def test_bad_data():
    net, x = made(sb.Sign())
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(ValueError, match=r"^Expected argument `data` to be at least one input, but got none\.$"):
        refit_norms_(net, [])
    for data, said in (
        (["a"], "batches of a str"),
        ([{"x": x}], "batches of a dict"),
        (None, "NoneType"),
        ("ab", "str"),
    ):
        with pytest.raises(
            TypeError, match=rf"^Expected argument `data` to be inputs, or batches .*, but got {said}\.$"
        ):
            refit_norms_(net, data)
    with pytest.raises(ValueError, match=r"^Expected argument `x` to be finite"):
        refit_norms_(net, [x, x / 0])
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name
