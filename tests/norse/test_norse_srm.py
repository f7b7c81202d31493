"""The spike response model as a Norse cell and sequence module: the same neuron, in Norse's form."""

import pytest

pytest.importorskip("norse.torch", reason="Norse is not installed")

import copy
import pickle
import subprocess
import sys

import norse.torch as norse
import torch
from norse.torch.functional.regularization import voltage_accumulator
from norse.torch.module.regularization import RegularizationCell
from norse.torch.utils.state import _is_module_stateful
from torch import nn

import snntorch_binary as sb
from snntorch_binary.kernels import use_engine
from snntorch_binary.kernels.surrogates import ArcTan, Boxcar
from snntorch_binary.norse import SRM, SRMCell, SRMState

SETTINGS = [
    {},
    {"detach": True},
    {"tau_mem": 4.0, "tau_syn": 2.5, "tau_ref": 7.0, "threshold": 1.3, "surrogate": ArcTan(3.0)},
    {"threshold": 0.5, "surrogate": Boxcar(width=2.0, height=0.5), "detach": True},
]
each_setting = pytest.mark.parametrize("setting", SETTINGS, ids=str)
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def looped(step, x, state=None):
    """Run one-step neurons over time; return their spikes [T, B, ...] and the states after every step."""
    spikes, states = [], []
    for x_t in x:
        spikes_t, state = step(x_t, state)
        spikes.append(spikes_t)
        states.append(state)
    return torch.stack(spikes), states


# ---- one neuron --------------------------------------------------------------------------------


@each_dtype
@each_setting
@pytest.mark.parametrize("engine", ["torch", "numba"])
def test_every_form_gives_the_same_spikes_and_states(setting, dtype, engine):
    x = torch.randn(60, 3, 4, 2, dtype=dtype)
    with use_engine(engine):
        time_first = sb.nn.SRM(**setting)(x)
        reference, states = looped(sb.nn.SRM(**setting, step=True), x)
        by_cell, states_of_cell = looped(SRMCell(**setting), x)
        lifted, last_lifted = norse.Lift(SRMCell(**setting))(x)
        sequence, last = SRM(**setting)(x)
        recorded, every = SRM(**setting, record_states=True)(x)
    assert 0.02 < time_first.mean() < 0.98
    for spikes in (reference, by_cell, lifted, sequence, recorded):
        assert spikes.dtype == dtype
        assert torch.equal(spikes, time_first)
    for final in (states_of_cell[-1], last_lifted, last):
        assert type(final) is SRMState
        for name, expected in states[-1]._asdict().items():
            assert torch.equal(getattr(final, name), expected), name
    for t, state in enumerate(states):
        for name, expected in state._asdict().items():
            assert torch.equal(getattr(every, name)[t], expected), name
    assert torch.equal(last.v, last.membrane - last.refractory)


@each_setting
def test_a_sequence_may_be_cut(setting):
    x = torch.randn(30, 2, 5)
    module = SRM(**setting)
    first, state = module(x[:11])
    second, state = module(x[11:12], state)
    none, state = module(x[12:12], state)
    third, state = module(x[12:], state)
    whole, last = module(x)
    assert none.shape == (0, 2, 5)
    assert torch.equal(torch.cat((first, second, none, third)), whole)
    for cut, uncut in zip(state, last, strict=True):
        assert torch.equal(cut, uncut)


@each_setting
@pytest.mark.parametrize("recorded", [False, True])
def test_gradients_are_those_of_the_loop(setting, recorded):
    """Of spikes and states, through time and through a state that is passed on."""
    x = torch.randn(20, 3, 4, dtype=torch.float64, requires_grad=True)
    by_spikes, by_states = torch.randn(20, 3, 4, dtype=torch.float64), torch.randn(5, 20, 3, 4, dtype=torch.float64)

    def loss(spikes, states):
        every = [torch.stack(values) for values in zip(*((*state, state.v) for state in states), strict=True)]
        seen = slice(None) if recorded else slice(-1, None)
        return (spikes * by_spikes).sum() + sum(
            (values[seen] * weights[seen]).sum() for values, weights in zip(every, by_states, strict=True)
        )

    (expected,) = torch.autograd.grad(loss(*looped(SRMCell(**setting), x)), x)
    spikes, state = SRM(**setting, record_states=recorded)(x)
    states = [SRMState(*values) for values in zip(*state, strict=True)] if recorded else [state] * 20
    (whole,) = torch.autograd.grad(loss(spikes, states), x)
    torch.testing.assert_close(whole, expected, rtol=1e-10, atol=1e-12)

    first, state = SRM(**setting)(x[:8])
    second, state = SRM(**setting)(x[8:], state)
    if not recorded:
        (cut,) = torch.autograd.grad(loss(torch.cat((first, second)), [state] * 20), x)
        torch.testing.assert_close(cut, expected, rtol=1e-10, atol=1e-12)


@each_setting
def test_gradients_are_those_of_our_own_neuron(setting):
    x = torch.randn(25, 3, 4, requires_grad=True)
    weights = torch.randn(25, 3, 4)
    gradients = [
        torch.autograd.grad((spikes * weights).sum(), x)[0]
        for spikes in (sb.nn.SRM(**setting)(x), SRM(**setting)(x)[0], norse.Lift(SRMCell(**setting))(x)[0])
    ]
    assert gradients[0].abs().sum() > 0
    assert torch.equal(gradients[1], gradients[0])
    torch.testing.assert_close(gradients[2], gradients[0])


def test_norse_takes_it_for_a_stateful_module():
    for module in (SRM(), SRMCell()):
        assert _is_module_stateful(module)
        assert norse.SequentialState(module).stateful_layers == [True]


def test_counts_and_potentials_are_regularised():
    cell, count, potential = SRMCell(), RegularizationCell(), RegularizationCell(voltage_accumulator)
    x = torch.randn(15, 2, 3)
    total, sum_of_potentials, state = 0.0, 0.0, None
    for x_t in x:
        spikes, state = cell(x_t, state)
        spikes, counted = count(spikes, state)
        spikes, summed = potential(spikes, state)
        total += spikes.sum()
        sum_of_potentials += state.membrane - state.refractory
    assert counted == total > 0
    assert torch.equal(summed, sum_of_potentials)
    (_, membrane_potential) = sb.nn.SRM(output=True)(x)
    torch.testing.assert_close(summed, membrane_potential.sum(0))


@pytest.mark.parametrize("make", [SRM, SRMCell])
def test_copies_and_pickles(make):
    module = make(tau_mem=5.0, threshold=0.7)
    x = torch.randn(6, 2, 3)
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert repr(twin) == repr(module)
        assert torch.equal(twin(x)[0], module(x)[0])
    state = module(x)[1]
    assert type(pickle.loads(pickle.dumps(state))) is SRMState


def test_bad_input_gets_one_sentence():
    with pytest.raises(ValueError, match="Expected argument `tau_mem` to be a positive float, but got -1"):
        SRMCell(tau_mem=-1.0)
    with pytest.raises(ValueError, match=r"Expected argument `x` to be a tensor of shape \[T, B, ...\] \(time-first\)"):
        SRM()(torch.ones(3))
    with pytest.raises(TypeError, match="Expected argument `x` to be a floating point tensor"):
        SRM()(torch.ones(3, 2, 1, dtype=torch.int64))
    state = SRMCell()(torch.ones(2, 3))[1]
    for module, x in ((SRMCell(), torch.ones(4, 3)), (SRM(), torch.ones(5, 4, 3)), (SRM(), torch.ones(0, 4, 3))):
        with pytest.raises(ValueError, match=r"\[2, 3\], the shape of the state"):
            module(x, state)


# ---- one network in three styles ---------------------------------------------------------------


@pytest.mark.parametrize("rule", [sb.Sign(), sb.Bernoulli()], ids=repr)
@pytest.mark.parametrize("training", [True, False])
def test_a_network_gives_identical_spikes_in_every_style(rule, training):
    first, second = (sb.nn.BinaryLinear(*size, bias=False, weight=rule) for size in ((40, 60), (60, 5)))
    time_first = nn.Sequential(first, sb.nn.SRM(), second, sb.nn.SRM())
    snntorch_style = nn.Sequential(first, sb.nn.SRM(init_hidden=True), second, sb.nn.SRM(init_hidden=True))
    explicit = (sb.nn.SRM(step=True), sb.nn.SRM(step=True))
    cells = norse.SequentialState(first, SRMCell(), second, SRMCell())
    lifted = norse.Lift(norse.SequentialState(first, SRMCell(), second, SRMCell()))
    sequences = norse.SequentialState(first, SRM(), norse.Lift(second), SRM())
    for style in (time_first, snntorch_style, cells, lifted, sequences):
        style.train(training)
    x = (torch.rand(60, 8, 40) < 0.2).float()

    expected = time_first(x)
    states = [None, None]
    by_hand = []
    for x_t in x:
        hidden, states[0] = explicit[0](first(x_t), states[0])
        spikes, states[1] = explicit[1](second(hidden), states[1])
        by_hand.append(spikes)
    sb.reset(snntorch_style)
    outputs = {
        "snnTorch, init_hidden": torch.stack([snntorch_style(x_t) for x_t in x]),
        "snnTorch, explicit states": torch.stack(by_hand),
        "Norse, cells": looped(cells, x)[0],
        "Norse, lifted": lifted(x)[0],
        "Norse, sequences": sequences(x)[0],
    }
    assert 0.05 < expected[2:].mean() < 0.95
    for style, spikes in outputs.items():
        assert torch.equal(spikes, expected), style

    gradients = {}
    for style, spikes in {"time-first": expected, **outputs}.items():
        loss = (spikes * torch.linspace(-1, 1, spikes.numel()).view_as(spikes)).sum()
        gradients[style] = torch.autograd.grad(loss, (first.latent, second.latent))
    assert all(gradient.abs().sum() > 0 for gradient in gradients["time-first"])
    for style, of_latents in gradients.items():
        for gradient, reference in zip(of_latents, gradients["time-first"], strict=True):
            torch.testing.assert_close(gradient, reference, rtol=1e-3, atol=1e-4, msg=style)


# ---- without Norse -----------------------------------------------------------------------------


@pytest.mark.slow
def test_without_norse_there_is_one_sentence():
    script = "import sys; sys.modules['norse'] = None; import snntorch_binary.norse"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    sentence = "norse is not installed; install it with `pip install 'snntorch-binary[norse]'`."
    assert done.stderr.strip().endswith(sentence)
