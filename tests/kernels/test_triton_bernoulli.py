"""Triton's noise, draw and update against their plain torch twins."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from triton_device import device_or_skip

import snntorch_binary as sb
from snntorch_binary.kernels import engine, use_engine
from snntorch_binary.kernels.noise import uniform

DEVICE = device_or_skip()

RULES = [sb.Bernoulli(), sb.Bernoulli(estimator="gumbel"), sb.Bernoulli(estimator="gumbel", tau=0.3)]
STEPS = {
    "plain": {},
    "clipped": {"clip": 0.5},
    "momentum": {"momentum": 0.9},
    "betas": {"betas": (0.9, 0.999), "limit": 3.1},
}


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**63 - 1), size=st.sampled_from([0, 1, 2, 63, 1024, 1025, 3001]))
def test_noise_equals_torch_bit_for_bit(seed, size):
    with use_engine("triton"):
        assert engine.compiled("noise", torch.empty(1, device=DEVICE)).__name__.endswith("triton.noise")
        drawn = uniform(torch.Size([size]), seed, DEVICE)
    with use_engine("torch"):
        assert torch.equal(drawn, uniform(torch.Size([size]), seed, DEVICE))


def layer_with(rule, latent=None, **options):
    """A layer with 35 × 41 latents, more than a block, and its optimizer."""
    torch.manual_seed(3)
    layer = sb.nn.BinaryLinear(41, 35, weight=rule).to(DEVICE)
    if latent is not None:
        with torch.no_grad():
            layer.latent.copy_(latent)
    optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=0.1, **options) if options else None
    sb.resample_(layer)
    return layer, optimizer


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_draws_what_torch_draws(rule):
    latent = torch.randn(35, 41, generator=torch.Generator().manual_seed(1)) * 4
    latent[0, :4] = torch.tensor([30.0, -30.0, 0.0, -0.0])
    draws = []
    for name in ("triton", "torch"):
        with use_engine(name):
            draws.append(layer_with(rule, latent)[0].draw)
    one, other = draws
    assert one.counter == other.counter
    torch.testing.assert_close(one.value, other.value, rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(one.derivative, other.derivative, rtol=1e-5, atol=1e-6)
    if rule.estimator == "hard":
        assert torch.equal(one.value, other.value)


@pytest.mark.parametrize("prior", ["none", "one", "each"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("rule", RULES[:2], ids=str)
def test_steps_as_torch_does(rule, step, prior):
    layers = []
    for name in ("triton", "torch"):
        with use_engine(name):
            layer, optimizer = layer_with(rule, rho=0.0 if prior == "none" else 0.05, **STEPS[step])
            if prior == "each":
                layer.prior_latent = torch.linspace(-1, 1, layer.latent.numel(), device=DEVICE).view_as(layer.latent)
            generator = torch.Generator().manual_seed(5)
            for _ in range(4):
                layer.latent.grad = (0.01 * torch.randn(layer.latent.shape, generator=generator)).to(DEVICE)
                optimizer.step()
            # The kernel has drawn what seed, counter and latent say.
            drawn = layer.in_force().detach().clone()
            layer.draw.forget()
            assert torch.equal(layer.in_force(), drawn)
            layers.append(layer)
    one, other = layers
    # Rounding of 1 - μ² grows from step to step where |w_r| does.
    torch.testing.assert_close(one.latent, other.latent, rtol=1e-5, atol=1e-5)
    assert one.draw.counter == other.draw.counter
    assert (other.latent - other.latent.sign() * 3).abs().max() > 0.05
    torch.testing.assert_close(one.draw.value, other.draw.value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("tau", [1.0, 0.5])
def test_published_arithmetic(tau):
    rule = sb.Bernoulli(estimator="gumbel", tau=tau, init_scale=2.0)
    layers = []
    for name in ("triton", "torch"):
        with use_engine(name):
            layer, optimizer = layer_with(rule, rho=0.01, paper_exact=True)
            generator = torch.Generator().manual_seed(5)
            for _ in range(3):
                layer.latent.grad = (0.01 * torch.randn(layer.latent.shape, generator=generator)).to(DEVICE)
                optimizer.step()
            layers.append(layer)
    one, other = layers
    torch.testing.assert_close(one.latent, other.latent, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(one.draw.value, other.draw.value, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(one.draw.derivative, other.draw.derivative, rtol=1e-3, atol=1e-6)


def test_latents_stay_within_their_limit_and_nan_stays_nan():
    with use_engine("triton"):
        layer, optimizer = layer_with(sb.Bernoulli(), rho=0.0, betas=None)
        grad = torch.zeros_like(layer.latent)
        grad[0], grad[1], grad[2, 0] = -10.0, 10.0, float("nan")
        layer.latent.grad = grad
        optimizer.step()
    assert (layer.latent[0] == 30).all()
    assert (layer.latent[1] == -30).all()
    assert layer.latent[2, 0].isnan()
    assert layer.latent[2, 1:].isfinite().all()
