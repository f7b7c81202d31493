import itertools

import pytest
import snntorch as snn
import torch

from snntorch_binary.kernels.surrogates import ArcTan, Boxcar
from snntorch_binary.nn.neurons.synaptic import Synaptic, SynapticState

T, B, N = 12, 5, 7
RESETS = ("subtract", "zero", "none")


def currents(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.4 + 0.1


def stepped(neuron, x):
    """A neuron of snnTorch, or ours with step=True, over x [T, B, ...]."""
    syn, mem = neuron.init_synaptic()
    steps = []
    for t in range(len(x)):
        s, syn, mem = neuron(x[t], syn, mem)
        steps.append((s, syn, mem))
    return [torch.stack(tensors) for tensors in zip(*steps, strict=True)]


def gradients(neuron, run, x, weights):
    """Outputs, and the gradient of a loss on all of them for the input and every Parameter."""
    x = x.clone().requires_grad_()
    outputs = run(neuron, x)
    named = {"x": x, **dict(neuron.named_parameters())}
    loss = sum((output * weight).sum() for output, weight in zip(outputs, weights, strict=True))
    return outputs, dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))


def assert_same(ours, theirs, tolerance):
    assert all(torch.equal(a, b) for a, b in zip(ours[0], theirs[0], strict=True))
    assert ours[1].keys() == theirs[1].keys()
    for name, gradient in theirs[1].items():
        error = (ours[1][name] - gradient).abs().max() / gradient.abs().max()
        assert error < tolerance, (name, error)


@pytest.mark.parametrize(
    ("reset", "delay", "learn_alpha", "learn_beta", "learn_threshold"),
    list(itertools.product(RESETS, *[(True, False)] * 4)),
)
def test_equals_snntorch(reset, delay, learn_alpha, learn_beta, learn_threshold):
    settings = {
        "alpha": 0.6,
        "beta": 0.83,
        "threshold": 0.9,
        "reset_mechanism": reset,
        "reset_delay": delay,
        "learn_alpha": learn_alpha,
        "learn_beta": learn_beta,
        "learn_threshold": learn_threshold,
    }
    # Weights of one sign, and a seed that leaves a rest: a sum that cancels has no relative precision.
    x, weights = currents(T, B, N), currents(3, T, B, N, seed=5).abs()
    theirs = gradients(snn.Synaptic(**settings), stepped, x, weights)
    ours = gradients(Synaptic(output=True, **settings), Synaptic.__call__, x, weights)
    assert_same(ours, theirs, 1e-6)
    assert 0.1 < ours[0][0].mean() < 0.9


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("surrogate", [ArcTan(), Boxcar()])
def test_the_scan_equals_the_loop_of_steps(reset, surrogate):
    alpha, beta = torch.linspace(0.9, 0.1, N).double(), torch.linspace(0.2, 1.0, N).double()
    neuron = Synaptic(
        alpha, beta, 0.8, surrogate, learn_alpha=True, learn_beta=True, reset_mechanism=reset, output=True
    ).double()
    neuron.syn, neuron.mem = (torch.nn.Parameter(currents(B, N, seed=s).double() * 2) for s in (1, 2))
    x, weights = currents(T, B, N).double(), currents(3, T, B, N, seed=3).double()

    def loop(neuron, x):
        spikes, state = neuron._loop(x, SynapticState(neuron.syn, neuron.mem))
        return spikes, *state

    expected = gradients(neuron, loop, x, weights)
    assert_same(gradients(neuron, lambda n, x: n(x, n.syn, n.mem), x, weights), expected, 1e-12)


@pytest.mark.parametrize("reset", RESETS)
def test_every_form_gives_the_same_bits(reset):
    x = currents(T, B, 2, 3)
    sequence = Synaptic(0.6, 0.9, reset_mechanism=reset, output=True)(x)
    hidden = Synaptic(0.6, 0.9, reset_mechanism=reset, init_hidden=True, output=True)
    hidden_steps = [torch.stack(tensors) for tensors in zip(*(hidden(x_t) for x_t in x), strict=True)]
    for one_step in (stepped(Synaptic(0.6, 0.9, reset_mechanism=reset, step=True), x), hidden_steps):
        assert all(torch.equal(a, b) for a, b in zip(one_step, sequence, strict=True))


def test_one_given_state_leaves_the_other_at_rest():
    x, syn = currents(B, N), currents(B, N, seed=1)
    explicit = Synaptic(0.6, 0.9, step=True)
    assert torch.equal(explicit(x, syn)[2], explicit(x, syn, torch.zeros(B, N))[2])
    with pytest.raises(TypeError, match="init_hidden"):
        Synaptic(0.6, 0.9, init_hidden=True)(x, mem=syn)


def test_checkpoints_go_both_ways():
    theirs = snn.Synaptic(torch.full((N,), 0.6), 0.3, 0.7, learn_alpha=True, reset_mechanism="zero")
    ours = Synaptic(torch.ones(N), 1.0, learn_alpha=True)
    ours.load_state_dict(theirs.state_dict())
    x = currents(T, B, N)
    assert torch.equal(ours(x), stepped(theirs, x)[0])
    theirs.load_state_dict(ours.state_dict())


@pytest.mark.parametrize("reset", RESETS)
def test_vmap_of_the_gradient(reset):
    x, weight = currents(3, T, B, N), currents(T, B, N, seed=1)
    neuron = Synaptic(0.6, 0.9, reset_mechanism=reset)
    gradient = torch.func.grad(lambda x: (neuron(x) * weight).sum())
    together = torch.vmap(gradient)(x)
    for i in range(3):
        torch.testing.assert_close(together[i], gradient(x[i]))


@pytest.mark.parametrize("shape", [(0, 3, 4), (1, 3, 4), (5, 0, 4)])
def test_few_steps_and_empty_batches(shape):
    x = currents(*shape).requires_grad_()
    outputs = Synaptic(0.6, 0.9, learn_alpha=True, output=True)(x)
    sum(output.sum() for output in outputs).backward()
    assert {output.shape for output in outputs} == {x.grad.shape} == {torch.Size(shape)}


def test_refuses_bad_decay():
    with pytest.raises(ValueError, match=r"Expected argument `alpha` to be a decay per time step in \[0, 1\]"):
        Synaptic(-0.1, 0.9)
