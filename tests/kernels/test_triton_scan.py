"""Triton's scans against their plain torch twins: spikes and potentials bit for bit, gradients to 1e-6."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from triton_device import device_or_skip

from snntorch_binary import nn
from snntorch_binary.kernels import engine, use_engine
from snntorch_binary.nn import surrogate

DEVICE = device_or_skip()

SURROGATES = st.sampled_from(
    [surrogate.Boxcar(), surrogate.ArcTan(3.0), surrogate.FastSigmoid(25.0), surrogate.Triangular(1.7, 0.8)]
)
SHAPES = st.tuples(st.integers(1, 7), st.integers(1, 3), st.sampled_from([(1,), (7,), (65,), (2, 3, 5), (130,)]))
OUTPUTS = st.sampled_from(["spikes", "potentials", "both"])


def both(run):
    """What a function returns under either engine, where Triton's kernels have had a part in it."""
    used = []
    original = engine._load
    results = []
    for name in ("triton", "torch"):
        with use_engine(name), pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine, "_load", lambda *kernels: (used.append(kernels), original(*kernels))[1])
            torch.manual_seed(1)
            results.append(run())
    assert ("triton", "scan") in used
    return results


def gradients_of(neuron, x, weights, which):
    """Outputs, and gradients for x and parameters of a random function of spikes, potentials, or both."""
    x, neuron = x.clone().requires_grad_(), neuron.to(x.device)
    outputs = neuron(x)
    chosen = {"spikes": outputs[:1], "potentials": outputs[-1:], "both": (outputs[0], outputs[-1])}[which]
    loss = sum((output * weight).sum() for output, weight in zip(chosen, weights, strict=False))
    return outputs, torch.autograd.grad(loss, [x, *neuron.parameters()])


def assert_same(first, second):
    (outputs, gradients), (twins, twin_gradients) = first, second
    for one, other in zip(outputs, twins, strict=True):
        assert torch.equal(one, other)
    for one, other in zip(gradients, twin_gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def tensors(shape, strided):
    steps, batch, features = shape
    x = torch.randn(steps, 2 * batch if strided else batch, *features, device=DEVICE)
    x = x[:, ::2] if strided else x
    return x, [torch.randn(x.shape, device=DEVICE) for _ in range(2)]


@settings(deadline=None, max_examples=40)
@given(
    shape=SHAPES,
    grad=SURROGATES,
    reset=st.sampled_from(["subtract", "zero", "none"]),
    which=OUTPUTS,
    learn=st.tuples(st.booleans(), st.booleans()),
    each=st.booleans(),
    strided=st.booleans(),
)
def test_leaky(shape, grad, reset, which, learn, each, strided):
    x, weights = tensors(shape, strided)
    beta = torch.rand(shape[2][-1]) if each else 0.9

    def run():
        options = dict(learn_beta=learn[0], learn_threshold=learn[1], reset_mechanism=reset, output=True)
        return gradients_of(nn.Leaky(beta, 0.7, grad, **options), x, weights, which)

    assert_same(*both(run))


@settings(deadline=None, max_examples=10)
@given(shape=SHAPES, grad=SURROGATES, which=OUTPUTS)
def test_soft_reset(shape, grad, which):
    x, weights = tensors(shape, strided=False)
    neuron = nn.SoftReset(0.8, 0.7, grad, output=True)
    assert_same(*both(lambda: gradients_of(neuron, 2 * x, weights, which)))


@settings(deadline=None, max_examples=20)
@given(shape=SHAPES, reset=st.sampled_from(["subtract", "none"]), which=OUTPUTS, learn=st.booleans())
def test_synaptic(shape, reset, which, learn):
    x, weights = tensors(shape, strided=False)

    def run():
        options = dict(learn_alpha=learn, learn_beta=learn, reset_mechanism=reset, output=True)
        return gradients_of(nn.Synaptic(0.8, 0.9, 0.7, **options), x, weights, which)

    assert_same(*both(run))


@settings(deadline=None, max_examples=20)
@given(shape=SHAPES, grad=SURROGATES, detach=st.booleans(), which=OUTPUTS)
def test_srm(shape, grad, detach, which):
    x, weights = tensors(shape, strided=False)
    neuron = nn.SRM(4.0, 2.0, 3.0, threshold=0.5, surrogate=grad, detach=detach, output=True)
    assert_same(*both(lambda: gradients_of(neuron, x, weights, which)))


@settings(deadline=None, max_examples=10)
@given(shape=SHAPES, grad=SURROGATES)
def test_trace_and_refractory(shape, grad):
    x, weights = tensors(shape, strided=False)
    neuron = torch.nn.Sequential(nn.SynapticTrace(4.0, 2.0), nn.Refractory(3.0, 0.3, grad, output=True))
    assert_same(*both(lambda: gradients_of(neuron, x, weights, "both")))


@pytest.mark.parametrize("reset_delay", [True, False])
def test_a_sequence_that_goes_on_from_a_state(reset_delay):
    x, start = torch.randn(5, 2, 9, device=DEVICE), torch.randn(2, 9, device=DEVICE, requires_grad=True)

    def run():
        neuron = nn.Leaky(0.9, 0.5, reset_delay=reset_delay, output=True)
        outputs = neuron.to(DEVICE)(x, start)
        return outputs, torch.autograd.grad(sum(output.sum() for output in outputs), [start])

    if reset_delay:
        assert_same(*both(run))
        return
    with use_engine("triton"):  # goes step by step
        first = run()
    with use_engine("torch"):
        assert_same(first, run())


def test_empty_sequence_and_empty_batch():
    for shape in ((0, 2, 3), (4, 0, 3)):
        x = torch.zeros(shape, device=DEVICE, requires_grad=True)
        with use_engine("triton"):
            spikes, mem = nn.Leaky(0.9, output=True).to(DEVICE)(x)
            assert spikes.shape == mem.shape == shape
            (spikes.sum() + mem.sum()).backward()
        assert x.grad.shape == shape


def test_nan_is_treated_alike():
    x = torch.randn(4, 2, 3, device=DEVICE)
    x[1, 0, 0] = torch.nan
    for neuron in (nn.Leaky(0.9, output=True), nn.Leaky(0.9, spike_grad=surrogate.Boxcar(), output=True), nn.SRM()):
        neuron.to(DEVICE)
        first, second = both(lambda neuron=neuron: neuron(x))
        torch.testing.assert_close(first, second, rtol=0, atol=0, equal_nan=True)
