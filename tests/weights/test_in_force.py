"""`sampled` says which weights are in force."""

import pytest
import torch
from torch import nn

import snntorch_binary as sb


@pytest.fixture(params=["hard", "gumbel"])
def layer(request):
    layer = sb.nn.BinaryLinear(30, 20, weight=sb.Bernoulli(estimator=request.param), scale=1.0)
    with torch.no_grad():
        layer.latent.copy_(torch.randn(20, 30))
    return layer


def kind_of(layer):
    weight, latent = layer.weight.detach(), layer.latent.detach()
    if torch.equal(weight, torch.where(latent >= 0, 1.0, -1.0)):
        return "mode"
    if torch.equal(weight, torch.tanh(latent)):
        return "mean"
    return "binary" if (weight.abs() == 1).all() else "relaxed"


def test_each_kind(layer):
    training = "relaxed" if layer.rule.estimator == "gumbel" else "binary"
    assert kind_of(layer) == training
    for kind in ("relaxed", "binary", "mode", "mean"):
        with sb.sampled(layer, kind) as net:
            assert net is layer
            assert kind_of(layer) == kind
            layer.eval()
            assert kind_of(layer) == kind
            layer.train()
    assert kind_of(layer) == training
    assert kind_of(layer.eval()) == "mode"


def test_contexts_nest_and_end_with_an_error(layer):
    before = layer.weight.clone()
    with sb.sampled(layer, "binary"):
        outer = layer.weight.clone()
        with pytest.raises(RuntimeError, match="stop"), sb.sampled(layer, "mean"):
            raise RuntimeError("stop")
        assert torch.equal(layer.weight, outer)
    assert torch.equal(layer.weight, before)


def test_a_generator_decides_the_draw_whatever_was_drawn_before(layer):
    def look(seed):
        with sb.sampled(layer, "binary", torch.Generator().manual_seed(seed)):
            return layer.weight.detach().clone()

    first = look(1)
    sb.resample_(layer)
    assert torch.equal(look(1), first)
    assert not torch.equal(look(2), first)


def test_a_draw_is_held_inside_the_context_until_the_latent_moves(layer):
    optimizer = torch.optim.SGD(layer.parameters(), lr=1e-6)
    with sb.sampled(layer, "relaxed"):
        before = layer.weight.detach().clone()
        layer(torch.randn(4, 30)).sum().backward()
        assert torch.equal(layer.weight, before)
        optimizer.step()
        assert kind_of(layer) == "relaxed"
        assert not torch.equal(layer.weight, before)


def test_a_relaxed_look_trains_the_latent_with_its_own_gradient(layer):
    with sb.sampled(layer, "mean"):
        layer(torch.eye(30)).sum().backward()
    torch.testing.assert_close(layer.latent.grad, 1 - torch.tanh(layer.latent.detach()) ** 2)


def test_sign_has_one_weight_of_every_kind():
    layer = sb.nn.BinaryLinear(30, 20, scale=1.0)
    for kind in ("relaxed", "binary", "mode", "mean"):
        with sb.sampled(layer, kind):
            assert kind_of(layer) == "mode"


@pytest.mark.parametrize("use", [sb.resample_, lambda net: sb.sampled(net, "mode").__enter__()])
def test_a_network_without_binary_layers(use):
    with pytest.raises(ValueError, match="`net` to be a network with binary layers"):
        use(nn.Linear(2, 2))


def test_an_unknown_kind(layer):
    with (
        pytest.raises(ValueError, match=r"`kind` to be one of .*, but got 'median'"),
        sb.sampled(layer, "median"),
    ):
        pass
