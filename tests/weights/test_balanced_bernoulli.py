"""The posterior of balanced latents: its draws, its gradient, and what reads them."""

import copy
import itertools
import json

import pytest
import torch
from torch import nn

import snntorch_binary as sb


def layer_of(inputs=24, outputs=7, sharpness=1.0):
    torch.manual_seed(0)
    return sb.nn.BinaryLinear(inputs, outputs, weight=sb.BalancedBernoulli(sharpness))


def centred(latent):
    return latent - latent.mean(1, keepdim=True)


def test_draws_have_the_probabilities_of_the_natural_parameter():
    layer = layer_of()
    natural = 2 * 1.0 * 24**0.5 * centred(layer.latent.detach())
    torch.testing.assert_close(layer.rule.natural_parameter(layer.latent.detach()), natural)
    drawn = []
    for _ in range(400):
        sb.resample_(layer)
        drawn.append(layer.weight.detach() > 0)
    share, probability = torch.stack(drawn).double().mean(0), torch.sigmoid(2 * natural.double())
    assert ((share - probability).abs() < 5 * (probability * (1 - probability) / 400).sqrt() + 1e-4).all()


def test_a_mean_size_as_torch_starts_layers_is_the_sharpness():
    torch.manual_seed(0)
    for layer in (nn.Linear(400, 300), nn.Conv2d(16, 64, 5)):
        net = nn.Sequential(layer)
        sb.binarize_(net, sb.BalancedBernoulli(3.0))
        natural = net[0].rule.natural_parameter(net[0].latent.detach())
        assert float(natural.abs().mean()) == pytest.approx(3.0, rel=0.02)


def test_the_gradient_of_a_draw_is_handed_to_the_latent():
    layer = layer_of()
    x, latent = torch.rand(5, 24), layer.latent.detach().clone().requires_grad_()
    drawn = layer.weight.detach().sign()
    size = 2 * centred(latent).abs().mean()
    slope = (1 - centred(latent).detach().abs() / (2 * size.detach())).clamp(min=0) / size.detach()
    expected = nn.functional.linear(x, (drawn + slope * (latent - latent.detach())) * size, layer.bias)
    output = layer(x)
    torch.testing.assert_close(output, expected)
    upstream = torch.randn_like(output)
    output.backward(upstream)
    torch.testing.assert_close(layer.latent.grad, torch.autograd.grad(expected, latent, upstream)[0])


def test_one_draw_holds_for_a_sequence_and_a_step_makes_another():
    layer = layer_of()
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3)
    first = layer.weight.detach().sign()
    assert torch.equal(layer.weight.detach().sign(), first)
    layer(torch.rand(3, 24)).sum().backward()
    optimizer.step()
    assert not torch.equal(layer.weight.detach().sign(), first)
    layer.eval()
    assert torch.equal(layer.weight.detach().sign(), centred(layer.latent.detach()).sign())


def test_the_mean_over_draws_is_that_of_the_exact_posterior():
    layer = layer_of(4, 2)  # too few inputs to be centred
    x = torch.rand(3, 4)
    natural = 2 * 4**0.5 * layer.latent.detach()
    size, exact = 2 * layer.latent.detach().abs().mean(), torch.zeros(3)
    for signs in itertools.product((-1.0, 1.0), repeat=8):
        w = torch.tensor(signs).view(2, 4)
        exact += torch.sigmoid(2 * natural * w).prod() * (x @ w.T * size + layer.bias.detach()).relu().sum(1)
    found, count = torch.zeros(3), 2000
    with torch.no_grad():
        for seed in range(count):
            with sb.sampled(layer, "binary", torch.Generator().manual_seed(seed)):
                found += layer(x).relu().sum(1)
    torch.testing.assert_close(found / count, exact, atol=0.035, rtol=0)
    with sb.sampled(layer, "mean"):
        torch.testing.assert_close(layer.weight.detach(), size * torch.tanh(natural))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_latents_that_say_nothing_stay_finite(dtype):
    layer = layer_of().to(dtype)
    with torch.no_grad():
        layer.latent.zero_()
    layer(torch.rand(3, 24, dtype=dtype)).sum().backward()
    assert bool(layer.latent.grad.isfinite().all())


def spiking():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, 32), sb.nn.Leaky(0.9, reset_mechanism="zero"), nn.Linear(32, 5), sb.nn.Leaky(0.9))
    sb.binarize_(net, sb.BalancedBernoulli(2.0))
    return net


def test_it_learns_by_the_optimizer_of_a_user():
    net, generator = spiking(), torch.Generator().manual_seed(0)
    images = (torch.rand(5, 20, generator=generator) < 0.5).float()
    labels = torch.arange(5).repeat(8)
    x = (torch.rand(15, 40, 20, generator=generator) < 0.6 * images[labels]).float()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(60):
        loss = nn.functional.cross_entropy(net(x).sum(0), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = sb.predict(net, x)
    assert float((found.probs.argmax(-1) == labels).float().mean()) > 0.9
    assert bool((found.mutual_information > 1e-6).all())  # its members differ


def test_the_bayesian_optimizer_learns_it_as_adam_does():
    nets = [spiking(), spiking()]
    optimizers = [torch.optim.Adam(nets[0].parameters(), 1e-2), sb.optim.BayesBiSNN(nets[1].parameters(), base_lr=1e-2)]
    x = (torch.rand(10, 6, 20) < 0.3).float()
    for net, optimizer in zip(nets, optimizers, strict=True):
        sb.resample_(net, torch.Generator().manual_seed(0))
        net(x).square().mean().backward()
        optimizer.step()
    assert torch.equal(nets[0][0].latent, nets[1][0].latent)


def test_it_is_packed_saved_and_exported(tmp_path):
    for package in ("safetensors", "nir"):
        pytest.importorskip(package)
    net, x = spiking(), (torch.rand(12, 6, 20) < 0.3).float()
    ensemble = sb.Ensemble(net, num_members=4, seed=0)
    assert torch.equal(sb.pack(ensemble)(x), ensemble(x))
    sb.save_weights(net, tmp_path / "net.safetensors")
    other = spiking()
    with torch.no_grad():
        other[0].latent.neg_()
    sb.load_weights_(other, tmp_path / "net.safetensors")
    assert torch.equal(sb.Ensemble(other, num_members=4, seed=0)(x), ensemble(x))
    assert json.loads(json.dumps(net[0].rule.to_json())) == {"rule": "balanced-bernoulli", "sharpness": 2.0}

    graph = sb.export.to_nir(net[:2].eval(), x, allow_lossy=True)
    node = next(node for node in graph.nodes.values() if "flip_probability" in node.metadata)
    natural = net[0].rule.natural_parameter(net[0].latent.detach())
    torch.testing.assert_close(torch.as_tensor(node.metadata["flip_probability"]), torch.sigmoid(-2 * natural.abs()))


def test_a_report_says_its_entropy_and_float_weights_return():
    from snntorch_binary.metrics import learning_report

    net = spiking()
    plain = nn.Sequential(*map(copy.deepcopy, net))
    natural = net[0].rule.natural_parameter(net[0].latent.detach()).double()
    p = torch.sigmoid(2 * natural)
    entropy = -(p * p.log2() + (1 - p) * (1 - p).log2()).mean()
    assert learning_report(net).layers[0].entropy == pytest.approx(float(entropy), rel=1e-4)
    sb.unbinarize_(plain)
    assert torch.equal(plain[0].weight, net[0].latent)


@pytest.mark.parametrize("sharpness", [0.0, -1.0, float("inf"), float("nan"), True, "8", None])
def test_what_is_no_sharpness(sharpness):
    with pytest.raises(ValueError, match="`sharpness` to be a positive float"):
        sb.BalancedBernoulli(sharpness)


def test_modules_of_lightning_say_which_rules_they_learn():
    pytest.importorskip("torchmetrics")
    from snntorch_binary.lightning import BalancedBayes, BayesBiSNN, STBiSNN
    from snntorch_binary.models import SpikingMLP

    module = BalancedBayes(SpikingMLP(64, [32], 10), 10, num_test_samples=3).eval()
    assert set(module.answers(torch.ones(5, 2, 64), final=True)) == {"mode", "draw", "ensemble"}
    assert module.scores(torch.ones(5, 2, 64), final=True)["ensemble"].shape == (3, 2, 10)
    for kind in (STBiSNN, BayesBiSNN):
        with pytest.raises(TypeError, match="Expected argument `rule` to be a rule with"):
            kind(SpikingMLP(64, [32], 10), 10, rule=sb.BalancedBernoulli())
    with pytest.raises(TypeError, match="a rule that draws by real latents, such as BalancedBernoulli"):
        BalancedBayes(SpikingMLP(64, [32], 10), 10, rule=sb.Sign())
