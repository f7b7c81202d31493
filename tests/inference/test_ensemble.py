"""`Ensemble`: plain frozen members that answer as `predict` does."""

import pickle

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb

T, B, IN, C = 6, 4, 12, 3


@pytest.fixture(params=["stepwise", "time-first"])
def net(request):
    neuron = (
        (lambda: snn.Leaky(beta=0.9, init_hidden=True))
        if request.param == "stepwise"
        else lambda: sb.nn.Leaky(beta=0.9)
    )
    net = nn.Sequential(nn.Linear(IN, 20), neuron(), nn.Linear(20, C), neuron())
    sb.binarize_(net, sb.Bernoulli(init_scale=0.8))
    return net


@pytest.fixture
def x():
    return (torch.rand(T, B, IN) < 0.6).float() * 2


def test_it_answers_as_predict_with_the_same_weights(net, x):
    ensemble = sb.Ensemble(net, num_members=4, seed=9)
    prediction = sb.predict(net, x, num_samples=4, generator=torch.Generator().manual_seed(9))
    answer = ensemble.predict(x)
    torch.testing.assert_close(answer.samples, prediction.samples)
    torch.testing.assert_close(answer.entropy, prediction.entropy)
    torch.testing.assert_close(answer.mutual_information, prediction.mutual_information, rtol=1e-4, atol=1e-5)
    assert ensemble(x).shape == (4, B, C)
    assert answer.mode_probs is None


def test_the_seed_decides_the_members(net):
    def members(seed):
        return [member[0].weight.clone() for member in sb.Ensemble(net, num_members=3, seed=seed).members]

    first = members(1)
    sb.resample_(net)  # the posterior is what it was
    for weight, other in zip(first, members(1), strict=True):
        assert torch.equal(weight, other)
    assert not torch.equal(first[0], members(2)[0])
    assert not torch.equal(first[0], first[1])


def test_members_are_plain_and_binary(net):
    ensemble = sb.Ensemble(net, num_members=3)
    for member in ensemble.members:
        assert [type(member[i]) for i in (0, 2)] == [nn.Linear, nn.Linear]
        assert not member.training
        for layer in (member[0], member[2]):
            assert not layer.weight.requires_grad
            assert torch.equal(layer.weight.abs(), torch.full_like(layer.weight, layer.in_features**-0.5))


def test_state_dict_round_trip(net, x):
    ensemble, other = sb.Ensemble(net, num_members=2, seed=0), sb.Ensemble(net, num_members=2, seed=1)
    assert not torch.equal(ensemble(x), other(x))
    other.load_state_dict(ensemble.state_dict())
    assert torch.equal(ensemble(x), other(x))


def test_members_draw_from_the_posterior():
    layer = sb.nn.BinaryLinear(50, 40, bias=False, weight=sb.Bernoulli(init_scale=0.5), scale=1.0)
    members = sb.Ensemble(layer, num_members=50).members
    up = torch.stack([member.weight for member in members]).gt(0)
    frequency = up[:, layer.latent > 0].double().mean()
    exact = torch.sigmoid(torch.tensor(1.0, dtype=torch.float64))
    assert abs(frequency - exact) < 4.5 * (exact * (1 - exact) / up[:, layer.latent > 0].numel()) ** 0.5


def test_the_network_is_left_alone_and_its_training_does_not_reach_the_members(net, x):
    before = [parameter.clone() for parameter in net.parameters()]
    weight = net[0].weight.clone()
    ensemble = sb.Ensemble(net, num_members=2)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert torch.equal(net[0].weight, weight)
    assert net.training
    answer = ensemble(x)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.neg_()
    assert torch.equal(ensemble(x), answer)


def test_it_pickles_where_its_neurons_do(x):
    net = nn.Sequential(sb.nn.BinaryLinear(IN, C, weight=sb.Bernoulli()), sb.nn.Leaky(beta=0.9))
    ensemble = sb.Ensemble(net, num_members=2)
    assert torch.equal(pickle.loads(pickle.dumps(ensemble))(x), ensemble(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_members": 0}, r"`num_members` to be an integer of at least 1, but got 0\."),
        ({"readout": "sum"}, "`readout`"),
    ],
)
def test_bad_arguments(arguments, message, net):
    with pytest.raises(ValueError, match=message):
        sb.Ensemble(net, **arguments)


def test_bad_input(net, x):
    ensemble = sb.Ensemble(net, num_members=1)
    with pytest.raises(ValueError, match="`x` to be finite"):
        ensemble.predict(x / 0)
    with pytest.raises(TypeError, match="`x` to be a floating-point tensor"):
        ensemble.predict(x.long())
    with pytest.raises(ValueError, match="`net` to be a network with binary layers"):
        sb.Ensemble(nn.Linear(2, 2))
