"""SoftLIF against float64 finite differences, published values, its hard limit and its noise."""

import copy
import math

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from snntorch_binary import nn
from snntorch_binary.kernels import use_engine
from snntorch_binary.kernels.soft_lif import Constants, soft_lif

MNIST = (0.063, 0.002, 0.022, 1.0, 0.02)
CIFAR = (0.063, 0.001, 0.05, 0.825, 0.02)


def published(x, constants):
    """The rate as it is written down, in float64."""
    m, tau_ref, tau_rc, a, gamma = constants
    j = gamma * torch.logaddexp(a * x / gamma, torch.zeros_like(x))
    return m / (tau_ref + tau_rc * torch.log1p(1 / j))


def gradient(neuron, x):
    x = x.clone().requires_grad_()
    (grad,) = torch.autograd.grad(neuron(x).sum(), x)
    return grad


@pytest.mark.slow
@pytest.mark.parametrize(
    ("constants", "values"), [(MNIST, (0.653, 3.652, 10.48, 15.38)), (CIFAR, (0.292, 1.548, 5.315, 9.374))]
)
def test_published_values(constants, values):
    x = torch.tensor([0.0, 1.0, 5.0, 10.0])
    torch.testing.assert_close(nn.SoftLIF(*constants)(x), torch.tensor(values), rtol=0, atol=5.1e-3)
    torch.testing.assert_close(nn.SoftLIF(*constants)(x).double(), published(x.double(), constants), rtol=1e-6, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("constants", [MNIST, CIFAR, (1.0, 0.002, 0.03, 2.0, 0.5)])
def test_gradient_is_that_of_a_finite_difference(constants):
    x = torch.linspace(-50, 50, 20_001, dtype=torch.float64)
    step = 1e-5
    difference = (published(x + step, constants) - published(x - step, constants)) / (2 * step)
    grad = gradient(nn.SoftLIF(*constants), x)
    # Where j underflows in float64 the difference is that of a jump.
    there = (constants[3] * x / constants[4] + math.log(constants[4]) + 708).abs() > 3
    torch.testing.assert_close(grad[there], difference[there], rtol=0, atol=1e-6)
    in_float32 = gradient(nn.SoftLIF(*constants), x.float()).double()
    there = constants[3] * x > -80 * constants[4]
    torch.testing.assert_close(in_float32[there], grad[there], rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize("engine", ["numba", "torch"])
@pytest.mark.parametrize("gamma", [0.02, 1e-4, 3.0, 0.0])
def test_finite_everywhere(engine, gamma):
    if engine == "numba":
        pytest.importorskip("numba")
    large = torch.tensor([1e4, 1e10, 1e30, math.inf])
    x = torch.cat([-large, torch.linspace(-3, 3, 6001), large])
    with use_engine(engine):
        neuron = nn.SoftLIF(gamma=gamma)
        y, grad = neuron(x), gradient(neuron, x)
        assert y.isfinite().all()
        assert grad.isfinite().all()
        assert (y[:4] == 0).all()
        assert (grad[:4] == 0).all()
        assert (y[-3:] <= 0.063 / 0.002).all()
        assert (grad >= 0).all()
        assert neuron(torch.tensor([math.nan])).isnan().all()


def test_naive_gradient_is_not_finite_where_ours_is():
    x = torch.tensor([-5.0, -2.0], requires_grad=True)
    published(x, CIFAR).sum().backward()
    assert not x.grad.isfinite().any()
    assert gradient(nn.SoftLIF(*CIFAR), x.detach()).isfinite().all()


def test_soft_tends_to_hard():
    x = torch.cat([torch.linspace(-2, -0.01, 100), torch.linspace(0.01, 10, 1000)]).double()
    hard = nn.SoftLIF(*MNIST[:4], gamma=0.0)
    expected = torch.where(x > 0, 0.063 / (0.002 + 0.022 * torch.log1p(1 / x.clamp_min(1e-9))), 0)
    torch.testing.assert_close(hard(x), expected)
    gaps = [float((nn.SoftLIF(*MNIST[:4], gamma=gamma)(x) - hard(x)).abs().max()) for gamma in (1e-1, 1e-2, 1e-3)]
    assert gaps[0] > 2 * gaps[1] > 4 * gaps[2] > 0
    assert nn.SoftLIF(*MNIST[:4], gamma=1e-4)(x[x > 0]).sub(hard(x)[x > 0]).abs().max() < 1e-9
    slope = 0.022 * (hard(x) / 0.063) ** 2 / (x * (x + 1)) * 0.063
    torch.testing.assert_close(gradient(hard, x)[x > 0], slope[x > 0])
    assert (gradient(hard, x)[x < 0] == 0).all()


@pytest.mark.parametrize("noise", [0.0, 10.0])
def test_compiled_kernel_is_its_twin(noise):
    pytest.importorskip("numba")
    x = torch.cat([torch.randn(50_000), 10 * torch.randn(10_007)])
    results = {}
    for engine in ("numba", "torch"):
        with use_engine(engine):
            results[engine] = soft_lif(x, Constants(*CIFAR, noise), True, seed=7)
    for ours, twin in zip(results["numba"], results["torch"], strict=True):
        torch.testing.assert_close(ours, twin, rtol=5e-6, atol=5e-6)


@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_noise_is_gaussian_above_the_threshold_and_in_training_only(engine):
    if engine == "numba":
        pytest.importorskip("numba")
    noisy, plain = nn.SoftLIF(*MNIST, noise=10.0), nn.SoftLIF(*MNIST)
    with use_engine(engine):
        below = -torch.rand(1000)
        assert torch.equal(noisy(below), plain(below))
        assert torch.equal(noisy.eval()(-below), plain(-below))
        noisy.train()
        x = torch.full((200_000,), 5.0)
        errors = (noisy(x) - plain(x)).double() / 0.063
        assert abs(float(errors.mean())) < 5 * 10 / 200_000**0.5
        assert float(errors.std()) == pytest.approx(10, rel=0.01)
        assert float((errors.abs() < 10).double().mean()) == pytest.approx(math.erf(0.5**0.5), abs=0.005)
        assert float(((errors / 10) ** 4).mean()) == pytest.approx(3, abs=0.1)
        low = noisy(torch.full((10_000,), 0.01))  # 7 Hz: less than a standard deviation from zero
        assert (low >= 0).all()
        assert (low == 0).any()
        torch.testing.assert_close(gradient(noisy, x), gradient(plain, x))


def test_noise_is_fresh_in_each_call_and_of_torchs_random_numbers():
    neuron, x = nn.SoftLIF(noise=10.0), torch.rand(100) + 1
    torch.manual_seed(0)
    first, second = neuron(x), neuron(x)
    assert not torch.equal(first, second)
    assert not torch.equal(copy.deepcopy(neuron)(x), neuron(x))
    torch.manual_seed(0)
    assert torch.equal(neuron(x), first)
    assert not neuron.state_dict()


def test_activations_computed_again_have_the_same_noise():
    x = torch.rand(4, 16)
    net = torch.nn.Sequential(torch.nn.Linear(16, 30), nn.SoftLIF(noise=10.0), torch.nn.Linear(30, 3))
    gradients = []
    for run in (net, lambda x: checkpoint(net, x, use_reentrant=False)):
        torch.manual_seed(0)
        gradients.append(torch.autograd.grad(run(x).square().sum(), list(net.parameters())))
    assert all(map(torch.equal, *gradients))


@pytest.mark.parametrize("randomness", ["error", "same", "different"])
def test_noise_in_a_transform(randomness):
    neuron, x = nn.SoftLIF(noise=10.0), torch.rand(3, 50) + 1
    noisy = torch.func.vmap(neuron, randomness=randomness)(x)
    assert noisy.shape == x.shape
    assert not torch.isclose(noisy, neuron.eval()(x)).any()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch looks at it, we do not
def test_a_compiled_network_needs_no_graph_for_each_noise():
    torch.compiler.reset()
    net, x = torch.nn.Sequential(torch.nn.Linear(5, 8), nn.SoftLIF(noise=10.0)), torch.rand(3, 5) + 1
    compiled = torch.compile(net, backend="eager")
    seen = [compiled(x) for _ in range(8)]
    assert not torch.equal(seen[0], seen[1])
    with torch._dynamo.config.patch(error_on_recompile=True):
        for _ in range(5):
            compiled(x)


def test_any_shape_stride_and_dtype():
    x = torch.randn(4, 6, 5)[:, ::2].transpose(0, 2)
    torch.testing.assert_close(nn.SoftLIF()(x), nn.SoftLIF()(x.contiguous()))
    assert nn.SoftLIF()(torch.zeros(0, 3)).shape == (0, 3)
    assert nn.SoftLIF()(x.double()).dtype == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        assert nn.SoftLIF()(x.bfloat16()).dtype == torch.float32
    batched = torch.func.vmap(nn.SoftLIF())(x)
    torch.testing.assert_close(batched, nn.SoftLIF()(x), rtol=5e-6, atol=5e-6)


@pytest.mark.parametrize(
    ("constants", "name"),
    [
        ({"amplitude": 0.0}, "amplitude"),
        ({"tau_ref": -1.0}, "tau_ref"),
        ({"tau_rc": 0.0}, "tau_rc"),
        ({"gain": math.inf}, "gain"),
        ({"gamma": -0.1}, "gamma"),
        ({"noise": math.nan}, "noise"),
    ],
)
def test_constants_out_of_range(constants, name):
    with pytest.raises(ValueError, match=f"`{name}` to be a"):
        nn.SoftLIF(**constants)


def test_integers_are_refused():
    with pytest.raises(TypeError, match="floating point"):
        nn.SoftLIF()(torch.arange(3))
