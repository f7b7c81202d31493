import pickle

import pytest
import torch
from snntorch import surrogate as reference

from snntorch_binary.kernels.surrogates import ArcTan, Boxcar, FastSigmoid, Triangular, get

ALL = [Boxcar(), ArcTan(), FastSigmoid(), Triangular()]
by_name = pytest.mark.parametrize("surrogate", ALL, ids=lambda s: type(s).__name__)


def spikes_and_gradient(surrogate, u, weight):
    u = u.clone().requires_grad_()
    spikes = surrogate(u)
    spikes.backward(weight.to(spikes.dtype))
    return spikes.detach(), u.grad


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ArcTan(2.0), reference.atan(2.0)),
        (ArcTan(0.7), reference.atan(0.7)),
        (FastSigmoid(25.0), reference.fast_sigmoid(25)),
        (FastSigmoid(3.0), reference.fast_sigmoid(3)),
    ],
)
def test_equals_snntorch(ours, theirs):
    u = torch.cat([torch.randn(1000) * 2, torch.zeros(1)])
    weight = torch.randn_like(u)
    spikes, gradient = spikes_and_gradient(ours, u, weight)
    expected_spikes, expected_gradient = spikes_and_gradient(theirs, u, weight)
    assert torch.equal(spikes, expected_spikes)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-6, atol=0)


def test_boxcar_passes_the_gradient_of_bisnn():
    u = torch.tensor([-0.6, -0.5, -0.4, 0.0, 0.5, 0.6])
    assert Boxcar().derivative(u).tolist() == [0, 0, 1, 1, 1, 0]
    assert Boxcar(width=1.1, height=2.0).derivative(u).tolist() == [0, 2, 2, 2, 2, 0]


def test_triangle_falls_to_zero_at_half_its_width():
    u = torch.tensor([-2.0, -1.0, -0.5, 0.0, 1.0, 1.5])
    torch.testing.assert_close(
        Triangular(width=3.0, height=0.6).derivative(u), torch.tensor([0.0, 0.2, 0.4, 0.6, 0.2, 0.0])
    )


@by_name
def test_the_side_of_a_tie_is_said(surrogate):
    tie = torch.zeros(1)
    assert surrogate(tie).item() == float(isinstance(surrogate, Boxcar))
    for fires in (True, False):
        assert type(surrogate)(fires_at_threshold=fires)(tie).item() == float(fires)


@by_name
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_keeps_dtype_and_its_derivative_twin_is_the_gradient(surrogate, dtype):
    u = torch.linspace(-2, 2, 41, dtype=dtype)
    spikes, gradient = spikes_and_gradient(surrogate, u, torch.ones_like(u))
    assert spikes.dtype == gradient.dtype == dtype
    assert torch.equal(gradient, surrogate.derivative(u))
    assert torch.equal(spikes, surrogate.fire(u))
    assert set(spikes.tolist()) == {0.0, 1.0}


@by_name
def test_fire_leaves_its_argument_alone(surrogate):
    u = torch.randn(5, requires_grad=True)
    before = u.detach().clone()
    assert not surrogate.fire(u).requires_grad
    assert torch.equal(u, before)


@by_name
def test_vmap_of_the_gradient(surrogate):
    u = torch.randn(6, 3)
    gradients = torch.vmap(torch.func.grad(lambda v: surrogate(v).sum()))(u)
    assert torch.equal(gradients, surrogate.derivative(u))


@by_name
def test_pickles_and_compares_by_value(surrogate):
    assert pickle.loads(pickle.dumps(surrogate)) == surrogate


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # from inside dynamo
def test_compiles_without_a_graph_break():
    surrogate = ArcTan()
    u = torch.randn(7, requires_grad=True)
    compiled = torch.compile(lambda v: surrogate(v * 2).sum(), fullgraph=True, backend="aot_eager")
    (gradient,) = torch.autograd.grad(compiled(u), u)
    torch.testing.assert_close(gradient, 2 * surrogate.derivative(2 * u.detach()))


def test_get_by_name():
    assert get("fast_sigmoid", slope=5.0, fires_at_threshold=True) == FastSigmoid(5.0, fires_at_threshold=True)
    with pytest.raises(ValueError, match="Expected argument `name` to be one of arctan, boxcar"):
        get("relu")


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_refuses_parameters_out_of_range(bad):
    with pytest.raises(ValueError, match="Expected argument `height` to be a positive float"):
        Boxcar(height=bad)


def test_refuses_integers():
    with pytest.raises(TypeError, match="Expected argument `u` to be a floating point tensor"):
        Boxcar()(torch.ones(3, dtype=torch.long))
