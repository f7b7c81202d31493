"""Batch norm through time against a loop over torch's batch norms, one a time step, as snnTorch builds them."""

import pytest
import snntorch
import torch
from torch import nn

from snntorch_binary.nn import BatchNormThroughTime

T, B, C = 4, 6, 5
SHAPES = [(T, B, C), (T, B, C, 3), (T, B, C, 3, 2), (T, B, C, 3, 2, 2)]


def stepwise(shape, eps, momentum):
    """One norm for each time step without a shift, from snnTorch where it has one of this dimension."""
    if len(shape) in (3, 5):
        make = snntorch.BatchNormTT1d if len(shape) == 3 else snntorch.BatchNormTT2d
        return make(C, T, eps=eps, momentum=momentum)
    kind = nn.BatchNorm1d if len(shape) == 4 else nn.BatchNorm3d
    norms = nn.ModuleList(kind(C, eps=eps, momentum=momentum) for _ in range(T))
    for norm in norms:
        norm.bias = None
    return norms


def both(shape):
    ours, theirs = BatchNormThroughTime(C, T, eps=1e-3, momentum=0.3).double(), stepwise(shape, 1e-3, 0.3).double()
    with torch.no_grad():
        for scale, norm in zip(ours.weight, theirs, strict=True):
            scale.copy_(torch.rand(C) + 0.5)
            norm.weight.copy_(scale)
    return ours, theirs


def through(norm, x, weights):
    x = x.clone().requires_grad_()
    if isinstance(norm, nn.ModuleList):
        y = torch.stack([norm[t](x[t]) for t in range(T)])
    else:
        y = norm(x)
    (y * weights).sum().backward()
    return y, x.grad


@pytest.mark.parametrize("shape", SHAPES)
def test_training_and_evaluation_against_a_loop(shape):
    ours, theirs = both(shape)
    for _ in range(3):
        x, weights = 3 * torch.randn(shape).double() + 1, torch.randn(shape).double()
        for first, second in zip(through(ours, x, weights), through(theirs, x, weights), strict=True):
            torch.testing.assert_close(first, second)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(ours, name), torch.stack([getattr(norm, name) for norm in theirs]))
    torch.testing.assert_close(ours.weight.grad, torch.stack([norm.weight.grad for norm in theirs]))
    ours.eval(), theirs.eval()
    for first, second in zip(through(ours, x, weights), through(theirs, x, weights), strict=True):
        torch.testing.assert_close(first, second)


def test_every_step_is_normalised_by_itself():
    x = torch.randn(T, 64, C) * torch.arange(1.0, T + 1).view(-1, 1, 1) + torch.arange(T).view(-1, 1, 1)
    y = BatchNormThroughTime(C, T)(x)
    assert y.mean(1).abs().max() < 1e-5
    assert (y.std(1, correction=0) - 1).abs().max() < 1e-3


def test_images_stay_as_they_lie_in_memory():
    x = torch.randn(T * B, C, 4, 4).to(memory_format=torch.channels_last).unflatten(0, (T, B))
    norm = BatchNormThroughTime(C, T)
    y = norm(x)
    assert y[0].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(norm(x.contiguous()), y)


def test_the_state_is_a_scale_and_two_averages_for_each_step():
    norm = BatchNormThroughTime(C, T)
    assert {name: tuple(value.shape) for name, value in norm.state_dict().items()} == {
        "weight": (T, C),
        "running_mean": (T, C),
        "running_var": (T, C),
    }
    other = BatchNormThroughTime(C, T)
    norm(torch.randn(T, B, C))
    other.load_state_dict(norm.state_dict())
    x = torch.randn(T, B, C)
    assert torch.equal(norm.eval()(x), other.eval()(x))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"num_features": 0}, "`num_features` to be a positive integer, but got 0"),
        ({"num_steps": 1.5}, "`num_steps` to be a positive integer"),
        ({"eps": 0.0}, "`eps` to be a positive float"),
        ({"momentum": 0.0}, r"`momentum` to be a float in \(0, 1\]"),
    ],
)
def test_bad_settings(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        BatchNormThroughTime(**{"num_features": C, "num_steps": T} | settings)


@pytest.mark.parametrize("shape", [(T + 1, B, C), (T, B, C + 1), (T, C)])
def test_bad_inputs(shape):
    with pytest.raises(ValueError, match=rf"of shape \[{T}, B, {C}, ...\], but got"):
        BatchNormThroughTime(C, T)(torch.zeros(shape))


def test_one_value_has_no_variance():
    norm = BatchNormThroughTime(C, T)
    with pytest.raises(ValueError, match="more than one value for each channel and step in training"):
        norm(torch.zeros(T, 1, C))
    assert norm.eval()(torch.zeros(T, 1, C)).shape == (T, 1, C)
