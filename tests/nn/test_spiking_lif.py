"""SpikingLIF against the rate it stands for, its refractory period, its synapse, and one form against another."""

import math

import pytest
import torch

import snntorch_binary as sb
from snntorch_binary import nn
from snntorch_binary.kernels import use_engine

CONSTANTS = [(0.063, 0.002, 0.022, 1.0), (0.063, 0.001, 0.05, 0.825), (2.0, 0.0037, 0.013, 0.5)]


@pytest.mark.slow
@pytest.mark.parametrize("constants", CONSTANTS)
@pytest.mark.parametrize("dt", [0.001, 0.0003])
def test_rate_is_that_of_the_hard_lif_within_a_spike(constants, dt):
    # Nearer to the threshold the current of a x + 1 is 1 in float32.
    x = torch.cat([torch.linspace(-1, 0, 50), torch.linspace(1e-3, 20, 400), torch.tensor([100.0, 1000.0])])[None]
    seconds = 2
    num_steps = round(seconds / dt)
    y = nn.SpikingLIF(*constants, dt=dt, hold=num_steps)(x[None])
    spikes = y.count_nonzero(0)
    rates = nn.SoftLIF(*constants, gamma=0.0)(x) / constants[0]
    assert (spikes - seconds * rates).abs().max() <= 1
    torch.testing.assert_close(y.sum(0) * dt, constants[0] * spikes)  # impulses of unit area, times m
    assert (spikes[x <= 0] == 0).all()


def test_refractory_period_is_exact():
    # So large a current that a neuron fires at once: intervals are the refractory period and a little more.
    for tau_ref in (0.001, 0.0025, 0.004):
        y = nn.SpikingLIF(1.0, tau_ref, 0.02)(torch.full((2001, 1, 1), 1e6)).flatten()
        times = y.nonzero().flatten()
        assert int(times.diff().min()) >= int(tau_ref * 1000)
        assert len(times) == pytest.approx(2.001 / tau_ref, abs=1.01)
    neuron = nn.SpikingLIF(1.0, 0.0025, 0.02, step=True)
    x = torch.tensor([[1e6]])
    _, state = neuron(x)
    assert float(state.refractory) == pytest.approx(2.5 - 1, abs=1e-3)  # it fired at the very beginning of the step
    y, state = neuron(x, state)
    assert float(y) == float(state.potential) == 0
    assert float(state.refractory) == pytest.approx(0.5, abs=1e-3)
    y, _ = neuron(x, state)  # half a step is left to fire in
    assert float(y) == 1000


def test_potential_is_the_exact_solution():
    neuron = nn.SpikingLIF(1.0, 0.002, 0.02, step=True)
    x, state = torch.tensor([[-0.5, -3.0]]), None  # currents of 0.5 and -2: none fires
    for t in range(1, 6):
        _, state = neuron(x, state)
        assert float(state.potential[0, 0]) == pytest.approx(0.5 * (1 - math.exp(-t / 20)), rel=1e-5)
        assert float(state.potential[0, 1]) == 0  # not below rest


@pytest.mark.parametrize("tau_syn", [0.002, 0.005])
def test_synapse_has_unit_area_and_the_form_of_an_alpha_function(tau_syn):
    neuron = nn.SpikingLIF(1.0, 0.5, 0.02, tau_syn=tau_syn, hold=400)  # it fires once
    y = neuron(torch.full((1, 1, 1), 5.0)).flatten().double()
    assert float(y.sum() * 0.001) == pytest.approx(1, abs=1e-5)
    first = int(y.nonzero()[0])
    b, n = torch.tensor(-0.001 / tau_syn).double().exp(), torch.arange(400 - first)
    torch.testing.assert_close(y[first:], 1000 * (1 - b) ** 2 * (n + 1) * b**n, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("engine", ["numba", "torch"])
@pytest.mark.parametrize("shape", [(7,), (3, 5), (1100,)])
def test_time_first_is_the_one_step_form_bit_for_bit(engine, shape):
    if engine == "numba":
        pytest.importorskip("numba")
    x = 3 * torch.randn(30, 2, *shape)
    arguments = {"tau_syn": 0.003}
    with use_engine(engine):
        sequence = nn.SpikingLIF(**arguments)(x)
        given, hidden, state = nn.SpikingLIF(step=True, **arguments), nn.SpikingLIF(init_hidden=True, **arguments), None
        for x_t, y_t in zip(x, sequence, strict=True):
            y, state = given(x_t, state)
            assert torch.equal(y, y_t)
            assert torch.equal(hidden(x_t), y_t)
        sb.reset(hidden)
        assert torch.equal(hidden(x[0]), sequence[0])


def test_compiled_kernel_is_its_twin():
    pytest.importorskip("numba")
    x = 2 * torch.randn(1, 5, 700)
    outputs = []
    for engine in ("numba", "torch"):
        with use_engine(engine):
            outputs.append(nn.SpikingLIF(hold=100, tau_syn=0.004)(x))
    torch.testing.assert_close(outputs[0].mean(0), outputs[1].mean(0), rtol=1e-3, atol=1e-3)
    # A spike that falls on the border of two steps may be in either.
    assert ((outputs[0] - outputs[1]).abs() > 1e-3).double().mean() < 1e-3


def test_a_held_input_is_a_constant_one():
    x = torch.randn(1, 2, 9)
    held = nn.SpikingLIF(hold=40)
    assert torch.equal(held(x), nn.SpikingLIF()(x.expand(40, 2, 9)))
    changing = torch.randn(40, 2, 9)
    assert torch.equal(held(changing), nn.SpikingLIF()(changing))


def test_state_is_carried_over_or_not():
    x = torch.rand(40, 2, 9) + 0.5
    whole = nn.SpikingLIF(tau_syn=0.003)(x)
    carrying = nn.SpikingLIF(tau_syn=0.003, carry=True)
    parts = torch.cat([carrying(x[:13]), carrying(x[13:])])
    assert torch.equal(parts, whole)
    carrying.reset_mem()
    assert torch.equal(carrying(x), whole)
    starting = nn.SpikingLIF(tau_syn=0.003)
    assert torch.equal(starting(x), starting(x))


def test_empty_double_and_bad_input():
    assert nn.SpikingLIF()(torch.zeros(0, 2, 3)).shape == (0, 2, 3)
    assert nn.SpikingLIF()(torch.zeros(4, 0, 3)).shape == (4, 0, 3)
    assert nn.SpikingLIF()(torch.ones(4, 2, 3).double()).dtype == torch.float64
    with pytest.raises(ValueError, match=r"`tau_ref` to be a float of at least dt = 0\.001"):
        nn.SpikingLIF(tau_ref=0.0005)
    with pytest.raises(ValueError, match="`tau_syn`"):
        nn.SpikingLIF(tau_syn=-1.0)
    with pytest.raises(ValueError, match="`hold`"):
        nn.SpikingLIF(hold=0)
    with pytest.raises(ValueError, match="`amplitude`"):
        nn.SpikingLIF(amplitude=0)
    with pytest.raises(TypeError, match="`state`"):
        nn.SpikingLIF()(torch.ones(4, 2, 3), nn.SpikingLIF().reset_mem())
    carrying = nn.SpikingLIF(carry=True)
    carrying(torch.ones(4, 2, 3))
    with pytest.raises(ValueError, match="shape of the state"):
        carrying(torch.ones(4, 1, 3))
