"""Learning rates of latents and of other parameters under schedules."""

import warnings

import pytest
import torch
from torch import nn

import snntorch_binary as sb

CYCLES = {
    "one cycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.3, total_steps=9),
    "cyclic": lambda o: torch.optim.lr_scheduler.CyclicLR(o, base_lr=0.01, max_lr=0.3, step_size_up=3),
}


@pytest.mark.parametrize("cycle", CYCLES.values(), ids=CYCLES)
@pytest.mark.parametrize(
    ("variant", "reference"),
    [
        ({"betas": None}, lambda p: torch.optim.SGD(p, lr=0.01)),
        ({"momentum": 0.9}, lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9)),
        ({"betas": (0.8, 0.95)}, lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.8, 0.95))),
        ({}, lambda p: torch.optim.Adam(p, lr=0.01)),
    ],
    ids=["plain", "momentum", "betas", "default"],
)
def test_cycling_schedules_move_what_they_move_in_torchs_own(variant, reference, cycle):
    """Learning rate, and momentum or beta1: of the latents as in SGD or Adam, of the biases as in Adam."""
    net = sb.nn.BinaryLinear(6, 3, weight=sb.Bernoulli(), scale=1.0)
    twins = [nn.Parameter(value.detach().clone()) for value in (net.latent, net.bias)]
    optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.01, rho=0.0, base_lr=0.01, **variant)
    theirs = [reference([twins[0]]), torch.optim.Adam([twins[1]], lr=0.01)]
    schedules = [cycle(each) for each in (optimizer, *theirs)]
    seen = []
    for _ in range(8):
        gradients = torch.randn(3, 6), torch.randn(3)
        net.latent.grad = gradients[0] * (1 - torch.tanh(net.latent.detach()) ** 2)
        net.bias.grad = twins[1].grad = gradients[1]
        twins[0].grad = gradients[0]
        for each in (optimizer, *theirs):
            each.step()
        for schedule in schedules:
            schedule.step()
        group, of_theirs = optimizer.param_groups[0], theirs[0].param_groups[0]
        key = "betas" if "betas" in of_theirs else "momentum"
        assert group[key] == of_theirs[key]
        seen.append(group[key])
    assert len(set(seen)) > 3
    torch.testing.assert_close(net.latent.detach(), twins[0].detach(), rtol=1e-4, atol=1e-5)
    if "betas" in theirs[0].param_groups[0]:  # torch's schedules move one of the two in all groups
        torch.testing.assert_close(net.bias.detach(), twins[1].detach())


RATES = {
    "one cycle": (CYCLES["one cycle"], 0.1 / 300),
    "cyclic": (CYCLES["cyclic"], 0.1 / 300),
    "set by hand": (lambda o: [group.update(lr=0.2) for group in o.param_groups] and None, 0.1 / 300),
    "of a list": (lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=[0.3, 0.002], total_steps=9), None),
    "a cosine": (lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 6), None),
    "a floor": (lambda o: torch.optim.lr_scheduler.LambdaLR(o, [lambda _: 1e-3, lambda _: 0.3]), None),  # 1e-4 both
    "warm-up": (lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.1, total_iters=5), None),
}


@pytest.mark.parametrize(("schedule", "proportion"), RATES.values(), ids=RATES)
def test_a_rate_given_to_all_groups_is_that_of_the_latents(schedule, proportion):
    net = sb.nn.BinaryLinear(6, 3, weight=sb.Bernoulli())
    optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.1, base_lr=1 / 3000)
    scheduler = schedule(optimizer)
    twin = nn.Parameter(net.bias.detach().clone())
    adam = torch.optim.Adam([twin], lr=1.0)
    ratio = (1 / 3000) / 0.1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(8):
            net.bias.grad = twin.grad = torch.randn(3)
            latents, others = (group["lr"] for group in optimizer.param_groups)
            adam.param_groups[0]["lr"] = latents * ratio if proportion else others
            adam.param_groups[0]["betas"] = optimizer.param_groups[1]["betas"]
            optimizer.step()
            adam.step()
            if scheduler is not None:
                scheduler.step()
    torch.testing.assert_close(net.bias.detach(), twin.detach(), rtol=1e-5, atol=1e-7)
    assert [str(w.message) for w in caught if "one learning rate" in str(w.message)][1:] == []
    assert any("max_lr=[0.1, 0.000333333]" in str(w.message) for w in caught) == (proportion is not None)


def test_two_rates_that_were_said_to_be_one_stay_one():
    for said in ({"lr": 0.1, "base_lr": 0.1}, {"lr": 0.1, "base_lr": 0.01}):
        net = sb.nn.BinaryLinear(6, 3, weight=sb.Bernoulli())
        optimizer = sb.optim.BayesBiSNN(net.parameters(), **said)
        optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"]
        before = net.bias.detach().clone()
        net.bias.grad = torch.ones(3)
        optimizer.step()
        torch.testing.assert_close(before - net.bias.detach(), torch.full((3,), said["base_lr"]))
