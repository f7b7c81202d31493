"""The product on tensor cores: exact for spikes and ±1 weights, float32 for all other values."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from triton_device import device_or_skip

import snntorch_binary as sb
from snntorch_binary.kernels import engine, use_engine
from snntorch_binary.kernels.product import matrix_product

DEVICE = device_or_skip()


def by_triton(x, weight):
    with use_engine("triton"):
        assert engine.compiled("product", x, weight) is not None
        return matrix_product(x, weight)


def signs(*shape):
    return torch.where(torch.rand(shape, device=DEVICE) < 0.5, -1.0, 1.0)


@settings(deadline=None, max_examples=20)
@given(
    leading=st.lists(st.integers(0, 70), min_size=1, max_size=1) | st.lists(st.integers(1, 4), max_size=3),
    inputs=st.integers(0, 70),
    outputs=st.integers(0, 70),
    density=st.sampled_from([0.05, 0.5, 1.0]),
)
def test_spikes_are_summed_exactly(leading, inputs, outputs, density):
    x = (torch.rand(*leading, inputs, device=DEVICE) < density).float()
    weight = signs(outputs, inputs)
    expected = F.linear(x.double(), weight.double()).float()
    assert torch.equal(by_triton(x, weight), expected)


def test_sums_that_half_precision_does_not_hold():
    x, weight = torch.ones(3, 5003, device=DEVICE), torch.ones(2, 5003, device=DEVICE)
    assert (by_triton(x, weight) == 5003).all()


@pytest.mark.parametrize("real", ["x", "weight"])
def test_other_values_are_not_rounded_to_half_precision(real):
    x, weight = torch.ones(20, 50, device=DEVICE), torch.ones(30, 50, device=DEVICE)
    (x if real == "x" else weight)[-1, -1] = 1 + 2**-20
    assert torch.equal(by_triton(x, weight), F.linear(x.double(), weight.double()).float())
    (x if real == "x" else weight)[0, 0] = torch.nan
    assert torch.equal(by_triton(x, weight).isnan(), F.linear(x, weight).isnan())


def test_a_layer_learns_as_it_does_in_torch():
    results = []
    for name in ("triton", "torch"):
        with use_engine(name):
            torch.manual_seed(0)
            layer = sb.nn.BinaryLinear(33, 20, weight=sb.Sign(), scale="channel").to(DEVICE)
            x = (torch.rand(100, 3, 33) < 0.3).float().to(DEVICE).requires_grad_()
            output = layer(x)
            (to_x,) = torch.autograd.grad(output.square().sum(), x, create_graph=True)
            (output.square().sum() + to_x.square().sum()).backward()
            results.append((output, x.grad, layer.latent.grad, layer.gain.grad, layer.bias.grad))
    assert torch.equal(results[0][0], results[1][0])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
