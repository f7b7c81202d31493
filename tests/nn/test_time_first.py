import pytest
import torch
from torch import nn

from snntorch_binary.nn.neurons.leaky import Leaky
from snntorch_binary.nn.time_first import TimeFirst


@pytest.mark.parametrize("layer", [nn.MaxPool2d(2), nn.Flatten(), nn.GroupNorm(1, 3), nn.Conv2d(3, 5, 3)])
@pytest.mark.parametrize(("steps", "batch"), [(4, 2), (1, 2), (0, 2), (4, 0)])
def test_equals_the_layer_at_every_step(layer, steps, batch):
    x = torch.randn(steps, batch, 3, 8, 6)
    y = TimeFirst(layer)(x)
    one_step = layer(torch.randn(1, 3, 8, 6)).shape[1:]
    assert y.shape == (steps, batch, *one_step)
    for t in range(steps):
        torch.testing.assert_close(y[t], layer(x[t]))


def test_batch_norm_sees_time_and_batch_together():
    x = torch.randn(5, 4, 3) * 2 + 1
    y = TimeFirst(nn.BatchNorm1d(3))(x)
    torch.testing.assert_close(y.mean((0, 1)), torch.zeros(3), atol=1e-6, rtol=0)


def test_takes_inputs_that_are_not_contiguous():
    x = torch.randn(2, 4, 3, 8, 6).transpose(0, 1)
    assert torch.equal(TimeFirst(nn.AvgPool2d(2))(x)[3], nn.AvgPool2d(2)(x[3]))


def test_the_layer_stays_reachable():
    norm = nn.BatchNorm1d(3)
    net = nn.Sequential(TimeFirst(norm))
    assert net[0].module is norm
    assert "0.module.running_mean" in net.state_dict()


def test_refuses_what_would_mix_examples_and_time_steps():
    with pytest.raises(TypeError, match="Expected argument `module` to be a layer without memory"):
        TimeFirst(nn.Sequential(nn.Flatten(), Leaky(0.9)))
    with pytest.raises(ValueError, match="a layer that keeps 8 examples"):
        TimeFirst(nn.Flatten(0))(torch.zeros(2, 4, 3))
    with pytest.raises(ValueError, match=r"\[T, B, ...\]"):
        TimeFirst(nn.Flatten())(torch.zeros(4))


def test_too_few_dimensions_for_the_layer():
    with pytest.raises(ValueError, match=r"of a shape that Flatten can take, but got \[5, 2, 7\]"):
        TimeFirst(nn.Flatten(2))(torch.ones(5, 2, 7))
