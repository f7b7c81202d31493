"""The pre-synaptic trace and the refractory neuron: BiSNN's neuron with the filter on the input side."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from snntorch_binary.kernels.surrogates import ArcTan, Boxcar
from snntorch_binary.nn import SRM, Refractory, SynapticTrace


def random_spikes(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)).lt(0.3).float()


def test_the_impulse_response_is_the_difference_of_two_exponentials() -> None:
    x = torch.zeros(12, 1, 1, dtype=torch.float64)
    x[0] = 1
    alpha, beta = torch.exp(torch.tensor([-1 / 10, -1 / 6], dtype=torch.float64))
    k = torch.arange(12, dtype=torch.float64)
    torch.testing.assert_close(SynapticTrace()(x).flatten(), (alpha**k - beta**k) / (alpha - beta))


def test_a_normalized_trace_of_a_constant_one_ends_at_one() -> None:
    assert SynapticTrace(normalize=True)(torch.ones(200, 1, 1))[-1].item() == pytest.approx(1, abs=1e-4)
    assert SynapticTrace()(torch.ones(400, 1, 1))[-1].item() == pytest.approx(68.45, abs=0.01)


@pytest.mark.parametrize("normalize", [False, True])
def test_steps_of_the_trace_are_the_sequence_and_gradients_agree(normalize: bool) -> None:
    x = random_spikes(20, 3, 4).double().requires_grad_()
    trace = SynapticTrace(4.0, 2.0, normalize)
    state, steps = None, []
    for x_t in x.unbind(0):
        p, state = trace.step(x_t, state)
        steps.append(p)
    weight = torch.randn(20, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(torch.stack(steps), trace(x))
    (slow,) = torch.autograd.grad((torch.stack(steps) * weight).sum(), x)
    (fast,) = torch.autograd.grad((trace(x) * weight).sum(), x)
    torch.testing.assert_close(slow, fast)


def test_filter_layer_and_refractory_neuron_are_an_srm() -> None:
    x = random_spikes(60, 5, 12, seed=2)
    layer = nn.Linear(12, 7, bias=False)
    before, after = nn.Sequential(SynapticTrace(), layer, Refractory()), nn.Sequential(layer, SRM())
    assert 0.05 < after(x).mean() < 0.95
    # The sums differ in order, so a membrane potential may fall on the other side of the threshold; here none does.
    assert torch.equal(before(x), after(x))


@pytest.mark.parametrize("surrogate", [Boxcar(), ArcTan(fires_at_threshold=True)])
def test_steps_of_the_refractory_neuron_are_the_sequence(surrogate: Boxcar | ArcTan) -> None:
    x = torch.randn(30, 4, 6, generator=torch.Generator().manual_seed(3), requires_grad=True)
    neuron = Refractory(3.0, 0.5, surrogate, output=True)
    state, spikes, membranes = None, [], []
    for x_t in x.unbind(0):
        s, state = neuron.step(x_t, state)
        spikes.append(s)
        membranes.append(x_t - state.refractory)
    all_spikes, all_membranes = neuron(x)
    assert torch.equal(torch.stack(spikes), all_spikes)
    torch.testing.assert_close(torch.stack(membranes), all_membranes)
    (slow,) = torch.autograd.grad(torch.stack(spikes).sum(), x)
    (fast,) = torch.autograd.grad(all_spikes.sum(), x)
    torch.testing.assert_close(slow, fast)
    torch.testing.assert_close(fast, surrogate.derivative(all_membranes - 0.5))  # nothing through the past


@pytest.mark.parametrize("module", [SynapticTrace, Refractory])
def test_the_one_step_forms_agree(module: type[SynapticTrace] | type[Refractory]) -> None:
    x = random_spikes(10, 2, 3) * 2
    explicit, hidden, state = module(step=True), module(init_hidden=True), None
    for x_t, expected in zip(x, module()(x), strict=True):
        out, state = explicit(x_t, state)
        assert torch.equal(out, hidden(x_t))
        torch.testing.assert_close(out, expected)
    hidden.reset_mem()
    torch.testing.assert_close(hidden(x[0]), module()(x)[0])


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="Expected argument `tau_syn` to be a positive float, but got 0"):
        SynapticTrace(tau_syn=0)
    with pytest.raises(ValueError, match="Expected argument `tau_ref` to be a positive float, but got -1"):
        Refractory(tau_ref=-1)
    with pytest.raises(TypeError, match="Expected argument `surrogate` to be a surrogate gradient"):
        Refractory(surrogate="boxcar")  # type: ignore[arg-type]
    for module in (SynapticTrace(), Refractory()):
        assert module(torch.zeros(0, 2, 3)).shape == (0, 2, 3)
        with pytest.raises(TypeError, match="starts at rest"):
            module(torch.zeros(3, 2, 3), module.State(*[torch.zeros(2, 3)] * 2))
