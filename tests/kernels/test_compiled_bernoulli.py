"""The compiled update and draw against their plain torch twins."""

from itertools import pairwise

import pytest
import torch

import snntorch_binary as sb
from snntorch_binary.kernels import use_engine
from snntorch_binary.optim import set_prior_
from snntorch_binary.weights import sampled

pytest.importorskip("numba")


def layer_with(rule, engine, features=(53, 79), init=None):
    """A layer drawn by an engine; more than two blocks of the kernel, and no multiple of one."""
    with use_engine(engine):
        torch.manual_seed(3)
        layer = sb.nn.BinaryLinear(*features, weight=rule)
        if init is not None:
            with torch.no_grad():
                layer.latent.copy_(init)
            sb.resample_(layer)
    return layer


RULES = [sb.Bernoulli(), sb.Bernoulli(estimator="gumbel"), sb.Bernoulli(estimator="gumbel", tau=0.3)]
STEPS = {
    "plain": {"betas": None},
    "clipped": {"betas": None, "clip": 0.5},
    "momentum": {"momentum": 0.9},
    "betas": {"betas": (0.9, 0.999)},
    "limited": {"betas": (0.9, 0.999), "limit": 3.1},
}


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_draws_what_torch_draws(rule):
    latent = torch.randn(79, 53, generator=torch.Generator().manual_seed(1)) * 4
    compiled, plain = (layer_with(rule, engine, init=latent).draw for engine in ("numba", "torch"))
    assert compiled.counter == plain.counter
    torch.testing.assert_close(compiled.value, plain.value, rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(compiled.derivative, plain.derivative, rtol=1e-4, atol=1e-6)
    if rule.estimator == "hard":
        assert torch.equal(compiled.value, plain.value)


@pytest.mark.parametrize("prior", ["none", "one", "each"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_steps_as_torch_does(rule, step, prior):
    layers = {}
    for engine in ("numba", "torch"):
        layers[engine] = layer = layer_with(rule, engine)
        if prior == "one":
            set_prior_(layer, 0.7)
        elif prior == "each":
            layer.prior_latent = torch.linspace(-1, 1, layer.latent.numel()).view_as(layer.latent)
        optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=0.1, rho=0.0 if prior == "none" else 0.05, **STEPS[step])
        generator = torch.Generator().manual_seed(5)
        with use_engine(engine):
            for _ in range(6):
                layer.latent.grad = 0.01 * torch.randn(layer.latent.shape, generator=generator)
                optimizer.step()
    compiled, plain = layers["numba"], layers["torch"]
    # Rounding of 1 - μ² grows from step to step where |w_r| does.
    torch.testing.assert_close(compiled.latent, plain.latent, rtol=1e-4, atol=1e-4)
    assert compiled.draw.counter == plain.draw.counter
    moved = (plain.latent - plain.latent.sign() * 3).abs()
    assert moved.max() > 0.05
    torch.testing.assert_close(compiled.draw.value, plain.draw.value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("tau", [1.0, 0.5])
def test_published_arithmetic(tau):
    layers = {}
    for engine in ("numba", "torch"):
        rule = sb.Bernoulli(estimator="gumbel", tau=tau, init_scale=2.0)
        layers[engine] = layer = layer_with(rule, engine)
        with use_engine(engine):
            optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=0.1, rho=0.01, paper_exact=True)
            sb.resample_(layer)
            generator = torch.Generator().manual_seed(5)
            for _ in range(3):
                layer.latent.grad = 0.01 * torch.randn(layer.latent.shape, generator=generator)
                optimizer.step()
    torch.testing.assert_close(layers["numba"].latent, layers["torch"].latent, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layers["numba"].draw.value, layers["torch"].draw.value, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layers["numba"].draw.derivative, layers["torch"].draw.derivative, rtol=1e-3, atol=1e-6)


def test_latents_stay_within_their_limit_and_nan_stays_nan():
    layer = layer_with(sb.Bernoulli(), "numba")
    optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=1.0, rho=0.0, betas=None)
    grad = torch.zeros_like(layer.latent)
    grad[0], grad[1], grad[2, 0] = -1.0, 1.0, float("nan")
    layer.latent.grad = grad
    optimizer.step()
    assert (layer.latent[0] == 30).all()
    assert (layer.latent[1] == -30).all()
    assert layer.latent[2, 0].isnan()
    assert layer.latent[2, 1:].isfinite().all()


def test_a_step_is_seen_by_graphs_made_before_it():
    layer = layer_with(sb.Bernoulli(), "numba")
    optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=0.1, rho=0.0, betas=None)
    square = layer.latent.square().sum()  # needs the latent for its gradient
    layer.latent.grad = torch.ones_like(layer.latent)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        square.backward()


@pytest.mark.parametrize("needs_input_gradient", [True, False])
def test_an_output_of_weights_drawn_before_a_step_has_no_gradient_after_it(needs_input_gradient):
    layer = layer_with(sb.Bernoulli(), "numba")
    optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=0.1, rho=0.0, betas=None)
    x = torch.rand(4, 53, requires_grad=needs_input_gradient)
    early = layer(x).sum()
    layer(x).square().sum().backward()
    optimizer.step()
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation|call backward\(\) before step\(\)"):
        early.backward()
    layer(x).sum().backward()


def test_a_prior_that_broadcasts():
    latents = []
    for engine in ("numba", "torch"):
        layer = layer_with(sb.Bernoulli(), engine)
        layer.prior_latent = torch.linspace(-1, 1, 79)[:, None].contiguous()
        optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=0.1, rho=0.5, betas=None)
        layer.latent.grad = torch.zeros_like(layer.latent)
        with use_engine(engine):
            optimizer.step()
        latents.append(layer.latent.detach())
    torch.testing.assert_close(*latents)


def test_one_draw_a_step():
    layer = layer_with(sb.Bernoulli(init_scale=0.5), "numba")
    optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=0.1, rho=0.0, betas=None)
    counters, draws = [], []
    for _ in range(3):
        layer.latent.grad = torch.full_like(layer.latent, 1e-3)
        optimizer.step()
        counters.append(layer.draw.counter)
        draws.append(layer.in_force().detach().clone())
        assert torch.equal(layer.in_force(), draws[-1])
    assert [after - before for before, after in pairwise(counters)] == [1, 1]
    assert not torch.equal(draws[0], draws[1])
    # What the kernel has drawn is what seed, counter and latent say.
    layer.draw.forget()
    assert torch.equal(layer.in_force(), draws[-1])


def test_other_weights_in_force_are_left_alone():
    layer = layer_with(sb.Bernoulli(init_scale=0.5), "numba")
    optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=0.1, rho=0.0, betas=None)
    for context in (sampled(layer, "mean"), sampled(layer, "binary")):
        with context:
            layer.latent.grad = torch.full_like(layer.latent, 1e-3)
            optimizer.step()
            layer.in_force()
    layer.eval()
    layer.latent.grad = torch.full_like(layer.latent, 1e-3)
    optimizer.step()
    assert torch.equal(layer.in_force(), torch.where(layer.latent >= 0, 1.0, -1.0))
