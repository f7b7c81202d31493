"""The product of a binary layer against its plain form, event-driven or dense."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import snntorch_binary as sb
from snntorch_binary.kernels import product, use_engine
from snntorch_binary.kernels.events import Events
from snntorch_binary.kernels.product import scaled_linear

pytest.importorskip("numba")


@pytest.fixture(autouse=True)
def small_products_too(monkeypatch):
    for limit in ("_MANY_ROWS", "_LEAST_WORK", "_LEAST_OUTPUTS"):
        monkeypatch.setattr(product, limit, 0)


def spikes(*shape, density=0.1, seed=0):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < density).float()


def is_event_driven(x):
    return Events.of(x) is not None


def linear(x, weight):
    return scaled_linear(x, weight, 1.0, None)


def plain(x, weight, scale, bias):
    product = F.linear(x, weight) * scale
    return product if bias is None else product + bias


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
    output = linear(x, weight)
    assert torch.equal(output, dense)
    found = torch.autograd.grad(output, (x, weight), upstream)
    for ours, theirs in zip(found, torch.autograd.grad(dense, (x, weight), upstream), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.is_contiguous()


def test_real_weights_differ_by_rounding_only():
    x, weight = spikes(20, 8, 700), torch.randn(90, 700)
    assert is_event_driven(x)
    torch.testing.assert_close(linear(x, weight), F.linear(x, weight), rtol=1e-5, atol=1e-5)


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
    assert not is_event_driven(x)


def test_a_sequence_that_gets_denser_is_found_out():
    x = torch.cat([spikes(200, 64, density=0.05), spikes(200, 64, density=0.9)])
    assert not is_event_driven(x)
    assert torch.equal(linear(x, torch.ones(6, 64)), x.sum(1, keepdim=True).expand(-1, 6))


def test_second_derivatives():
    x = spikes(4, 30).requires_grad_()
    weight = torch.randn(5, 30).requires_grad_()

    def second(product):
        (first,) = torch.autograd.grad(product(x, weight).pow(3).sum(), weight, create_graph=True)
        return torch.autograd.grad(first.square().sum(), (x, weight))

    assert is_event_driven(x)
    for ours, theirs in zip(second(linear), second(F.linear), strict=True):
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
    assert is_event_driven(x)
    assert torch.equal(results[0][0], results[1][0])
    for ours, theirs in zip(results[0][1:], results[1][1:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_one_example_without_a_batch():
    x, weight = spikes(600).requires_grad_(), torch.randn(50, 600).requires_grad_()
    assert is_event_driven(x)
    found = torch.autograd.grad(linear(x, weight).sum(), (x, weight))
    for ours, theirs in zip(found, torch.autograd.grad(F.linear(x, weight).sum(), (x, weight)), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_forward_mode():
    x, weight = spikes(4, 30), torch.randn(5, 30)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(weight, torch.ones_like(weight))
        tangent = torch.autograd.forward_ad.unpack_dual(linear(x, dual)).tangent
    torch.testing.assert_close(tangent, x.sum(1, keepdim=True).expand(-1, 5))


def test_functional_transforms_and_autocast():
    x, weight = spikes(4, 30), torch.randn(5, 30)
    batched = torch.func.vmap(lambda one: linear(one, weight))(x)
    torch.testing.assert_close(batched, F.linear(x, weight))
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x, weight).dtype == torch.bfloat16


SCALES = {"number": lambda outputs: 0.125, "of each output": lambda outputs: torch.randn(outputs).requires_grad_()}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("density", [0.1, 0.6], ids=["few spikes", "many"])
def test_scale_and_bias(scale, bias, density):
    x = spikes(5, 4, 30, density=density).requires_grad_()
    weight = torch.randn(7, 30).sign().requires_grad_()
    scale = SCALES[scale](7)
    bias = torch.randn(7).requires_grad_() if bias else None
    output, expected = (form(x, weight, scale, bias) for form in (scaled_linear, plain))
    torch.testing.assert_close(output, expected)
    leaves = [leaf for leaf in (x, weight, scale, bias) if isinstance(leaf, torch.Tensor)]
    upstream = torch.randn_like(output)
    found = torch.autograd.grad(output, leaves, upstream)
    for ours, theirs in zip(found, torch.autograd.grad(expected, leaves, upstream), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_gradients_of_gradients_in_float64():
    torch.manual_seed(0)
    leaves = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((3, 2, 4), (5, 4), (5,), (5,))]
    assert torch.autograd.gradcheck(scaled_linear, leaves)
    assert torch.autograd.gradgradcheck(scaled_linear, leaves)


def test_a_gain_of_zero_still_learns():
    x, weight = spikes(5, 4, 30), torch.randn(7, 30).sign()
    gain = torch.zeros(7, requires_grad=True)
    (found,) = torch.autograd.grad(scaled_linear(x, weight, gain, None).sum(), gain)
    torch.testing.assert_close(found, F.linear(x, weight).sum((0, 1)))


def test_spikes_are_kept_as_a_list():
    kept = []

    def pack(tensor):
        kept.append(tensor.shape)
        return tensor

    x, weight = spikes(50, 4, 30).requires_grad_(), torch.randn(7, 30).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = linear(x, weight)
    assert torch.Size((50, 4, 30)) not in kept
    x.data.zero_()  # what is kept is no view of x
    (found,) = torch.autograd.grad(output.sum(), weight)
    torch.testing.assert_close(found, spikes(50, 4, 30).sum((0, 1)).expand(7, -1))


@pytest.mark.parametrize("shape", [(3, 0, 5), (0, 3, 5), (2, 3, 5)])
def test_list_of_spikes_and_back(shape):
    x = spikes(*shape)
    assert torch.equal(Events.of(x).dense(), x)
