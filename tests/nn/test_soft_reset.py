"""The neuron of FedSNN: scan, step and a loop as the paper writes it give the same spikes and gradients."""

import copy
import pickle

import pytest
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.kernels import use_engine
from snntorch_binary.kernels.surrogates import ArcTan, FastSigmoid, Triangular
from snntorch_binary.nn import SoftReset

T, B, N = 7, 3, 5
ENGINES = ["numba", "torch"]


def currents(*shape, seed=0):
    return 1.5 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class PublishedSpike(torch.autograd.Function):
    """o = 1[z > 0] with do/dz = 0.3 max(0, 1 - |z|), z = u/theta - 1."""

    @staticmethod
    def forward(ctx, z):
        ctx.save_for_backward(z)
        return (z > 0).to(z.dtype)

    @staticmethod
    def backward(ctx, grad):
        (z,) = ctx.saved_tensors
        return grad * 0.3 * (1 - z.abs()).clamp(min=0)


def published(x, leak=0.95, theta=1.0):
    """The loop of the fact sheet: leak and add, fire, reset at once without a gradient."""
    mem, spikes, potentials = torch.zeros_like(x[0]), [], []
    for x_t in x:
        mem = leak * mem + x_t
        out = PublishedSpike.apply(mem / theta - 1)
        potentials.append(mem)
        mem = mem - theta * out.detach()
        spikes.append(out)
    return torch.stack(spikes), torch.stack(potentials)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shape", [(T, B, N), (T, B, 2, 3, 4), (T, B)])
def test_the_published_equations(engine, shape):
    x, weights = currents(*shape).requires_grad_(), currents(*shape, seed=1)
    with use_engine(engine):
        spikes, mem = SoftReset(output=True)(x)
        (grad,) = torch.autograd.grad((spikes * weights + mem * weights.flip(0)).sum(), x)
    expected, potentials = published(x)
    (expected_grad,) = torch.autograd.grad((expected * weights + potentials * weights.flip(0)).sum(), x)
    assert 0 < spikes.sum() < spikes.numel()
    assert torch.equal(spikes, expected)
    torch.testing.assert_close(mem, potentials)
    torch.testing.assert_close(grad, expected_grad)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("grad", [Triangular(2.0, 0.3), ArcTan(), FastSigmoid(fires_at_threshold=True)])
def test_all_forms_are_one(engine, grad):
    x = currents(T, B, N)
    settings = {"beta": 0.8, "threshold": 0.7, "spike_grad": grad, "output": True}
    with use_engine(engine):
        spikes, mem = SoftReset(**settings)(x)
    looped, states = SoftReset(**settings)._loop(x, None)
    assert torch.equal(spikes, looped)
    assert torch.equal(mem, states.mem)
    hidden, explicit, state = SoftReset(**settings, init_hidden=True), SoftReset(**settings, step=True), None
    for t in range(T):
        kept, potential = hidden(x[t])
        given, state, again = explicit(x[t], state)
        for fired in (kept, given):
            assert torch.equal(fired, spikes[t])
        for membrane in (potential, again, state.mem):
            assert torch.equal(membrane, mem[t])


def test_leaky_subtracts_after_the_leak():
    x = torch.full((4, 1, 1), 1.2)
    soft, leaky = (neuron(x)[1].flatten() for neuron in (SoftReset(0.5, output=True), sb.nn.Leaky(0.5, output=True)))
    assert torch.allclose(soft, torch.tensor([1.2, 1.3, 1.35, 1.375]))
    assert torch.allclose(leaky, torch.tensor([1.2, 0.8, 1.6, 1.0]))


def test_a_gradient_of_ones_own_runs_step_by_step():
    x = currents(T, B, N).requires_grad_()
    spikes = SoftReset(spike_grad=lambda u: PublishedSpike.apply(u))(x)
    (grad,) = torch.autograd.grad(spikes.sum(), x)
    ours = SoftReset()(x)
    assert torch.equal(spikes, ours)
    torch.testing.assert_close(grad, torch.autograd.grad(ours.sum(), x)[0])


@pytest.mark.parametrize("engine", ENGINES)
def test_images_that_lie_channels_last(engine):
    x = currents(T * B, 4, 6, 6).to(memory_format=torch.channels_last).unflatten(0, (T, B)).requires_grad_()
    weights = currents(T, B, 4, 6, 6, seed=1)
    with use_engine(engine):
        spikes, mem = SoftReset(output=True)(x)
        (grad,) = torch.autograd.grad((spikes * weights + mem).sum(), x)
        expected = SoftReset(output=True)(x.contiguous())
        (expected_grad,) = torch.autograd.grad((expected[0] * weights + expected[1]).sum(), x)
    for ours, theirs in zip((spikes, mem), expected, strict=True):
        assert torch.equal(ours, theirs)
    torch.testing.assert_close(grad, expected_grad)
    assert spikes[0].is_contiguous(memory_format=torch.channels_last)


def test_vmap_and_second_derivatives():
    x = currents(2, T, B, N)
    neuron = SoftReset(spike_grad=ArcTan())
    assert torch.equal(torch.vmap(neuron)(x), torch.stack([neuron(part) for part in x]))
    one = currents(4, 1, 2).double().requires_grad_()
    (grad,) = torch.autograd.grad(neuron(one).square().sum(), one, create_graph=True)
    assert torch.autograd.grad(grad.sum(), one)[0].isfinite().all()


@pytest.mark.parametrize("shape", [(0, B, N), (T, 0, N), (T, 0, 2, 3, 3), (0, B, 2, 3, 3)])
def test_empty_sequences_and_batches(shape):
    x = torch.zeros(shape, requires_grad=True)
    spikes, mem = SoftReset(output=True)(x)
    assert spikes.shape == mem.shape == shape
    (spikes.sum() + mem.sum()).backward()


def test_copies_and_the_kept_state():
    neuron = SoftReset(init_hidden=True)
    x = currents(B, N)
    neuron(x)
    for twin in (copy.deepcopy(neuron), pickle.loads(pickle.dumps(neuron))):
        assert torch.equal(twin(x), copy.deepcopy(neuron)(x))
    sb.reset(nn.Sequential(neuron))
    assert torch.equal(neuron(x), SoftReset()(x[None])[0])
    with pytest.raises(TypeError, match="init_hidden"):
        neuron(x, SoftReset.State(x))
    with pytest.raises(TypeError, match="`state` to be None in the time-first form"):
        SoftReset()(x[None], SoftReset.State(x))


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"beta": 1.5}, ValueError, r"`beta` to be a decay per time step in \[0, 1\], but got 1.5."),
        ({"threshold": 0.0}, ValueError, "`threshold` to be a positive float, but got 0.0."),
        ({"spike_grad": 2.0}, TypeError, "`spike_grad` to be a callable"),
    ],
)
def test_refuses_bad_settings(settings, error, sentence):
    with pytest.raises(error, match=sentence):
        SoftReset(**settings)
