"""What a node's metadata says: enough to sample from the posterior, and to get the layer back."""

import json

import numpy as np
import pytest
import torch
from nir_loaders import through_file
from torch import nn

import snntorch_binary as sb

SAMPLE = torch.zeros(1, 1, 12)


def layer(rule=sb.Bernoulli(prior=0.3, init_scale=0.7), scale="channel"):  # noqa: B008
    net = nn.Sequential(sb.nn.BinaryLinear(12, 5, weight=rule, scale=scale), sb.nn.Leaky(0.9, reset_mechanism="zero"))
    with torch.no_grad():
        net[0].latent.normal_()
        if net[0].gain is not None:
            net[0].gain.uniform_(0.5, 2.0)
    return net.eval()


@pytest.mark.parametrize("weights", ["mode", 7])
def test_flips_with_the_nodes_probability_are_draws_from_the_posterior(weights, tmp_path):
    net = layer()
    graph, _ = through_file(sb.export.to_nir(net, SAMPLE, weights), tmp_path)
    node, latent = graph.nodes["0_linear"], net[0].latent.detach()
    flip, sign = node.metadata["flip_probability"], np.sign(node.weight)
    # The posterior of papers and package: P(w = +1) = σ(2 w_r).
    plus = torch.sigmoid(2 * latent).numpy()
    np.testing.assert_allclose(np.where(sign > 0, 1 - flip, flip), plus, rtol=1e-5)
    if weights == "mode":
        np.testing.assert_allclose(flip, torch.sigmoid(-2 * latent.abs()).numpy(), rtol=1e-6)
        assert (sign == np.sign(latent.numpy())).all()
    else:
        assert (sign != np.sign(latent.numpy())).any()
    # A machine that draws with this probability has the mean that the package's own draws have.
    draws = sign * np.where(np.random.default_rng(0).random((4000, 5, 12)) < flip, -1, 1)
    assert np.abs(draws.mean(0) - torch.tanh(latent).numpy()).max() < 6 / 4000**0.5


def test_flip_probabilities_keep_their_precision():
    net = layer(sb.Bernoulli())
    with torch.no_grad():
        net[0].latent.fill_(-30.0)
    flip = sb.export.to_nir(net, SAMPLE).nodes["0_linear"].metadata["flip_probability"]
    np.testing.assert_allclose(flip, np.exp(-60.0), rtol=1e-5)


@pytest.mark.parametrize("scale", ["fan_in", "channel", 0.25])
@pytest.mark.parametrize("rule", [sb.Sign("identity"), sb.Bernoulli(0.5, 0.3, "gumbel")])
def test_metadata_survives_the_file(rule, scale, tmp_path):
    net = layer(rule, scale)
    graph, path = through_file(sb.export.to_nir(net, SAMPLE), tmp_path)
    metadata = graph.nodes["0_linear"].metadata
    assert json.loads(metadata["rule"]) == rule.to_json()
    assert json.loads(metadata["scale"]) == scale
    assert metadata["module"] == "Linear"
    assert metadata["name"] == "0"
    assert ("flip_probability" in metadata) == isinstance(rule, sb.Bernoulli)
    assert np.array_equal(metadata["latent"], net[0].latent.detach().numpy())
    assert graph.metadata["weights"] == "mode"
    assert graph.metadata["dt"] == 1e-4
    again = sb.export.from_nir(path)[0]
    assert (again.rule, again.scale) == (rule, scale)
    assert torch.equal(again.weight, net[0].weight)


def test_the_weight_is_two_valued_and_that_in_force(tmp_path):
    net = layer(scale=0.25)
    mode = sb.export.to_nir(net, SAMPLE).nodes["0_linear"]
    assert set(np.unique(mode.weight)) == {-0.25, 0.25}
    first, again, other = (sb.export.to_nir(net, SAMPLE, seed).nodes["0_linear"] for seed in (1, 1, 2))
    assert set(np.unique(first.weight)) == {-0.25, 0.25}
    assert np.array_equal(first.weight, again.weight)
    assert not np.array_equal(first.weight, other.weight)
    frozen = sb.freeze(net, "binary", torch.Generator().manual_seed(1))
    assert np.array_equal(first.weight, frozen[0].weight.numpy())
    mean = sb.export.to_nir(net, SAMPLE, "mean").nodes["0_linear"]
    np.testing.assert_allclose(mean.weight, 0.25 * torch.tanh(net[0].latent.detach()).numpy(), rtol=1e-6)


def test_a_draw_comes_back_as_its_signs_and_the_mean_as_real_weights():
    net = layer(scale="fan_in")
    graph = sb.export.to_nir(net, SAMPLE, 5)
    drawn = sb.export.from_nir(graph)[0]
    assert isinstance(drawn.rule, sb.Sign)
    np.testing.assert_array_equal(drawn.weight.detach().numpy(), graph.nodes["0_linear"].weight)
    graph = sb.export.to_nir(net, SAMPLE, "mean")
    real = sb.export.from_nir(graph)[0]
    assert type(real) is nn.Linear
    np.testing.assert_array_equal(real.weight.detach().numpy(), graph.nodes["0_linear"].weight)


@pytest.mark.parametrize("scale", ["fan_in", "channel"])
def test_two_valued_weights_without_metadata_come_back_binary(scale):
    net = layer(scale=scale)
    graph = sb.export.to_nir(net, SAMPLE)
    graph.nodes["0_linear"].metadata.clear()
    again = sb.export.from_nir(graph)[0]
    assert isinstance(again, sb.nn.BinaryLinear)
    assert again.scale == ("channel" if scale == "channel" else pytest.approx(12**-0.5))
    torch.testing.assert_close(again.weight.detach(), net[0].weight.detach(), rtol=1e-6, atol=0)


def test_what_comes_back_learns_on():
    net = layer()
    again = sb.export.from_nir(sb.export.to_nir(net, SAMPLE)).train()
    optimizer = sb.optim.BayesBiSNN(again.parameters(), lr=0.1, rho=1e-3, betas=None)
    before = again[0].latent.clone()
    again[0](torch.ones(3, 12)).square().mean().backward()
    optimizer.step()
    assert not torch.equal(again[0].latent, before)
