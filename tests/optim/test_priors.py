"""The KL divergence by enumeration, and priors."""

import pytest
import torch
from oracle import TinyNet, latents, probabilities, settings
from torch import nn

import snntorch_binary as sb
from snntorch_binary.weights.bernoulli import natural_parameter


@pytest.mark.parametrize("prior", [0.5, 0.2, 0.99])
def test_kl_divergence_by_enumeration(prior):
    net = TinyNet(sb.Bernoulli(prior=prior))
    natural = latents(net).requires_grad_()
    weights = settings(10)
    posterior = probabilities(weights, natural)
    prior_of_each = probabilities(weights, torch.full((10,), natural_parameter(prior), dtype=torch.float64))
    exact = (posterior * (posterior / prior_of_each).log()).sum()
    ours = sb.kl_divergence(net)
    torch.testing.assert_close(ours, exact)
    exact.backward()
    ours.backward()
    gradient = torch.cat([net.fc1.latent.grad.flatten(), net.fc2.latent.grad.flatten()])
    torch.testing.assert_close(gradient, natural.grad)


def test_kl_divergence_in_float32_up_to_thirty():
    latent = torch.linspace(-30, 30, 6001)
    layers = [sb.nn.BinaryLinear(6001, 1, weight=sb.Bernoulli(prior=0.3)) for _ in "ab"]
    for layer in layers:
        with torch.no_grad():
            layer.latent.copy_(latent[None])
    layers[1].double()
    layers[1].latent.data.copy_(latent[None].double())
    narrow, wide = (sb.kl_divergence(layer) for layer in layers)
    torch.testing.assert_close(narrow.double(), wide, rtol=1e-5, atol=0)
    for value in (narrow, wide):
        value.backward()
    distance = latent.double() - layers[1].prior_latent
    exact = distance / torch.cosh(latent.double()) ** 2
    torch.testing.assert_close(layers[0].latent.grad[0].double(), exact, rtol=1e-4, atol=1e-30)
    torch.testing.assert_close(layers[1].latent.grad[0], exact, rtol=1e-6, atol=1e-30)


def test_tied_weights_count_once():
    pair = nn.ModuleList([sb.nn.BinaryLinear(4, 4, weight=sb.Bernoulli()) for _ in "ab"])
    separate = sb.kl_divergence(pair)
    pair[1].weight = pair[0].weight
    torch.testing.assert_close(sb.kl_divergence(pair), separate / 2)


def test_set_prior():
    net = nn.Sequential(sb.nn.BinaryLinear(3, 2, weight=sb.Bernoulli()), sb.nn.BinaryLinear(2, 2, weight=sb.Sign()))
    sb.set_prior_(net, 0.2)
    torch.testing.assert_close(torch.sigmoid(2 * net[0].prior_latent), torch.tensor(0.2))
    each = torch.rand(2, 3) * 0.8 + 0.1
    sb.set_prior_(net, each)
    torch.testing.assert_close(torch.sigmoid(2 * net[0].prior_latent), each)
    sb.set_prior_(net, "posterior")
    assert sb.kl_divergence(net).item() == 0
    with torch.no_grad():
        net[0].latent.add_(1.0)
    assert sb.kl_divergence(net).item() > 0  # the prior is a copy

    other = nn.Sequential(sb.nn.BinaryLinear(3, 2, weight=sb.Bernoulli()), sb.nn.BinaryLinear(2, 2, weight=sb.Sign()))
    other.load_state_dict(net.state_dict())
    assert torch.equal(other[0].prior_latent, net[0].prior_latent)


def named_net():
    net = nn.ModuleDict(
        {name: sb.nn.BinaryLinear(3, 2, weight=sb.Bernoulli(prior=0.4)) for name in ("fc1", "fc2", "out")}
    )
    net["sign"] = sb.nn.BinaryLinear(3, 2)
    return net


def probability_of(layer):
    return torch.sigmoid(2 * layer.prior_latent)


def test_prior_by_layer():
    net = named_net()
    each = torch.tensor([0.1, 0.5, 0.9])
    sb.set_prior_(net, {"fc*": 0.2, "fc2": each})
    torch.testing.assert_close(probability_of(net["fc1"]), torch.tensor(0.2))
    torch.testing.assert_close(probability_of(net["fc2"]), each.expand(2, 3))
    torch.testing.assert_close(probability_of(net["out"]), torch.tensor(0.4))
    sb.set_prior_(net, {"*": 0.5, "out": "posterior"})
    torch.testing.assert_close(net["out"].prior_latent, net["out"].latent.detach())
    assert net["fc1"].prior_latent == net["fc2"].prior_latent == 0


def test_prior_of_tied_layers():
    net = named_net()
    net["fc2"].weight = net["fc1"].weight
    sb.set_prior_(net, {"fc2": 0.2})
    for name in ("fc1", "fc2"):
        torch.testing.assert_close(probability_of(net[name]), torch.tensor(0.2))


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ({"fc1": 0.2, "fc3": 0.3}, r"keys match layers of \['fc1', 'fc2', 'out'\], but got 'fc3'"),
        ({"fc1": 0.2, "sign": 0.3}, "keys match layers of .*but got 'sign'"),
        ({"fc1": 0.2, "out": 1.0}, "probabilities between 0 and 1"),
        (
            {"fc1": 0.2, "out": torch.full((2,), 0.5)},
            r"broadcasts to the latents' shape \(2, 3\), but got shape \(2,\)",
        ),
    ],
)
def test_bad_priors_by_layer_change_nothing(prior, message):
    net = named_net()
    with pytest.raises(ValueError, match=message):
        sb.set_prior_(net, prior)
    torch.testing.assert_close(probability_of(net["fc1"]), torch.tensor(0.4))


@pytest.mark.parametrize("prior", [0.0, 1.0, -0.1, float("nan"), torch.tensor([0.5, 1.5]), "uniform"])
def test_a_prior_that_is_no_probability(prior):
    net = sb.nn.BinaryLinear(3, 2, weight=sb.Bernoulli(prior=0.3))
    before = net.prior_latent.clone()
    with pytest.raises(ValueError, match="Expected argument `prior` to be"):
        sb.set_prior_(net, prior)
    assert torch.equal(net.prior_latent, before)


@pytest.mark.parametrize("use", [sb.kl_divergence, lambda net: sb.set_prior_(net, 0.5)])
def test_without_a_posterior(use):
    with pytest.raises(ValueError, match="`net` to be a network with Bernoulli weights"):
        use(nn.Sequential(sb.nn.BinaryLinear(2, 2), nn.Linear(2, 2)))
