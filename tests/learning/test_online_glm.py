"""The online rule of FL-SNN against autograd, with every average written out."""

import pytest
import torch

from snntorch_binary.learning import OnlineGLM
from snntorch_binary.nn import RaisedCosine, WTANetwork


def network():
    torch.manual_seed(1)
    basis, feedback_basis = RaisedCosine(3, 4), RaisedCosine(2, 3)
    return WTANetwork(4, 3, 2, basis=basis, feedback_basis=feedback_basis, init=0.7).double()


def walk(net, num_steps, symbols):
    """Time steps of one sequence, outputs clamped, with the weights of now."""
    memory = net.memory(1, net.outputs.linear.bias)
    x, targets = symbols
    for t in range(num_steps):
        step = net.look(memory, targets[t], 3, t)
        yield step
        net.remember(memory, x[t], step)


@pytest.mark.parametrize("window", [1, 3])
def test_against_autograd(window):
    net, num_steps, kappa = network(), 12, 0.4
    symbols = (torch.rand(num_steps, 1, 4, 1) < 0.5).double(), (torch.rand(num_steps, 1, 2, 1) < 0.5).double()
    rule = OnlineGLM(net, kappa, gamma=0.7, silence=0.6, window=window)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    eligibility, signal, local_steps = None, 0.0, 0
    magnitudes, gradients, rewards = torch.zeros(3).double(), None, 0.0
    names = [name for name, _ in net.named_parameters()]
    for t, step in enumerate(walk(net, num_steps, symbols)):
        likelihood = step.outputs.log_likelihood.sum() + step.hidden.log_likelihood.sum()
        found = torch.autograd.grad(likelihood, list(net.parameters()))
        found = [gradient.clone() for gradient in found]
        for name, gradient in zip(names, found, strict=True):
            if name.endswith("linear.weight"):
                magnitudes += gradient.abs().unflatten(1, (-1, 3)).sum((0, 1))
        gradients = found if gradients is None else [a + b for a, b in zip(gradients, found, strict=True)]
        p, h = step.hidden.log_probs.detach()[0, :, 1].exp(), step.hidden.symbols[0, :, 0]
        regulariser = (h * (p / 0.4).log() + (1 - h) * ((1 - p) / 0.6).log()).sum()
        rewards = rewards + step.outputs.log_likelihood.detach().sum() - 0.7 * regulariser
        assert rule.learn(step) == ((t + 1) % window == 0)
        torch.testing.assert_close(rule.magnitudes, magnitudes)
        if (t + 1) % window:
            continue
        smooth = kappa if local_steps else 0.0
        eligibility = (
            gradients
            if eligibility is None
            else [smooth * old + (1 - smooth) * new for old, new in zip(eligibility, gradients, strict=True)]
        )
        signal = smooth * signal + (1 - smooth) * rewards
        for (name, parameter), e in zip(net.named_parameters(), eligibility, strict=True):
            expected = e if name.startswith("outputs") else signal * e
            torch.testing.assert_close(parameter.grad, -expected, rtol=1e-9, atol=1e-12)
        optimizer.step()
        local_steps, gradients, rewards = local_steps + 1, None, 0.0


def test_it_goes_on_from_its_state_within_a_window():
    nets, symbols = (network(), network()), ((torch.rand(9, 1, 4, 1) < 0.5).double(), torch.ones(9, 1, 2, 1).double())
    steps = list(walk(nets[0], 9, symbols))
    rules = [OnlineGLM(net, window=4) for net in nets]
    for step in steps[:6]:
        rules[0].learn(step)
    rules[1].load_state_dict(rules[0].state_dict())
    for step in steps[6:]:
        assert rules[0].learn(step) == rules[1].learn(step)
    for one, other in zip(*(net.parameters() for net in nets), strict=True):
        assert torch.equal(one.grad, other.grad)
    assert rules[0].learning_signal == rules[1].learning_signal != 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"kappa": 1.0}, "`kappa` to be a float in [0, 1), but got 1.0."),
        ({"gamma": -1.0}, "`gamma` to be a float of at least 0, but got -1.0."),
        ({"silence": 0.0}, "`silence` to be a probability between 0 and 1, both excluded, but got 0.0."),
        ({"window": 0}, "`window` to be an integer of at least 1, but got 0."),
    ],
)
def test_bad_arguments_are_one_sentence(options, sentence):
    with pytest.raises(ValueError) as caught:
        OnlineGLM(network(), **options)
    assert str(caught.value) == f"Expected argument {sentence}"


def test_one_sequence_at_a_time():
    net = network()
    step = net.look(net.memory(2, net.outputs.linear.bias), None, 0, 0)
    with pytest.raises(ValueError, match="`step` to be of one sequence, but got 2"):
        OnlineGLM(net).learn(step)
