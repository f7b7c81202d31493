"""The event-driven product against the dense one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import snntorch_binary as sb
from snntorch_binary.kernels import events, use_engine

pytest.importorskip("numba")


@pytest.fixture(autouse=True)
def small_products_too(monkeypatch):
    monkeypatch.setattr(events, "_LEAST_WORK", 0)
    monkeypatch.setattr(events, "_LEAST_OUTPUTS", 0)


def spikes(*shape, density=0.1, seed=0):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < density).float()


def is_event_driven(x, weight):
    return events._find(x, weight) is not None


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 4), st.sampled_from([1, 7, 8, 9, 64, 131])),
    outputs=st.sampled_from([1, 3, 127, 128, 129, 300]),
    density=st.sampled_from([0.0, 0.02, 0.1, 0.15]),
    seed=st.integers(0, 100),
)
def test_equals_the_dense_product(shape, outputs, density, seed):
    x = spikes(*shape, density=density, seed=seed).requires_grad_()
    weight = torch.where(torch.rand(outputs, shape[-1]) < 0.5, -1.0, 1.0).requires_grad_()
    upstream = torch.randint(-4, 5, (*shape[:-1], outputs)).float()  # integers: every order of a sum is exact
    dense = F.linear(x, weight)
    output = events.spike_linear(x, weight)
    assert torch.equal(output, dense)
    found = torch.autograd.grad(output, (x, weight), upstream)
    for ours, theirs in zip(found, torch.autograd.grad(dense, (x, weight), upstream), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.is_contiguous()


def test_real_weights_differ_by_rounding_only():
    x, weight = spikes(20, 8, 700), torch.randn(90, 700)
    assert is_event_driven(x, weight)
    torch.testing.assert_close(events.spike_linear(x, weight), F.linear(x, weight), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "x",
    [
        spikes(4, 50, density=0.5),
        0.5 * spikes(4, 50),
        -spikes(4, 50),
        torch.full((4, 50), torch.nan),
        spikes(4, 50) * torch.inf,
        spikes(4, 50).double(),
        spikes(50, 4).T,
    ],
    ids=["dense", "graded", "negative", "nan", "inf", "double", "strided"],
)
def test_what_is_left_to_the_dense_product(x):
    assert not is_event_driven(x, torch.ones(6, x.shape[-1], dtype=x.dtype))


def test_a_sequence_that_gets_denser_is_found_out():
    x = torch.cat([spikes(200, 64, density=0.05), spikes(200, 64, density=0.9)])
    assert not is_event_driven(x, torch.ones(6, 64))
    assert torch.equal(events.spike_linear(x, torch.ones(6, 64)), x.sum(1, keepdim=True).expand(-1, 6))


def test_second_derivatives():
    x = spikes(4, 30).requires_grad_()
    weight = torch.randn(5, 30).requires_grad_()

    def second(product):
        (first,) = torch.autograd.grad(product(x, weight).pow(3).sum(), weight, create_graph=True)
        return torch.autograd.grad(first.square().sum(), (x, weight))

    assert is_event_driven(x, weight)
    for ours, theirs in zip(second(events.spike_linear), second(F.linear), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_layers_use_it_and_train_alike():
    x = spikes(6, 3, 200)
    results = []
    for engine in ("numba", "torch"):
        torch.manual_seed(2)
        with use_engine(engine):
            layer = sb.nn.BinaryLinear(200, 60)
            output = layer(x)
            output.square().sum().backward()
        results.append((output.detach(), layer.latent.grad, layer.bias.grad))
    assert is_event_driven(x, torch.ones(60, 200))
    assert torch.equal(results[0][0], results[1][0])
    for ours, theirs in zip(results[0][1:], results[1][1:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_one_example_without_a_batch():
    x, weight = spikes(600).requires_grad_(), torch.randn(50, 600).requires_grad_()
    assert is_event_driven(x, weight)
    found = torch.autograd.grad(events.spike_linear(x, weight).sum(), (x, weight))
    for ours, theirs in zip(found, torch.autograd.grad(F.linear(x, weight).sum(), (x, weight)), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_forward_mode():
    x, weight = spikes(4, 30), torch.randn(5, 30)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(weight, torch.ones_like(weight))
        tangent = torch.autograd.forward_ad.unpack_dual(events.spike_linear(x, dual)).tangent
    torch.testing.assert_close(tangent, x.sum(1, keepdim=True).expand(-1, 5))


def test_functional_transforms_and_autocast():
    x, weight = spikes(4, 30), torch.randn(5, 30)
    batched = torch.func.vmap(lambda one: events.spike_linear(one, weight))(x)
    torch.testing.assert_close(batched, F.linear(x, weight))
    with torch.autocast("cpu", torch.bfloat16):
        assert events.spike_linear(x, weight).dtype == torch.bfloat16
