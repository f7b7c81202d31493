"""A warning of a prior that pulls too hard, and of nothing else."""

import copy
import re
import warnings

import pytest
import torch
from weights_alone import backward, weights_alone

import snntorch_binary as sb
from snntorch_binary.optim.pull import Pull


def train_silently(optimizer, layer, c, steps):
    """Any warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(steps):
            optimizer.zero_grad()
            backward(layer, c)
            optimizer.step()


@pytest.mark.parametrize(("rho", "warned"), [(0.0, False), (1e-4, False), (1 / 60, True), (3.0, True)])
def test_a_prior_that_pulls_harder_than_the_data_is_said(rho, warned):
    torch.manual_seed(0)
    layer = weights_alone(sb.Bernoulli(init_scale=1.0))
    c = torch.randn(32, 64) * 0.02  # the loss pulls by 0.02, the prior by about rho
    optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=1e-3, rho=rho)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(40):
            optimizer.zero_grad()
            backward(layer, c)
            optimizer.step()
    said = [str(each.message) for each in caught]
    assert len(said) == warned
    if warned:
        ratio = float(re.search(r"was ([\d.e+]+) times as strong", said[0])[1])
        assert ratio == pytest.approx(rho / 0.02, rel=0.1)
        better = float(re.search(r"at most ([\d.e-]+) would", said[0])[1])
        assert better == pytest.approx(0.1 * 0.02, rel=0.3)


@pytest.mark.slow
def test_a_training_that_goes_on_is_not_warned_again():
    """At the optimum both pull alike."""
    layer = weights_alone(sb.Bernoulli(init_scale=1.0))
    c = torch.randn(32, 64) * 0.02
    optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=0.05, rho=1e-3)
    train_silently(optimizer, layer, c, 400)
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train_silently(optimizer, layer, c, 400)


def test_a_prior_that_says_something_is_meant_to_pull():
    layer = weights_alone(sb.Bernoulli(init_scale=1.0, prior=0.9))
    c = torch.randn(32, 64) * 0.02
    optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=1e-3, rho=3.0)
    train_silently(optimizer, layer, c, 40)


def test_each_group_has_a_rho_of_its_own():
    layer = sb.nn.BinaryLinear(64, 32, weight=sb.Bernoulli(init_scale=1.0), scale=1.0)
    c = torch.randn(32, 64) * 0.02
    groups = [{"params": [layer.latent], "rho": 1e-5}, {"params": [layer.bias]}]
    optimizer = sb.optim.BayesBiSNN(groups, lr=1e-3, rho=0.5)
    train_silently(optimizer, layer, c, 40)


def test_of_many_weights_some_speak_for_all():
    torch.manual_seed(0)
    pull = Pull()
    small, large = torch.full((16, 8), 0.5), 0.5 + torch.rand(512, 1024)
    large[:, ::2] *= -1  # a look at every second input alone would see one sign
    grads = [1e-3 * torch.randn_like(small), 1e-3 * torch.sign(large) * torch.rand_like(large)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(30):
            for latent, grad in zip((small, large), grads, strict=True):
                pull.add(latent, grad, 1e-2)
            pull.stepped(1e-2)
    loss = sum(
        float((grad * latent.cosh().square()).square().sum())
        for latent, grad in zip((small, large), grads, strict=True)
    )
    prior = sum(float((1e-2 * latent).square().sum()) for latent in (small, large))
    ratio = float(re.search(r"was ([\d.e+]+) times as strong", str(caught[0].message))[1])
    assert ratio == pytest.approx((prior / loss) ** 0.5, rel=0.05)
