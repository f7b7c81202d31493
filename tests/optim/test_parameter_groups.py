"""Latents at a learning rate of their own."""

import pytest
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.optim import parameter_groups


def network(rule, scale=None):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, 8), nn.BatchNorm1d(8), sb.nn.Leaky(beta=0.9), nn.Linear(8, 4))
    sb.binarize_(net, rule, scale=scale)
    return net


@pytest.mark.parametrize("rule", [sb.Sign(), sb.BalancedSign(), sb.BalancedBernoulli()], ids=lambda rule: rule.name)
def test_latents_take_steps_of_their_own_rate_and_others_of_the_optimizers(rule):
    net = network(rule)
    optimizer = torch.optim.Adam(parameter_groups(net, 0.02), lr=0.001)
    before = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    for name, parameter in net.named_parameters():
        step = 0.02 if name in ("0.weight", "3.weight") else 0.001  # Adam's first is the rate
        assert torch.allclose(before[name] - parameter, torch.full_like(parameter, step), rtol=1e-3), name


def test_every_parameter_once():
    net = network(sb.BalancedSign(), scale="channel")
    net.append(sb.nn.BinaryLinear(8, 4, weight=sb.BalancedSign()))
    net[4].weight = net[3].weight  # tied
    groups = parameter_groups(net)
    listed = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(listed) == sorted(id(parameter) for parameter in net.parameters())
    assert [id(latent) for latent in groups[0]["params"]] == [id(net[0].latent), id(net[3].latent)]


def test_schedules_keep_the_proportion():
    net = network(sb.BalancedSign())
    optimizer = torch.optim.Adam(parameter_groups(net), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    for _ in range(5):
        optimizer.step()
        schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([2.5e-3, 5e-4])


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"Expected argument `net` to be a network with binary layers"):
        parameter_groups(nn.Linear(3, 2))
    with pytest.raises(ValueError, match=r"without Bernoulli weights, which sb\.optim\.BayesBiSNN.* layer '0'"):
        parameter_groups(network(sb.Bernoulli()))
    for rate in (0.0, -1.0, float("nan"), float("inf"), "1", True, None):
        with pytest.raises(ValueError, match="Expected argument `latent_lr` to be a positive float, but got"):
            parameter_groups(network(sb.Sign()), rate)
