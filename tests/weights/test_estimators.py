"""The gradient estimators against the exact answer: enumeration, quadrature, gradcheck."""

import math

import pytest
import torch
from estimator_table import loss_of
from oracle import TinyNet, assert_mean_is, latent_gradients, latents, outputs, probabilities
from torch.func import functional_call, grad, vmap

import snntorch_binary as sb
from snntorch_binary.weights.bernoulli import squared_sech

# ---- hard ----------------------------------------------------------------------------------------


def test_hard_is_one_minus_mu_squared_times_the_weight_gradient_at_every_draw():
    net, x = TinyNet(sb.Bernoulli(estimator="hard")), torch.randn(3, 2, dtype=torch.float64)
    target, layers = torch.rand(3, 3, dtype=torch.float64), (net.fc1, net.fc2)
    seen = set()
    for _ in range(20):
        sb.resample_(net)
        loss_of(net(x), target).backward()
        weights = torch.cat([layer.in_force().detach().flatten() for layer in layers])[None].requires_grad_()
        loss_of(outputs(net, weights, x), target).sum().backward()
        torch.testing.assert_close(latent_gradients(layers), (1 - latents(net).tanh() ** 2) * weights.grad[0])
        seen.add(tuple(weights[0].tolist()))
    assert len(seen) > 10


def test_hard_is_unbiased_for_a_loss_that_is_affine_in_each_weight(noises):
    layers = torch.nn.ModuleList(
        sb.nn.BinaryLinear(2, size, bias=False, weight=sb.Bernoulli(), scale=1.0).double() for size in (2, 1)
    )
    x = torch.randn(2, dtype=torch.float64)

    def loss(first, second):
        return ((first @ x) * second).sum() + (first * second).sum() + second.prod()

    natural = [torch.randn(layer.latent.shape, dtype=torch.float64, requires_grad=True) for layer in layers]
    # E[L(w)] = L(μ), because the weights are independent.
    exact = torch.cat([g.flatten() for g in torch.autograd.grad(loss(*(n.tanh() for n in natural)), natural)])
    with torch.no_grad():
        for layer, value in zip(layers, natural, strict=True):
            layer.latent.copy_(value)
    natural = torch.cat([value.detach().flatten() for value in natural])
    mean = torch.zeros(6, dtype=torch.float64)
    for noise in noises(layers, (0.0, 1.0)):
        loss(layers[0].in_force(), layers[1].in_force()).backward()
        mean += probabilities(2 * noise - 1, natural) * latent_gradients(layers)
    torch.testing.assert_close(mean, exact)


def test_hard_has_a_bias_for_a_quadratic_loss_that_nothing_removes(noises):
    layer = sb.nn.BinaryLinear(1, 1, bias=False, weight=sb.Bernoulli(), scale=1.0).double()
    with torch.no_grad():
        layer.latent.fill_(0.6)
    mu, mean = torch.tanh(layer.latent.detach()), 0.0
    for noise in noises(layer, (0.0, 1.0)):
        layer.in_force().square().sum().backward()  # w² = 1: the exact gradient is zero
        mean += probabilities(2 * noise - 1, layer.latent.detach()[0]) * latent_gradients([layer])
    torch.testing.assert_close(mean, (2 * mu * (1 - mu**2))[0])


# ---- gumbel --------------------------------------------------------------------------------------


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
        w = functional_call(layer, {"weight": latent}, (torch.diag(x[0]),))
        return objective(w.squeeze(-1))

    samples = vmap(grad(loss), randomness="different")(natural.expand(40_000, 1, 2))
    assert_mean_is(samples, exact)


def relaxed(latent, tau, count):
    """Relaxed weights and dw/dw_r of one latent at the middles of ``count`` equal parts of (0, 1)."""
    uniform = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    rule = sb.Bernoulli(tau=tau, estimator="gumbel")
    return rule.weight_and_derivative(torch.full_like(uniform, latent), "relaxed", uniform)


def derivative(function, *arguments, at=0):
    arguments = [value.detach().clone().requires_grad_() for value in arguments]
    return torch.autograd.grad(function(*arguments).sum(), arguments[at])[0]


def interior(function, power=0):
    """∫ yᵏ [L(tanh y) - L(sign y)] dy: what a weight adds to the loss on its way from -1 to +1."""
    y = torch.linspace(-20, 20, 40_000, dtype=torch.float64)  # no point at zero
    return torch.trapezoid(y**power * (function(torch.tanh(y)) - function(torch.sign(y))), y)


def curved(w):
    return torch.exp(0.8 * w) + (w - 0.3) ** 4


@pytest.mark.parametrize(("loss", "first_is_zero"), [(curved, False), (lambda w: 1.7 * w, True)])
@pytest.mark.parametrize("latent", [-0.7, 0.3, 1.5])
def test_the_bias_of_gumbel_falls_with_the_temperature_as_derived(latent, loss, first_is_zero):
    # With x = w_r + δ, whose density is p(x) = ½ sech²(x - w_r), the relaxed objective is off by
    # E[L(tanh(x/τ)) - L(sign x)] = τ ∫ p(τy) [L(tanh y) - L(sign y)] dy = τ p(0) A_0 + τ² p'(0) A_1 + O(τ³),
    # whose derivative for w_r is the bias. A_0 is zero where L is odd; A_1 = -π²/12 for L(w) = w.
    mu = math.tanh(latent)
    plus, minus = loss(torch.tensor([1.0, -1.0], dtype=torch.float64))
    exact = 0.5 * (1 - mu**2) * (plus - minus)
    first = -mu * (1 - mu**2) * interior(loss)
    second = (1 - mu**2) * (1 - 3 * mu**2) * interior(loss, power=1)
    temperatures = torch.tensor([0.4, 0.2, 0.1, 0.05], dtype=torch.float64)
    biases = []
    for tau in temperatures.tolist():
        weight, slope = relaxed(latent, tau, 200_000)
        biases.append((derivative(loss, weight) * slope).mean() - exact)
    biases = torch.stack(biases)
    assert (biases.abs().diff() < 0).all()
    assert (abs(float(first)) < 1e-9) == first_is_zero
    rest = (biases - first * temperatures - second * temperatures**2).abs()
    assert (rest[1:] < 0.3 * rest[:-1]).all()  # of order τ³ or less
    assert rest[-1] < 0.05 * biases[-1].abs()


def test_the_bias_of_gumbel_with_two_weights():
    # Each weight adds τ p(0) E[A] with the other one at ±1, where the other's probability depends on its own latent.
    def loss(first, second):
        return torch.exp(0.5 * (first + second)) + (first * second - 0.4 * second - 0.3) ** 2

    natural = torch.tensor([0.4, -0.9], dtype=torch.float64, requires_grad=True)
    ends = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    chance = torch.sigmoid(2 * ends * natural[:, None])
    density = 0.5 * squared_sech(natural)
    expected_loss = (chance[0][:, None] * chance[1] * loss(ends[:, None], ends)).sum()
    first_order = density[0] * sum(
        p * interior(lambda w, e=e: loss(w, e)) for p, e in zip(chance[1], ends, strict=True)
    )
    first_order = first_order + density[1] * sum(
        p * interior(lambda w, e=e: loss(e, w)) for p, e in zip(chance[0], ends, strict=True)
    )
    (exact,) = torch.autograd.grad(expected_loss, natural, retain_graph=True)
    (law,) = torch.autograd.grad(first_order, natural)

    distance = []
    for tau in (0.2, 0.1, 0.05):
        (w1, slope1), (w2, slope2) = (relaxed(value, tau, 800) for value in natural.tolist())
        w1, w2 = torch.meshgrid(w1, w2, indexing="ij")
        mean = torch.stack(
            [
                (derivative(loss, w1, w2) * slope1[:, None]).mean(),
                (derivative(loss, w1, w2, at=1) * slope2).mean(),
            ]
        )
        distance.append(((mean - exact) / tau - law).abs().max())
    assert distance[1] < 0.65 * distance[0]
    assert distance[2] < 0.65 * distance[1]
    assert distance[2] < 0.05 * law.abs().max()


@pytest.mark.parametrize("latent", [-0.7, 0.3, 1.5])
def test_the_variance_of_gumbel_grows_as_one_over_the_temperature(latent):
    # τ E[g²] → p(0) ∫ L'(tanh y)² sech⁴ y dy = ½ sech² w_r ∫ L'(w)² (1 - w²) dw over [-1, 1]
    w = torch.linspace(-1, 1, 10_001, dtype=torch.float64)
    constant = 0.5 * (1 - math.tanh(latent) ** 2) * torch.trapezoid(derivative(curved, w) ** 2 * (1 - w**2), w)
    variances = []
    for tau in (0.4, 0.2, 0.1, 0.05, 0.025):
        weight, slope = relaxed(latent, tau, 200_000)
        variances.append((derivative(curved, weight) * slope).var())
    assert (torch.stack(variances).diff() > 0).all()
    assert abs(0.025 * variances[-1] / constant - 1) < 0.06


# ---- the samples and their factors ---------------------------------------------------------------


@pytest.mark.parametrize("estimator", ["hard", "gumbel", "disarm"])
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
    uniform[:3] = torch.tensor([2.0**-24, 1 - 2.0**-24, 0.5])  # the outermost that the noise can be
    weight, slope = sb.Bernoulli(tau=tau).weight_and_derivative(latent, "relaxed", uniform)
    factor = slope / squared_sech(latent)
    assert torch.isfinite(weight).all()
    assert torch.isfinite(factor).all()

    wide, u = latent.double(), uniform.clamp(2.0**-24, 1 - 2.0**-24).double()
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
        return functional_call(layer, {"weight": latent * 1, "bias": bias}, (x,))

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
