"""The compiled scans against their plain torch twins: spikes, potentials and gradients bit for bit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snntorch_binary import nn
from snntorch_binary.kernels import engine, scan, use_engine
from snntorch_binary.nn import surrogate

pytest.importorskip("numba")

SURROGATES = st.sampled_from(
    [surrogate.Boxcar(), surrogate.ArcTan(), surrogate.FastSigmoid(25.0), surrogate.Triangular(1.7, 0.8)]
)
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 3), st.sampled_from([(1,), (7,), (65,), (2, 3, 5), (1100,)]))


def both(run):
    """What a function returns under either engine, and whether the kernels had a part in it."""
    used = []
    original = engine._load
    results = []
    for name in ("numba", "torch"):
        with use_engine(name), pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine, "_load", lambda *kernels: (used.append(kernels), original(*kernels))[1])
            torch.manual_seed(1)
            results.append(run())
    assert ("compiled", "scan") in used
    return results


def gradients_of(neuron, x, weights, which):
    """Outputs and gradients for x and parameters of a random function of spikes, potentials, or both."""
    x = x.clone().requires_grad_()
    outputs = neuron(x)
    chosen = {"spikes": outputs[:1], "potentials": outputs[-1:], "both": (outputs[0], outputs[-1])}[which]
    loss = sum((output * weight).sum() for output, weight in zip(chosen, weights, strict=False))
    parameters = list(neuron.parameters())
    return [*outputs, *torch.autograd.grad(loss, [x, *parameters])]


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@settings(deadline=None, max_examples=60)
@given(
    shape=SHAPES,
    grad=SURROGATES,
    reset=st.sampled_from(["subtract", "zero", "none"]),
    which=st.sampled_from(["spikes", "potentials", "both"]),
    learn=st.tuples(st.booleans(), st.booleans()),
    each=st.booleans(),
    strided=st.booleans(),
    kind=st.sampled_from(["leaky", "synaptic"]),
)
def test_leaky_and_synaptic(shape, grad, reset, which, learn, each, strided, kind):
    steps, batch, features = shape
    x = torch.randn(steps, batch, *features)
    if strided:
        x = torch.randn(steps, 2 * batch, *features)[:, ::2]
    weights = [torch.randn(steps, batch, *features) for _ in range(2)]
    beta = torch.rand(features[-1]) if each else 0.9

    def run():
        options = dict(learn_beta=learn[0], learn_threshold=learn[1], reset_mechanism=reset, output=True)
        if kind == "leaky":
            return gradients_of(nn.Leaky(beta, 0.7, grad, **options), x, weights, which)
        return gradients_of(nn.Synaptic(0.8, beta, 0.7, grad, learn_alpha=learn[0], **options), x, weights, which)

    if kind == "synaptic" and reset == "zero":
        return  # goes step by step
    assert_same(*both(run))


@settings(deadline=None, max_examples=20)
@given(shape=SHAPES, grad=SURROGATES, which=st.sampled_from(["spikes", "potentials", "both"]))
def test_soft_reset(shape, grad, which):
    steps, batch, features = shape
    x = 2 * torch.randn(steps, batch, *features)
    weights = [torch.randn_like(x) for _ in range(2)]
    neuron = nn.SoftReset(0.8, 0.7, grad, output=True)
    assert_same(*both(lambda: gradients_of(neuron, x, weights, which)))


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(shape=SHAPES, grad=SURROGATES, detach=st.booleans(), which=st.sampled_from(["spikes", "potentials", "both"]))
def test_srm(shape, grad, detach, which):
    steps, batch, features = shape
    x = torch.randn(steps, batch, *features)
    weights = [torch.randn_like(x) for _ in range(2)]
    neuron = nn.SRM(4.0, 2.0, 3.0, threshold=0.5, surrogate=grad, detach=detach, output=True)
    assert_same(*both(lambda: gradients_of(neuron, x, weights, which)))


@settings(deadline=None, max_examples=20)
@given(shape=SHAPES, grad=SURROGATES)
def test_trace_and_refractory(shape, grad):
    steps, batch, features = shape
    x = torch.randn(steps, batch, *features)
    neuron = torch.nn.Sequential(nn.SynapticTrace(4.0, 2.0), nn.Refractory(3.0, 0.3, grad, output=True))
    weights = [torch.randn_like(x) for _ in range(2)]
    assert_same(*both(lambda: gradients_of(neuron, x, weights, "both")))


def test_empty_sequence_and_empty_batch():
    for shape in ((0, 2, 3), (4, 0, 3)):
        x = torch.zeros(shape, requires_grad=True)
        spikes, mem = nn.Leaky(0.9, output=True)(x)
        assert spikes.shape == mem.shape == shape
        (spikes.sum() + mem.sum()).backward()
        assert x.grad.shape == shape


def test_second_derivatives_are_those_of_the_twin():
    def run():
        x = torch.linspace(-1, 2, 24).view(6, 2, 2).requires_grad_()
        spikes = nn.Leaky(0.9, spike_grad=surrogate.ArcTan())(x)
        (grad,) = torch.autograd.grad(spikes.square().sum(), x, create_graph=True)
        return torch.autograd.grad(grad.square().sum(), x)

    assert_same(*both(run))


def test_nan_is_treated_alike():
    x = torch.randn(4, 2, 3)
    x[1, 0, 0] = torch.nan
    for neuron in (nn.Leaky(0.9, output=True), nn.Leaky(0.9, spike_grad=surrogate.Boxcar(), output=True), nn.SRM()):
        first, second = both(lambda neuron=neuron: neuron(x))
        torch.testing.assert_close(first, second, rtol=0, atol=0, equal_nan=True)


def test_of_no_step_at_all_the_first_state_is_the_last():
    state, nothing, beta = torch.rand(2, 3), torch.zeros(0, 2, 3), torch.tensor(0.9)
    *found, last = scan.leaky_scan_and_last(nothing, state, beta, torch.tensor(1.0), "zero", surrogate.ArcTan())
    filtered, after = scan.exponential_filter_and_last(nothing, beta, state)
    assert torch.equal(last, state)
    assert torch.equal(after, state)
    assert all(each.shape == (0, 2, 3) for each in (*found, filtered))


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
@pytest.mark.parametrize("order", ["contiguous", "channels-last"])
@pytest.mark.parametrize("steps", [1, 6])
def test_what_is_the_same_at_every_step_comes_once(reset, order, steps):
    def run(once):
        x = 2 * torch.rand(3, 4, 5, 2, generator=torch.Generator().manual_seed(0))
        if order == "channels-last":
            x = x.contiguous(memory_format=torch.channels_last)
        x.requires_grad_()
        beta, threshold = (torch.full((4, 1, 1), value, requires_grad=True) for value in (0.8, 1.1))
        given = (torch.zeros_like(x), beta, threshold, reset, surrogate.ArcTan())
        if once:
            found = scan.leaky_scan_and_last(x, *given, steps)
        else:
            repeated = torch.stack([x] * steps)
            if order == "channels-last":
                repeated = repeated.movedim(2, -1).contiguous().movedim(-1, 2)
            found = scan.leaky_scan_and_last(repeated, *given)
        weights = torch.randn(found[0].shape, generator=torch.Generator().manual_seed(1))
        loss = (found[0] * weights).sum() + (found[1] * weights).square().sum() + found[2].sum()
        return [*found, *torch.autograd.grad(loss, [x, beta, threshold])]

    expected = run(False)
    for found in both(lambda: run(True)):
        for one, other in zip(found[:3], expected[:3], strict=True):
            assert torch.equal(one, other)
        torch.testing.assert_close(found[3:], expected[3:])
