"""The gradient estimators against the exact answer: enumeration, quadrature, gradcheck."""

import pytest
import torch
from oracle import TinyNet, assert_mean_is, latents, outputs, probabilities, settings
from torch.func import functional_call, grad, vmap

import snntorch_binary as sb
from snntorch_binary.weights.bernoulli import squared_sech


def loss_of(output, target):
    """A non-linear loss of spikes [..., T, B, C] with targets [B, C], one number per network."""
    return (output.mean(-3) - target).square().sum((-2, -1))


def test_hard_is_one_minus_mu_squared_times_the_mean_weight_gradient():
    net, x = TinyNet(sb.Bernoulli(estimator="hard")), torch.randn(3, 2, dtype=torch.float64)
    target = torch.rand(3, 3, dtype=torch.float64)
    weights, natural = settings(10).requires_grad_(), latents(net)
    loss_of(outputs(net, weights, x), target).sum().backward()
    exact = (1 - natural.tanh() ** 2) * (probabilities(settings(10), natural)[:, None] * weights.grad).sum(0)

    samples = []
    for _ in range(3000):
        sb.resample_(net)
        net.zero_grad()
        loss_of(net(x), target).backward()
        samples.append(torch.cat([net.fc1.latent.grad.flatten(), net.fc2.latent.grad.flatten()]))
    assert_mean_is(torch.stack(samples), exact)


def test_hard_is_unbiased_for_a_multilinear_loss():
    layers = [
        sb.nn.BinaryLinear(3, 2, bias=False, weight=sb.Bernoulli(init_scale=0.6), scale=1.0).double() for _ in "ab"
    ]
    x = torch.randn(3, dtype=torch.float64)

    def loss(first, second):  # each weight enters with degree one
        return ((first @ x) * second.sum(1)).sum() + (first * second).sum()

    natural = [layer.latent.detach().clone().requires_grad_() for layer in layers]
    # E[L(w)] = L(μ), because the weights are independent.
    exact = torch.cat([g.flatten() for g in torch.autograd.grad(loss(*(n.tanh() for n in natural)), natural)])
    samples = []
    for _ in range(4000):
        for layer in layers:
            sb.resample_(layer)
            layer.zero_grad()
        loss(layers[0].weight, layers[1].weight).backward()
        samples.append(torch.cat([layer.latent.grad.flatten() for layer in layers]))
    assert_mean_is(torch.stack(samples), exact)


@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_gumbel_is_the_gradient_of_the_relaxed_objective(tau):
    layer = sb.nn.BinaryLinear(2, 1, bias=False, weight=sb.Bernoulli(tau=tau, estimator="gumbel"), scale=1.0).double()
    natural = torch.tensor([[0.4, -0.9]], dtype=torch.float64)
    x = torch.tensor([[1.0, 0.5]], dtype=torch.float64)

    def objective(w):
        return torch.exp(0.8 * w.sum(-1)) + (w[..., 0] * w[..., 1] - 0.3) ** 2

    def expected_loss(latent):  # midpoint rule over both uniforms
        uniform = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
        delta = 0.5 * torch.log(uniform / (1 - uniform))
        w1, w2 = (torch.tanh((latent[0, i] + delta) / tau) for i in range(2))
        return objective(torch.stack(torch.meshgrid(w1 * x[0, 0], w2 * x[0, 1], indexing="ij"), -1)).mean()

    exact = torch.autograd.functional.jacobian(expected_loss, natural)

    def loss(latent):  # the two outputs of a diagonal input are the two weights
        w = functional_call(layer, {"latent": latent}, (torch.diag(x[0]),))
        return objective(w.squeeze(-1))

    samples = vmap(grad(loss), randomness="different")(natural.expand(40_000, 1, 2))
    assert_mean_is(samples, exact)


@pytest.mark.parametrize("estimator", ["hard", "gumbel"])
def test_frequencies_are_those_of_the_posterior(estimator):
    natural = torch.tensor([-2.0, -0.5, 0.0, 0.3, 1.5])
    layer = sb.nn.BinaryLinear(20_000, 5, weight=sb.Bernoulli(estimator=estimator, tau=0.3), scale=1.0)
    with torch.no_grad():
        layer.latent.copy_(natural[:, None].expand(5, 20_000))
    frequency = (layer.weight > 0).double().mean(1)
    exact = torch.sigmoid(2 * natural.double())
    assert ((frequency - exact).abs() < 4.5 * (exact * (1 - exact) / 20_000).sqrt()).all()


@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_the_relaxed_and_the_binary_sample_of_one_noise_have_one_sign(tau):
    rule = sb.Bernoulli(tau=tau)
    latent, uniform = torch.randn(50_000) * 3, torch.rand(50_000)
    binary, _ = rule.weight_and_derivative(latent, "binary", uniform)
    relaxed, _ = rule.weight_and_derivative(latent, "relaxed", uniform)
    assert set(binary.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(torch.where(relaxed >= 0, 1.0, -1.0), binary)


@pytest.mark.parametrize("natural", [0.5, 2.0])
def test_mean_of_the_factor(natural):
    # papers/bisnn.md 5.2: E[S] = 2 (w_r coth w_r - 1) coth² w_r at τ = 1
    latent = torch.full((1_000_000,), natural, dtype=torch.float64)
    _, slope = sb.Bernoulli().weight_and_derivative(latent, "relaxed", torch.rand(1_000_000, dtype=torch.float64))
    coth = 1 / torch.tanh(torch.tensor(natural, dtype=torch.float64))
    assert_mean_is(slope / squared_sech(latent), 2 * (natural * coth - 1) * coth**2)


def log_cosh(x):
    return x.abs() + torch.log1p(torch.exp(-2 * x.abs())) - torch.log(torch.tensor(2.0, dtype=x.dtype))


@pytest.mark.parametrize("tau", [0.1, 0.3, 1.0])
def test_float32_factor_of_the_relaxed_sample_up_to_thirty(tau):
    latent = torch.cat([torch.linspace(-30, 30, 20_001), torch.tensor([-30.0, 30.0, 0.0])])
    uniform = torch.rand(latent.shape)
    uniform[:3] = torch.tensor([0.0, 1.0, 0.5])
    weight, slope = sb.Bernoulli(tau=tau).weight_and_derivative(latent, "relaxed", uniform)
    factor = slope / squared_sech(latent)
    assert torch.isfinite(weight).all()
    assert torch.isfinite(factor).all()

    wide, u = latent.double(), uniform.clamp(1e-7, 1 - 1e-7).double()
    argument = (wide + 0.5 * (u.log() - torch.log1p(-u))) / tau
    exact = torch.exp(2 * (log_cosh(wide) - log_cosh(argument))) / tau
    # Below 1e-10 a factor moves nothing; the numerator alone may underflow there.
    large = exact > 1e-10
    assert large.sum() > 500
    assert ((factor.double() - exact).abs() < 1e-4 * exact)[large].all()
    assert ((factor.double() - exact).abs()[~large] < 1e-10).all()


def test_float32_factor_of_the_hard_sample_is_one_up_to_thirty():
    latent = torch.linspace(-30, 30, 20_001)
    _, slope = sb.Bernoulli().weight_and_derivative(latent, "binary", torch.rand(latent.shape))
    exact = torch.exp(-2 * log_cosh(latent.double()))
    assert ((slope.double() - exact).abs() < 1e-4 * exact).all()
    assert (slope > 0).all()


@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_gumbel_passes_gradcheck_with_frozen_noise(tau):
    layer = sb.nn.BinaryConv1d(2, 3, 2, weight=sb.Bernoulli(tau=tau, estimator="gumbel")).double()
    x = torch.randn(2, 2, 4, dtype=torch.float64, requires_grad=True)
    latent = torch.randn(layer.latent.shape, dtype=torch.float64, requires_grad=True)

    def run(latent, bias, x):  # a fresh latent each time; the noise is a function of the layer's seed and counter
        return functional_call(layer, {"latent": latent * 1, "bias": bias}, (x,))

    assert torch.autograd.gradcheck(run, (latent, layer.bias.detach().clone().requires_grad_(), x))


def test_hard_hands_the_weight_gradient_to_the_mean(freeze_noise):
    layer = sb.nn.BinaryLinear(6, 4, weight=sb.Bernoulli(), scale="channel")
    with torch.no_grad():
        layer.latent.copy_(torch.randn(4, 6) * 2)
        layer.gain.copy_(torch.rand(4) + 0.5)
    plain = torch.nn.Linear(6, 4)
    plain.load_state_dict({"weight": layer.weight.detach().as_subclass(torch.Tensor), "bias": layer.bias})
    x = torch.randn(7, 6)
    for module in (layer, plain):
        module(x).sigmoid().square().sum().backward()
    scale = (layer.gain.detach() / 6**0.5)[:, None]
    mu = torch.tanh(layer.latent.detach())
    torch.testing.assert_close(layer.latent.grad, (1 - mu**2) * scale * plain.weight.grad)
