"""DisARM against the exact gradient: over all pairs of draws, and over draws as they come."""

import pytest
import torch
from estimator_table import Problem, disarm_moments, estimator_table
from oracle import assert_mean_is, latent_gradients, probabilities, settings
from torch import nn
from torch.func import functional_call, grad
from torch.utils.checkpoint import checkpoint

import snntorch_binary as sb
from snntorch_binary.weights import disarm_loss

RULE = sb.Bernoulli(estimator="disarm", init_scale=0.5)


def spiking_net():
    """2-2-1 with 6 binary weights and spikes that have no derivative, [T, B, 2] to [T, B, 1]."""
    net = nn.Sequential(
        sb.nn.BinaryLinear(2, 2, weight=RULE),
        sb.nn.Leaky(beta=0.8, threshold=0.6),
        sb.nn.BinaryLinear(2, 1, weight=RULE),
        sb.nn.Leaky(beta=0.8, threshold=0.3),
    ).double()
    with torch.no_grad():
        for layer in (net[0], net[2]):
            layer.latent.copy_(torch.randn(layer.latent.shape, dtype=torch.float64))
    return net


def chance_of(noise, natural):
    """The probability of a pair of draws: with noise 0 or 1 its two weights differ, with ½ both are the mode."""
    differ = torch.sigmoid(-2 * natural.abs())
    return torch.where(noise == 0.5, 1 - 2 * differ, differ).prod()


@pytest.mark.slow
def test_unbiased_for_spikes_without_a_derivative(noises):
    net, x = spiking_net(), 2 * torch.rand(4, 3, 2, dtype=torch.float64)
    layers = (net[0], net[2])
    natural = torch.cat([layer.latent.detach().flatten() for layer in layers])

    def loss():  # also depends on a bias by itself
        return (net(x).mean((0, 2)) - torch.tensor([0.2, 0.9, 0.4])).square().sum() + (net[2].bias ** 2 * net(x)).mean()

    losses, biases = [], []
    with sb.sampled(net, "binary"):
        for _ in noises(net, (0.0, 1.0)):
            value = loss()
            losses.append(value.detach())
            biases.append(torch.autograd.grad(value, net[2].bias)[0])
    at = natural.clone().requires_grad_()
    probability = probabilities(settings(6), at)
    expected_loss = (probability * torch.stack(losses)).sum()
    (exact,) = torch.autograd.grad(expected_loss, at)
    assert exact.abs().min() > 1e-4
    assert len(torch.stack(losses).unique()) > 10

    means = [torch.zeros(shape, dtype=torch.float64) for shape in ((6,), (1,), ())]
    for noise in noises(net, (0.0, 0.5, 1.0)):
        value = disarm_loss(net, loss)
        value.backward()
        for mean, term in zip(means, (latent_gradients(layers), net[2].bias.grad, value.detach()), strict=True):
            mean += chance_of(noise, natural) * term
        net.zero_grad()
    torch.testing.assert_close(means[0], exact)
    torch.testing.assert_close(means[1], (probability.detach()[:, None] * torch.stack(biases)).sum(0))
    torch.testing.assert_close(means[2], expected_loss.detach())


def test_unbiased_for_tied_weights(noises):
    pair = nn.ModuleList(sb.nn.BinaryLinear(2, 1, bias=False, weight=RULE, scale=1.0).double() for _ in "ab")
    pair[1].weight = pair[0].weight
    x = torch.tensor([0.7, -0.4], dtype=torch.float64)

    def loss():
        return torch.exp(pair[0](x) + 0.5 * pair[1](x) * pair[0](2 * x)).sum()

    at = pair[0].latent.detach()[0].clone().requires_grad_()
    losses = torch.stack([loss().detach() for _ in noises(pair, (0.0, 1.0))])
    (exact,) = torch.autograd.grad((probabilities(settings(2), at) * losses).sum(), at)
    mean = torch.zeros(2, dtype=torch.float64)
    for noise in noises(pair, (0.0, 0.5, 1.0)):
        disarm_loss(pair, loss).backward()
        mean += chance_of(noise, at.detach()) * latent_gradients([pair[0]])
    torch.testing.assert_close(mean, exact)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.repeated) for seed in (1, 2))])
def test_mean_and_variance_over_draws_as_they_come(seed):
    problem = Problem(seed)
    layers, samples = (problem.net.fc1, problem.net.fc2), []

    def loss():
        return problem.loss_at(torch.cat([layer.in_force().flatten() for layer in layers]))

    for _ in range(3000):
        sb.resample_(problem.net)
        disarm_loss(problem.net, loss).backward()
        samples.append(latent_gradients(layers))
    samples = torch.stack(samples)
    # 30 comparisons over the seeds: with 4.5 standard errors all hold but once in 5,000 times.
    assert_mean_is(samples, problem.gradient)
    mean, variance = disarm_moments(problem)
    torch.testing.assert_close(mean, problem.gradient)
    torch.testing.assert_close(samples.var(0).mean(), variance.mean(), rtol=0.1, atol=0)


def test_the_table_of_bias_and_variance():
    rows = {(row["estimator"], row["tau"]): row for row in estimator_table((1.0, 0.5, 0.2), draws=50_000)}
    hard, disarm = rows["hard", None], rows["disarm", None]
    gumbel = [rows["gumbel", tau] for tau in (1.0, 0.5, 0.2)]
    assert disarm["bias"] < 1e-12
    biases = [row["bias"] for row in gumbel]
    deviations = [row["standard_deviation"] for row in gumbel]
    assert biases == sorted(biases, reverse=True)
    assert deviations == sorted(deviations)
    assert biases[-1] > 5 * gumbel[-1]["standard_error"]
    assert hard["bias"] > max(biases)
    assert hard["standard_deviation"] < min(deviations)


# ---- as part of a training loop ------------------------------------------------------------------


def small_net():
    return nn.Sequential(sb.nn.BinaryLinear(6, 4, weight=RULE), nn.Tanh(), sb.nn.BinaryLinear(4, 2, weight=RULE))


def gradients(net):
    found = [parameter.grad.clone() for parameter in net.parameters()]
    net.zero_grad()
    return found


def assert_same(first, second):
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # from inside dynamo
@pytest.mark.parametrize(
    "differentiate",
    [
        lambda net, x: net(x).sum().backward(),
        lambda net, x: torch.autograd.grad(net(x).sum(), net[0].latent),
        lambda net, x: grad(lambda p: functional_call(net, p, (x,)).sum())(dict(net.named_parameters())),
        lambda net, x: torch.compile(net, backend="eager", fullgraph=True)(x).sum().backward(),
        lambda net, x: disarm_loss(net, lambda: checkpoint(net, x, use_reentrant=True).sum()).backward(),
    ],
)
def test_a_backward_pass_that_would_give_another_gradient_is_refused(differentiate):
    torch.compiler.reset()
    net = small_net()
    with pytest.raises(RuntimeError, match=r"losses of two draws: call snntorch_binary.weights.disarm_loss"):
        differentiate(net, torch.randn(3, 6, requires_grad=True))


def test_looking_without_a_gradient_needs_no_second_loss():
    net, x = small_net(), torch.randn(3, 6)
    (bias,) = torch.autograd.grad(net(x).sum(), net[0].bias)
    assert bias.abs().sum() > 0
    assert set(net[0].in_force().unique().tolist()) == {-1.0, 1.0}
    for kind in ("mean", "mode", "relaxed"):
        with sb.sampled(net, kind):
            net(x).sum().backward()
    net.eval()(x).sum().backward()


def test_the_draw_in_force_is_one_of_the_pair_and_stays(noises):
    net, x, looks = small_net(), torch.randn(3, 6), []
    before, counter = net[0].in_force().clone(), net[0].draw.counter

    def loss():
        looks.append(net[0].in_force().clone())
        return net(x).square().mean()

    first = disarm_loss(net, loss)
    second = disarm_loss(net.eval(), loss)  # the same pair in evaluation mode
    net.train()
    with sb.sampled(net, "mean"):
        disarm_loss(net, loss)
    assert torch.equal(first, second)
    assert torch.equal(looks[0], before)
    assert not torch.equal(looks[1], before)
    assert torch.equal(looks[3], looks[1])
    assert all((look.abs() == 1).all() for look in looks)
    assert torch.equal(net[0].in_force(), before)
    assert net[0].draw.counter == counter

    def broken():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        disarm_loss(net, broken)
    assert torch.equal(net[0].in_force(), before)


def test_micro_batches_and_scales_are_those_of_any_loss():
    net, x = small_net().double(), torch.randn(12, 6, dtype=torch.float64)
    disarm_loss(net, lambda: net(x).square().sum()).backward()
    whole = gradients(net)
    for part in x.split(4):
        (disarm_loss(net, lambda part=part: net(part).square().sum()) * 8).backward()
    assert_same([value / 8 for value in gradients(net)], whole)


def test_layers_of_other_rules_get_the_mean_of_their_ordinary_gradients():
    net = nn.Sequential(sb.nn.BinaryLinear(6, 4, weight=RULE), nn.Tanh(), sb.nn.BinaryLinear(4, 2))
    x, looks = torch.randn(3, 6), []

    def loss():
        looks.append(torch.autograd.grad(net(x).square().mean(), net[2].latent)[0])
        return net(x).square().mean()

    disarm_loss(net, loss).backward()
    torch.testing.assert_close(net[2].latent.grad, (looks[0] + looks[1]) / 2)
    assert not torch.equal(looks[0], looks[1])


@pytest.mark.slow
def test_compiled_as_eager():
    torch.compiler.reset()
    net, x = small_net(), torch.randn(3, 6)
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    for _ in range(2):
        disarm_loss(net, lambda: net(x).square().mean()).backward()
        eager = gradients(net)
        disarm_loss(net, lambda: compiled(x).square().mean()).backward()
        assert_same(gradients(net), eager)
        sb.resample_(net)


def test_learns_where_a_surrogate_gradient_cannot_look():
    net = sb.nn.BinaryLinear(9, 1, bias=False, weight=RULE, scale=1.0)
    teacher = torch.where(torch.randn(9) > 0, 1.0, -1.0)
    x = torch.where(torch.randn(200, 9) > 0, 1.0, -1.0)
    answers = (x @ teacher > 0).float()
    optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.1, rho=0.0, betas=None)
    for _ in range(300):
        disarm_loss(net, lambda: ((net(x)[:, 0] > 0).float() - answers).abs().mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert torch.equal(net.latent[0].sign(), teacher)


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (
            lambda net: net(torch.ones(6)).sum().item(),
            TypeError,
            "`loss` to be a function that returns a tensor.*float",
        ),
        (lambda net: net(torch.ones(6)), ValueError, r"`loss` to be a function that returns a scalar.*shape \(2,\)"),
    ],
)
def test_bad_losses(loss, error, message):
    net = small_net()
    with pytest.raises(error, match=message):
        disarm_loss(net, lambda: loss(net))


def test_bad_networks():
    for net in (nn.Linear(2, 2), sb.nn.BinaryLinear(2, 2), sb.nn.BinaryLinear(2, 2, weight=sb.Bernoulli())):
        with pytest.raises(ValueError, match=r'`net` to be a network with Bernoulli\(estimator="disarm"\) weights'):
            disarm_loss(net, lambda: torch.zeros(()))
