"""Recurrent leaky neurons in compiled kernels against their loop over time steps."""

import pytest
import snntorch as snn
import torch
from snntorch import surrogate
from torch import nn

import snntorch_binary as sb
from snntorch_binary.graph import recurrence
from snntorch_binary.kernels import use_engine

pytest.importorskip("numba")

T, B, N = 12, 5, 40
LAYERS = {
    "real": lambda: nn.Linear(N, N),
    "st": lambda: sb.nn.BinaryLinear(N, N, weight=sb.Sign(), scale=0.2),
    "bayes, no bias": lambda: sb.nn.BinaryLinear(N, N, bias=False, weight=sb.Bernoulli(), scale=0.2),
    "gains": lambda: sb.nn.BinaryLinear(N, N, scale="channel"),
}


def answers(neurons, x, weights):
    """Spikes, potentials and the gradients of everything."""
    x = x.clone().requires_grad_()
    neurons.zero_grad()
    spikes, mem = neurons(x)
    (spikes * weights[0] + mem * weights[1]).sum().backward()
    return [spikes.detach(), mem.detach(), x.grad, *(each.grad for each in neurons.parameters())]


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
@pytest.mark.parametrize("learned", [True, False], ids=["learned constants", "constants"])
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("shape", [(T, B, N), (T, 2, 3, N)], ids=["batch", "more dimensions"])
def test_equals_the_loop(layer, learned, reset, shape):
    torch.manual_seed(0)
    options = {"learn_beta": learned, "learn_threshold": learned, "reset_mechanism": reset}
    neurons = sb.nn.Recurrent(sb.nn.Leaky(torch.rand(N), torch.rand(N) + 0.5, **options), LAYERS[layer](), output=True)
    x, weights = torch.randn(shape) + 0.2, torch.randn(2, *shape)
    found = answers(neurons, x, weights)
    with use_engine("torch"):
        expected = answers(neurons, x, weights)
    assert 0.05 < found[0].mean() < 0.95
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])
    for ours, theirs in zip(found[2:], expected[2:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * float(theirs.abs().max()))


def test_second_derivatives():
    torch.manual_seed(0)
    neurons = sb.nn.Recurrent(sb.nn.Leaky(0.9, learn_beta=True), nn.Linear(N, N), output=True)
    x = torch.randn(T, B, N).requires_grad_()

    def second():
        (first,) = torch.autograd.grad(neurons(x)[1].square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), [x, *neurons.parameters()])

    found = second()
    with use_engine("torch"):
        for ours, theirs in zip(found, second(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))


class Net(nn.Module):
    def __init__(self, kept, **options):
        super().__init__()
        self.kept, self.fc = kept, nn.Linear(10, N)
        self.lif = snn.RLeaky(
            0.9, linear_features=N, spike_grad=surrogate.fast_sigmoid(), init_hidden=kept, output=True, **options
        )

    def forward(self, x):
        state = self.lif.reset_mem()
        found = []
        for x_t in x:
            state = self.lif(self.fc(x_t)) if self.kept else self.lif(self.fc(x_t), *state)
            found.append(state)
        return tuple(map(torch.stack, zip(*found, strict=True)))


@pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature")
@pytest.mark.parametrize("kept", [True, False], ids=["keeps its state", "is given its state"])
@pytest.mark.parametrize("binary", [True, False], ids=["binary", "real"])
@pytest.mark.parametrize(
    ("options", "scans"),
    [
        ({}, True),
        ({"reset_mechanism": "none", "learn_beta": True, "learn_threshold": True}, True),
        ({"reset_mechanism": "zero"}, False),
        ({"reset_delay": False}, False),
        ({"inhibition": True}, False),
    ],
    ids=["subtract", "none, learned", "zero", "no delay", "inhibition"],
)
def test_fused_networks_use_it(kept, binary, options, scans, monkeypatch):
    torch.manual_seed(0)
    net = Net(kept, **options)
    if binary:
        sb.binarize_(net, sb.Sign())
    x = torch.randn(T, B, 10)
    fused = sb.fuse(net, x[:, :2])
    calls = []
    scan = recurrence.recurrent_leaky_scan
    monkeypatch.setattr(recurrence, "recurrent_leaky_scan", lambda *args: calls.append(1) or scan(*args))
    results = []
    for of in (fused, net):
        net.zero_grad()
        spikes, mem = of(x)
        (spikes.sum(-1).square() + mem.sum(-1)).sum().backward()
        grads = [each.grad.clone() for each in net.parameters() if each.grad is not None]
        results.append([spikes.detach(), mem.detach(), *grads])
    assert bool(calls) == scans
    assert torch.equal(results[0][0], results[1][0])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * float(theirs.abs().max()))


def test_who_looks_on_sees_every_step():
    net, x = Net(False), torch.randn(T, B, 10)
    fused = sb.fuse(net, x[:, :2])
    seen = []
    net.lif.recurrent.register_forward_hook(lambda *_: seen.append(1))
    fused(x)
    assert len(seen) == T


def test_states_that_are_no_spikes():
    layer = sb.nn.BinaryLinear(N, N, scale=0.2)
    how = recurrence.How("subtract", sb.nn.surrogate.ArcTan(2.0), joined=True)
    x, initial = torch.randn(T, B, N), (torch.randn(B, N), torch.randn(B, N))
    constants = (torch.tensor(0.9), torch.tensor(1.0))
    parts = (layer.in_force(), layer._scale(), layer.bias)
    spikes, mem = recurrence.recurrent_leaky_scan(x, initial, parts, constants, how)
    s, u = initial
    with torch.no_grad():
        for t in range(T):
            u = 0.9 * u + (x[t] + layer(s)) - (u > 1).float()
            s = (u > 1).float()
            torch.testing.assert_close(mem[t], u)
            assert torch.equal(spikes[t], s)


@pytest.mark.parametrize("layer", [lambda: nn.Linear(N, 1), lambda: sb.nn.BinaryLinear(N, 1)], ids=["real", "binary"])
def test_one_current_for_all_is_left_to_the_loop(layer):
    neurons = sb.nn.Recurrent(sb.nn.Leaky(0.9), layer(), output=True)
    x, weights = torch.rand(T, B, N), torch.randn(2, T, B, N)
    found = answers(neurons, x, weights)
    with use_engine("torch"):
        expected = answers(neurons, x, weights)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


def test_a_layer_of_another_size_is_refused():
    neurons = sb.nn.Recurrent(sb.nn.Leaky(0.9), sb.nn.BinaryLinear(N, N, bias=False))
    with pytest.raises(ValueError, match="in_features"):
        neurons(torch.ones(T, B, N + 3))


def test_no_examples_have_gradients_of_zero():
    neurons = sb.nn.Recurrent(sb.nn.Leaky(0.9, learn_beta=True, learn_threshold=True), nn.Linear(N, N))
    neurons(torch.zeros(T, 0, N)).sum().backward()
    assert neurons.neuron.beta.grad == neurons.neuron.threshold.grad == 0
