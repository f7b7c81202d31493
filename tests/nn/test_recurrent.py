"""Recurrent neurons: snnTorch's where these do what they say, and the equations where they do not."""

import copy
import pickle

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb

T, B, N = 30, 4, 6
HARD = {"reset_mechanism": "zero", "reset_delay": False}


def currents():
    return torch.randn(T, B, N) + 0.3


def stepped(neuron, x):
    sb.reset(neuron)
    return torch.stack([neuron(x_t) for x_t in x])


# RLeaky's delayed reset to zero takes the input of its step with it, Leaky's does not.
@pytest.mark.parametrize(
    ("reset", "delay"), [("subtract", True), ("subtract", False), ("zero", False), ("none", True), ("none", False)]
)
def test_equals_rleaky_with_its_gradients(reset, delay):
    theirs = snn.RLeaky(0.9, linear_features=N, reset_mechanism=reset, reset_delay=delay, init_hidden=True)
    neuron = sb.nn.Leaky(0.9, reset_mechanism=reset, reset_delay=delay)
    ours = sb.nn.Recurrent(neuron, copy.deepcopy(theirs.recurrent))
    x, weights = currents(), torch.rand(T, B, N)
    expected, spikes = stepped(theirs, x), ours(x)
    assert torch.equal(spikes, expected)
    assert 0.05 < spikes.mean() < 0.95
    (expected * weights).sum().backward()
    (spikes * weights).sum().backward()
    torch.testing.assert_close(ours.recurrent.weight.grad, theirs.recurrent.weight.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("delay", [True, False])
def test_recurrent_synaptic_follows_its_equations(delay):
    loop = nn.Linear(N, N)
    neuron = sb.nn.Synaptic(0.7, 0.8, reset_mechanism="zero", reset_delay=delay)
    x = currents()
    spikes, mem = sb.nn.Recurrent(neuron, loop, output=True)(x)
    syn, u, s = (torch.zeros(B, N) for _ in range(3))
    with torch.no_grad():
        for t in range(T):
            reset = (u > 1).float()
            syn = 0.7 * syn + x[t] + loop(s)
            u = (1 - reset) * (0.8 * u + syn)
            s = (u > 1).float()
            if not delay:
                u = (1 - s) * u
            assert torch.equal(spikes[t], s)
            torch.testing.assert_close(mem[t], u)
    assert spikes.mean() > 0.1


@pytest.mark.parametrize("neuron", [sb.nn.Leaky(0.9), sb.nn.Synaptic(0.5, 0.9)])
def test_the_forms_agree(neuron):
    loop = sb.nn.BinaryLinear(N, N)
    x = currents()
    expected = sb.nn.Recurrent(neuron, loop)(x)
    explicit, state, found = sb.nn.Recurrent(neuron, loop, step=True), None, []
    for x_t in x:
        spikes, state = explicit(x_t, state)
        found.append(spikes)
    assert torch.equal(torch.stack(found), expected)
    hidden = sb.nn.Recurrent(neuron, loop, init_hidden=True)
    assert torch.equal(stepped(hidden, x), expected)
    again = pickle.loads(pickle.dumps(hidden))
    assert torch.equal(stepped(again, x), expected)
    assert sb.nn.Recurrent(neuron, loop)(x[:0]).shape == (0, B, N)


def test_binarize_reaches_the_loop():
    net = nn.Sequential(nn.Linear(N, N), sb.nn.Recurrent(sb.nn.Leaky(0.9), nn.Linear(N, N)))
    assert sb.binarize_(net, sb.Sign()).converted == ("0", "1.recurrent")


def test_bad_input():
    with pytest.raises(TypeError, match="`neuron`"):
        sb.nn.Recurrent(sb.nn.SRM(), nn.Linear(2, 2))
    neuron = sb.nn.Recurrent(sb.nn.Leaky(0.9), nn.Linear(2, 2))
    with pytest.raises(TypeError, match="`state`"):
        neuron(torch.zeros(3, 1, 2), "state")
    hidden = sb.nn.Recurrent(sb.nn.Leaky(0.9), nn.Linear(2, 2), init_hidden=True)
    hidden(torch.zeros(3, 2))
    with pytest.raises(ValueError, match="reset_mem"):
        hidden(torch.zeros(4, 2))
