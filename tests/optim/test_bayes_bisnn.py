"""BayesBiSNN against the published rule, Bayes' rule, and torch's habits."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from oracle import settings
from torch import nn
from weights_alone import backward, weights_alone

import snntorch_binary as sb

VARIANTS = {"plain": {"betas": None}, "momentum": {"momentum": 0.9}, "betas": {"betas": (0.9, 0.99)}}
each_variant = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)


# ---- the published rule, papers/bisnn.md 5.1 ---------------------------------------------------


def published_step(w_r, uniform, gradient, tau, eta, rho, prior, dtype, epsilon):
    """One update of the paper in numpy; the factors as written, or in log-cosh form where epsilon is 0."""
    # numpy's own float32 tanh(10) is not 1.
    tanh = lambda x: np.tanh(x, dtype=np.float64).astype(dtype)  # noqa: E731
    w_r, uniform, gradient = (np.asarray(value, dtype) for value in (w_r, uniform, gradient))
    tau, eta, rho, w_r0 = (dtype(value) for value in (tau, eta, rho, 0.5 * np.log(prior / (1 - prior))))
    delta = dtype(0.5) * np.log(uniform / (dtype(1) - uniform))
    argument = (w_r + delta) / tau
    weight = tanh(argument)
    if epsilon:
        e = dtype(epsilon)
        factor = (dtype(1) - weight * weight + e) / tau / (dtype(1) - tanh(w_r) ** 2 + e)
    else:
        log_cosh = lambda x: np.logaddexp(x, -x) - np.log(2.0)  # noqa: E731
        factor = np.exp(2 * (log_cosh(w_r) - log_cosh(argument))) / tau
    return (dtype(1) - eta * rho) * w_r - eta * (factor * gradient - rho * w_r0)


@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_paper_exact_is_the_published_float32_rule(tau, freeze_noise):
    layer = weights_alone(sb.Bernoulli(tau=tau, prior=0.3, estimator="gumbel"))
    start = torch.rand(32, 64) * 2 - 1
    start[:4] = torch.sign(start[:4]) * 10  # where float32 tanh is ±1 and the 1e-10 alone is left
    with torch.no_grad():
        layer.latent.copy_(start)
    optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=0.01, rho=0.1, paper_exact=True)
    expected = start.numpy()
    for _ in range(4):
        uniform, c = torch.rand(32, 64) * 0.98 + 0.01, torch.randn(32, 64) * 0.01
        # At ±10 only noise of the latent's sign: elsewhere the rule divides the rounding of tanh by 1e-10.
        uniform[:4] = torch.where(start[:4] > 0, uniform[:4].clamp_min(0.5), uniform[:4].clamp_max(0.5))
        freeze_noise(uniform)
        sb.resample_(layer)
        before = layer.latent.detach().clone()
        backward(layer, c)
        optimizer.step()
        optimizer.zero_grad()
        expected = published_step(before.numpy(), uniform.numpy(), c.numpy(), tau, 0.01, 0.1, 0.3, np.float32, 1e-10)
        moved = torch.from_numpy(expected) - before
        torch.testing.assert_close(layer.latent.detach() - before, moved, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("tau", [0.3, 1.0])
def test_the_default_is_the_exact_rule(tau, freeze_noise):
    layer = weights_alone(sb.Bernoulli(tau=tau, prior=0.3, estimator="gumbel")).double()
    uniform, c = torch.rand(32, 64).double() * 0.98 + 0.01, torch.randn(32, 64, dtype=torch.float64)
    start = torch.linspace(-29, 29, 32 * 64, dtype=torch.float64).reshape(32, 64)
    with torch.no_grad():
        layer.latent.copy_(start)
    freeze_noise(uniform)
    sb.resample_(layer)
    optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=0.01, rho=0.1, betas=None)
    backward(layer, c)
    optimizer.step()
    exact = published_step(start, uniform, c, tau, 0.01, 0.1, 0.3, np.float64, 0).clip(-30, 30)
    torch.testing.assert_close(layer.latent.detach(), torch.from_numpy(exact), rtol=1e-9, atol=1e-9)


def test_in_float32_the_default_stays_right_where_the_published_rule_does_not(freeze_noise):
    start = torch.full((32, 64), 12.0)
    uniform, c = torch.rand(32, 64) * 0.98 + 0.01, torch.randn(32, 64)
    exact = published_step(start.double(), uniform.double(), c.double(), 0.5, 0.01, 0.0, 0.5, np.float64, 0)
    errors = []
    for paper_exact in (False, True):
        layer = weights_alone(sb.Bernoulli(tau=0.5, estimator="gumbel"))
        with torch.no_grad():
            layer.latent.copy_(start)
        optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=0.01, rho=0.0, betas=None, paper_exact=paper_exact)
        freeze_noise(uniform)
        sb.resample_(layer)
        backward(layer, c)
        optimizer.step()
        errors.append((layer.latent.detach().double() - torch.from_numpy(exact)).abs().max().item())
    assert errors[0] < 1e-5
    assert errors[1] > 100 * errors[0]


def test_hard_takes_the_weight_gradient_itself():
    layer = weights_alone(sb.Bernoulli())  # |w_r| = 3; G = c at every w_r
    c, before = torch.randn(32, 64), layer.latent.detach().clone()
    optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=0.1, rho=0.0, betas=None)
    backward(layer, c)
    optimizer.step()
    torch.testing.assert_close(layer.latent.detach(), before - 0.1 * c)


def test_the_prior_decays_the_latent_without_a_loss():
    layer = weights_alone(sb.Bernoulli(prior=0.2))
    prior = 0.5 * np.log(0.2 / 0.8)
    optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=0.5, rho=0.1, betas=None)
    distance = layer.latent.detach() - prior
    for step in range(1, 4):
        layer.latent.grad = torch.zeros_like(layer.latent)
        optimizer.step()
        torch.testing.assert_close(layer.latent.detach() - prior, distance * (1 - 0.5 * 0.1) ** step)


# ---- rho = 1/N is Bayes' rule --------------------------------------------------------------------


class LinearLosses:
    """N examples with losses c_i · w. Bayes' rule, p(w) ∝ p_0(w) exp(-Σ c_i · w), has a mean-field answer.

    The free energy per example is c̄ · μ + KL / N; its gradient for μ is c̄ + (w_r - w_r0) / N, zero at
    w_r = w_r0 - N c̄, which is also the exact posterior's natural parameter, for the losses add up.
    """

    def __init__(self, prior=0.3, count=20):
        self.count, self.prior = count, prior
        self.c = torch.randn(count, 4, dtype=torch.float64) * 0.2
        self.optimum = 0.5 * np.log(prior / (1 - prior)) - self.c.sum(0)

    def layer(self):
        rule = sb.Bernoulli(prior=self.prior, init_scale=1.0)
        return sb.nn.BinaryLinear(4, 1, bias=False, weight=rule, scale=1.0).double()

    def loss(self, layer):
        return layer(self.c).mean()


def test_the_claimed_optimum_is_the_exact_posterior():
    problem, weights = LinearLosses(), settings(4)
    prior = torch.where(weights > 0, problem.prior, 1 - problem.prior).prod(1)
    posterior = prior * torch.exp(-(weights @ problem.c.T).sum(1))
    posterior = posterior / posterior.sum()
    probability = ((weights > 0) * posterior[:, None]).sum(0)
    torch.testing.assert_close(torch.sigmoid(2 * problem.optimum), probability)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:In the first 30 steps")  # at the optimum both pull alike, and it is soon there
@each_variant
def test_rho_of_one_over_n_is_bayes_rule(variant):
    problem = LinearLosses()
    layer = problem.layer()
    lr = 5.0 if variant.get("betas", 0) is None else {"betas": 0.1, "momentum": 1.0}[next(iter(variant))]
    optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=lr, rho=1 / problem.count, **variant)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 500)
    for _ in range(500):
        problem.loss(layer).backward()
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
    torch.testing.assert_close(layer.latent.detach()[0], problem.optimum, rtol=0, atol=1e-3)


@pytest.mark.slow
def test_ordinary_sgd_with_the_kl_term_has_the_same_stationary_point():
    problem = LinearLosses()
    layer = problem.layer()
    optimizer = torch.optim.SGD(layer.parameters(), lr=10.0)
    for _ in range(800):
        optimizer.zero_grad()
        (problem.loss(layer) + sb.kl_divergence(layer) / problem.count).backward()
        optimizer.step()
    torch.testing.assert_close(layer.latent.detach()[0], problem.optimum, rtol=0, atol=1e-4)
    # ... and there the Bayesian step does not move.
    optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=5.0, rho=1 / problem.count, betas=None)
    optimizer.zero_grad()
    problem.loss(layer).backward()
    before = layer.latent.detach().clone()
    optimizer.step()
    torch.testing.assert_close(layer.latent.detach(), before, rtol=0, atol=1e-4)


# ---- step directions against a plain form --------------------------------------------------------


def test_momentum_and_betas_against_torchs_own():
    # With hard weights and rho = 0 the natural gradient is c: the latent moves as SGD's or Adam's parameter.
    for variant, reference in (
        ({"momentum": 0.9}, lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9)),
        ({"betas": (0.8, 0.95)}, lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.8, 0.95))),
    ):
        layer = weights_alone(sb.Bernoulli())
        parameter = nn.Parameter(layer.latent.detach().clone())
        optimizer, theirs = (
            sb.optim.BayesBiSNN(layer.parameters(), lr=0.01, rho=0.0, **variant),
            reference([parameter]),
        )
        for _ in range(5):
            c = torch.randn(32, 64)
            backward(layer, c)
            parameter.grad = c
            optimizer.step()
            theirs.step()
            optimizer.zero_grad()
        torch.testing.assert_close(layer.latent.detach(), parameter.detach())


def test_the_default_is_adam_normalised_unless_something_else_is_said():
    def groups(**arguments):
        layer = weights_alone(sb.Bernoulli())
        return sb.optim.BayesBiSNN(layer.parameters(), lr=0.01, rho=0.0, **arguments).param_groups[0]

    assert groups()["betas"] == (0.9, 0.999)
    for arguments in ({"momentum": 0.5}, {"paper_exact": True}, {"betas": None}):
        assert groups(**arguments)["betas"] is None


def test_the_other_parameters_follow_adam():
    net = nn.Sequential(sb.nn.BinaryLinear(4, 3, weight=sb.Bernoulli(), scale="channel"), sb.nn.BinaryLinear(3, 2))
    twin = copy.deepcopy(net)
    others = [net[0].gain, net[0].bias, net[1].latent, net[1].bias]
    optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.5, rho=0.1, base_lr=0.02, betas=None)
    adam = torch.optim.Adam([twin[0].gain, twin[0].bias, twin[1].latent, twin[1].bias], lr=0.02)
    for _ in range(4):
        for parameter, twin_parameter in zip(others, adam.param_groups[0]["params"], strict=True):
            parameter.grad = twin_parameter.grad = torch.randn(parameter.shape)
        optimizer.step()
        adam.step()
    for parameter, expected in zip(others, adam.param_groups[0]["params"], strict=True):
        torch.testing.assert_close(parameter, expected, rtol=0, atol=0)
    assert torch.equal(net[0].latent, twin[0].latent)  # it had no gradient


def test_latents_stay_within_thirty_and_clip_bounds_the_gradient():
    layer = weights_alone(sb.Bernoulli(init_scale=30.0))
    before = layer.latent.detach().clone()
    optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=1.0, rho=0.0, betas=None)
    backward(layer, -before.sign() * 5)
    optimizer.step()
    assert torch.equal(layer.latent, before)
    optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=1.0, rho=0.0, clip=0.5, betas=None)
    optimizer.zero_grad()
    backward(layer, before.sign() * 5)
    optimizer.step()
    torch.testing.assert_close(layer.latent.detach(), before - 0.5 * before.sign())


# ---- torch's habits ----------------------------------------------------------------------------


def make_net():
    rule = sb.Bernoulli(init_scale=0.7)
    return nn.Sequential(
        sb.nn.BinaryLinear(6, 10, weight=rule, scale="channel"),
        nn.Tanh(),
        sb.nn.BinaryLinear(10, 3, weight=rule),
        sb.nn.BinaryLinear(3, 3, weight=sb.Sign()),
    )


def train(net, optimizer, batches):
    for x in batches:
        net(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def assert_equal_bit_for_bit(first, second):
    first, second = first.state_dict(), second.state_dict()
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def from_disk(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@each_variant
def test_resume_is_bit_exact(variant):
    batches = torch.randn(10, 5, 6)
    net = make_net()
    optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.1, rho=0.01, **variant)
    train(net, optimizer, batches[:5])
    saved = from_disk(net.state_dict()), from_disk(optimizer.state_dict())
    train(net, optimizer, batches[5:])

    torch.manual_seed(99)
    other = make_net()
    resumed = sb.optim.BayesBiSNN(other.parameters(), lr=1.0, rho=0.5, **variant)
    other.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    train(other, resumed, batches[5:])
    assert_equal_bit_for_bit(net, other)


def test_resume_with_any_torch_optimizer_is_bit_exact():
    batches = torch.randn(10, 5, 6)
    net = make_net()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    train(net, optimizer, batches[:5])
    saved = from_disk(net.state_dict()), from_disk(optimizer.state_dict())
    train(net, optimizer, batches[5:])
    other = make_net()
    resumed = torch.optim.Adam(other.parameters(), lr=0.1)
    other.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    train(other, resumed, batches[5:])
    assert_equal_bit_for_bit(net, other)


def test_a_scheduler_moves_latents_and_the_rest():
    net = make_net()
    optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.4, rho=0.0, base_lr=0.02, betas=None)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    train(net, optimizer, torch.randn(1, 5, 6))
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.01]
    layer = net[0]
    before = layer.latent.detach().clone()
    layer.latent.grad = (1 - torch.tanh(before) ** 2) * 1.5
    optimizer.step()
    torch.testing.assert_close(before - layer.latent.detach(), torch.full((10, 6), 0.2 * 1.5))


def test_grad_scaler():
    net, twin = make_net(), make_net()
    twin.load_state_dict(net.state_dict())
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    batches = torch.randn(4, 5, 6)
    optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.1, rho=0.01, betas=None)
    for x in batches:
        scaler.scale(net(x).square().mean()).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    train(twin, sb.optim.BayesBiSNN(twin.parameters(), lr=0.1, rho=0.01, betas=None), batches)
    for parameter, expected in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(parameter, expected)

    before, counter = copy.deepcopy(net.state_dict()), net[0].draw.counter
    scaler.scale(net(batches[0]).square().mean() * float("inf")).backward()
    scaler.step(optimizer)  # skipped: the gradient is infinite
    scaler.update()
    assert net[0].draw.counter == counter
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_closure_and_a_pickled_optimizer():
    net = make_net()
    optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.1, rho=0.01, momentum=0.5)

    def closure():
        optimizer.zero_grad()
        loss = net(torch.ones(5, 6)).square().mean()
        loss.backward()
        return loss

    assert float(optimizer.step(closure).detach()) > 0
    net, optimizer = pickle.loads(pickle.dumps((net, optimizer)))
    before = net[0].latent.detach().clone()
    train(net, optimizer, torch.randn(1, 5, 6))
    assert not torch.equal(net[0].latent, before)


def test_parameter_groups_of_the_user():
    net = make_net()
    optimizer = sb.optim.BayesBiSNN(
        [
            {"params": net[0].parameters(), "lr": 0.3, "rho": 0.2},
            {"params": [net[2].latent], "betas": (0.9, 0.9)},
            {"params": [net[2].bias], "lr": 1e-4},
            {"params": net[3].parameters(), "base_lr": 1e-2},
        ],
        lr=1.0,
        rho=0.1,
        momentum=0.8,
    )
    got = [
        (g["bayesian"], g["lr"], g["rho"], g["betas"], g["momentum"], len(g["params"])) for g in optimizer.param_groups
    ]
    assert got == [
        (True, 0.3, 0.2, None, 0.8, 1),
        (False, 1e-3, 0.2, (0.9, 0.999), 0.8, 2),
        (True, 1.0, 0.1, (0.9, 0.9), 0.0, 1),
        (False, 1e-4, 0.1, (0.9, 0.999), 0.8, 1),
        (False, 1e-2, 0.1, (0.9, 0.999), 0.8, 2),
    ]
    train(net, optimizer, torch.randn(2, 5, 6))
    with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
        optimizer.add_param_group({"params": [net[0].latent]})


def test_named_parameters():
    net = make_net()
    optimizer = sb.optim.BayesBiSNN(net.named_parameters(), lr=1.0, rho=0.1, betas=None)
    assert optimizer.param_groups[0]["param_names"] == ["0.weight", "2.weight"]
    assert optimizer.param_groups[1]["param_names"] == ["0.bias", "0.gain", "2.bias", "3.weight", "3.bias"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr": 0.0}, r"Expected argument `lr` to be a positive float, but got 0.0\."),
        ({"lr": float("nan")}, "`lr`"),
        ({"rho": -1e-9}, "`rho` to be a float of at least 0"),
        ({"momentum": 1.0}, "`momentum`"),
        ({"betas": (0.9, 1.0)}, "`betas`"),
        ({"betas": (0.9,)}, "`betas`"),
        ({"betas": 0.9}, "`betas`"),
        ({"betas": (0.9, 0.9), "momentum": 0.9}, "`momentum` to be 0 where `betas` are given"),
        ({"base_lr": -1.0}, "`base_lr`"),
        ({"clip": 0.0}, "`clip`"),
        ({"limit": 0.0}, "`limit`"),
        ({"limit": 31.0}, "`limit`"),
        ({"paper_exact": True, "limit": 5.0}, "`paper_exact`"),
        ({"paper_exact": True, "momentum": 0.9}, "`paper_exact`"),
        ({"paper_exact": True, "clip": 1.0}, "`paper_exact`"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        sb.optim.BayesBiSNN(make_net().parameters(), **{"lr": 0.1, "rho": 0.0, **arguments})


def test_a_latent_whose_layer_is_gone():
    net = make_net()
    optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.1, rho=0.0, betas=None)
    net(torch.randn(5, 6)).sum().backward()
    sb.unbinarize_(net)
    with pytest.raises(RuntimeError, match="belongs to no binary layer any more"):
        optimizer.step()


def test_an_optimizer_made_before_the_network_was_binary():
    net = nn.Sequential(nn.Linear(3, 2))
    with pytest.warns(UserWarning, match="Adam trains all of them at base_lr"):
        optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.1, rho=0.0, betas=None)
    sb.binarize_(net, sb.Bernoulli())
    net(torch.ones(1, 3)).sum().backward()
    with pytest.raises(RuntimeError, match=r"has become a latent .* make the optimizer after binarize_\."):
        optimizer.step()
