import copy
import math
import pickle

import pytest
import torch

from snntorch_binary.kernels.surrogates import ArcTan, Boxcar, FastSigmoid
from snntorch_binary.nn.neurons.srm import SRM

T, B, N = 15, 4, 6


def currents(*shape, seed=0):
    # Small enough for the potential to stay near the threshold, where the surrogate passes a gradient.
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 0.1


def loop(srm, x):
    state, spikes, mem = None, [], []
    for x_t in x:
        s, state = srm.step(x_t, state)
        spikes.append(s)
        mem.append(state.membrane - state.refractory)
    return torch.stack(spikes), torch.stack(mem)


def test_equals_the_kernels_of_the_paper():
    # u_t = sum_k a_k x_{t-k} - sum_k gamma^{k-1} s_{t-k}, as sums over the past, no recursion.
    alpha, beta, gamma = (math.exp(-1 / tau) for tau in (10, 6, 2))
    x = currents(T, B, N)
    spikes, mem = SRM(output=True)(x)
    for t in range(T):
        u = torch.zeros(B, N, dtype=torch.float64)
        for k in range(1, t + 1):
            u += (alpha**k - beta**k) / (alpha - beta) * x[t - k] - gamma ** (k - 1) * spikes[t - k]
        torch.testing.assert_close(mem[t], u)
    assert torch.equal(spikes, (mem >= 0).double())
    assert 0.1 < spikes.mean() < 0.9


def test_the_impulse_response_is_the_published_one():
    x = torch.zeros(6, 1, 1, dtype=torch.float64)
    x[0] = 1.0
    _, mem = SRM(threshold=100.0, output=True)(x)
    expected = torch.tensor([0, 1, 1.7513, 2.3012, 2.6887, 2.9463], dtype=torch.float64)
    torch.testing.assert_close(mem.flatten(), expected, rtol=0, atol=5e-5)


def test_a_tie_falls_as_the_surrogate_says():
    x = torch.zeros(1, 2, 3)
    assert SRM()(x).all()
    assert not SRM(surrogate=Boxcar(fires_at_threshold=False))(x).any()


@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("surrogate", [Boxcar(), ArcTan(), FastSigmoid(5.0)])
def test_the_scan_equals_the_loop_of_steps(surrogate, detach):
    srm = SRM(8.0, 5.0, 3.0, 0.1, surrogate, detach=detach, output=True)
    x, weights = currents(T, B, N).requires_grad_(), currents(2, T, B, N, seed=1)
    results = []
    for spikes, mem in (srm(x), loop(srm, x)):
        loss = (spikes * weights[0] + mem * weights[1]).sum()
        results.append((spikes, mem, *torch.autograd.grad(loss, x, retain_graph=True)))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    torch.testing.assert_close(results[0][2], results[1][2], rtol=1e-12, atol=1e-14)
    assert results[0][2].abs().sum() > 0


def test_detached_gradient_is_the_three_factor_rule():
    # dL/dW = sum_t error x surrogate derivative x input spikes, filtered before the weights as in the paper.
    inputs = (currents(T, B, 5, seed=1) > 0.05).double()
    weight = currents(N, 5, seed=2).sign().requires_grad_()
    error = currents(T, B, N, seed=3)
    srm = SRM(detach=True, output=True)
    spikes, mem = srm(inputs @ (0.05 * weight).T)
    (spikes * error).sum().backward()

    _, trace = SRM(threshold=1e9, output=True)(inputs)
    post = error * Boxcar().derivative(mem.detach())
    torch.testing.assert_close(weight.grad, 0.05 * torch.einsum("tbi,tbj->ij", post, trace))
    assert weight.grad.abs().sum() > 0


def test_without_detach_the_gradient_goes_through_the_own_spikes():
    x = currents(T, B, N).requires_grad_()
    both = [torch.autograd.grad(SRM(detach=detach)(x)[-1].sum(), x)[0] for detach in (True, False)]
    assert not torch.allclose(*both)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_form_gives_the_same_bits(dtype):
    x = currents(T, B, 2, 3).to(dtype)
    spikes, mem = SRM(output=True)(x)

    explicit, state, steps = SRM(step=True, output=True), None, []
    for x_t in x:
        s, state, u = explicit(x_t, state)
        steps.append((s, u))
    hidden = SRM(init_hidden=True, output=True)
    for form in (steps, [hidden(x_t) for x_t in x]):
        assert torch.equal(torch.stack([s for s, _ in form]), spikes)
        assert torch.equal(torch.stack([u for _, u in form]), mem)


def test_states_are_said_and_checked():
    explicit, x = SRM(step=True), torch.full((2, 3), 0.3)
    spikes, state = explicit(x)
    assert torch.equal(explicit(x, explicit.reset_mem())[1].synaptic, state.synaptic)
    assert torch.equal(spikes, state.spikes)
    with pytest.raises(ValueError, match=r"shape of the state.*but got \[4, 3\]"):
        explicit(torch.zeros(4, 3), state)
    with pytest.raises(TypeError, match="`state` to be None in the time-first form"):
        SRM()(x, state)
    with pytest.raises(TypeError, match="init_hidden"):
        SRM(init_hidden=True)(x, state)

    hidden = SRM(init_hidden=True, output=True)
    first, second = hidden(x)[1], hidden(x)[1]
    assert not torch.equal(first, second)
    hidden.reset_mem()
    assert torch.equal(hidden(x)[1], first)


def test_copies_and_pickles_after_a_forward_with_gradient():
    srm = SRM(init_hidden=True, output=True)
    x = currents(B, N).requires_grad_()
    srm(x)
    twins = [copy.deepcopy(srm), pickle.loads(pickle.dumps(srm))]
    expected = srm(x)[1]
    assert all(torch.equal(twin(x)[1], expected) for twin in twins)


def test_vmap_of_the_gradient():
    x, weight = currents(3, T, B, N), currents(T, B, N, seed=1)
    gradient = torch.func.grad(lambda x: (SRM()(x) * weight).sum())
    together = torch.vmap(gradient)(x)
    for i in range(3):
        torch.testing.assert_close(together[i], gradient(x[i]))


def test_second_derivatives_equal_the_loop_of_steps():
    srm, x = SRM(surrogate=ArcTan(), output=True), currents(6, 2, 3).requires_grad_()
    seconds = []
    for run in (srm, lambda x: loop(srm, x)):
        spikes, mem = run(x)
        (first,) = torch.autograd.grad((spikes * mem).sum(), x, create_graph=True)
        seconds.append(torch.autograd.grad(first.sin().sum(), x)[0])
    torch.testing.assert_close(*seconds)


@pytest.mark.parametrize("shape", [(0, 3, 4), (1, 3, 4), (5, 0, 4)])
def test_few_steps_and_empty_batches(shape):
    x = currents(*shape).requires_grad_()
    spikes, mem = SRM(output=True)(x)
    (spikes.sum() + mem.sum()).backward()
    assert spikes.shape == mem.shape == x.grad.shape == shape


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_keeps_the_dtype(dtype):
    x = currents(T, B, N).to(dtype).requires_grad_()
    spikes, mem = SRM(output=True)(x)
    spikes.sum().backward()
    assert spikes.dtype == mem.dtype == x.grad.dtype == dtype


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # from inside dynamo
def test_compiles_without_a_graph_break():
    srm, x = SRM(), currents(4, B, N)
    assert torch.equal(torch.compile(srm, fullgraph=True, backend="aot_eager")(x), srm(x))


def test_refuses_bad_arguments():
    with pytest.raises(ValueError, match=r"Expected argument `tau_syn` to be a positive float, but got -1.0."):
        SRM(tau_syn=-1.0)
    with pytest.raises(TypeError, match="`surrogate` to be a surrogate gradient, but got str"):
        SRM(surrogate="boxcar")
    with pytest.raises(ValueError, match=r"\[T, B, ...\]"):
        SRM()(torch.zeros(5))
