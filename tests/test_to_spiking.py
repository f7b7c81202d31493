"""Networks in spikes: same weights, same answers in the long run, in either form."""

import copy
import math

import pytest
import torch

import snntorch_binary as sb
from snntorch_binary.inference import sample_scores
from snntorch_binary.metrics import spiking_energy
from snntorch_binary.models import SoftLIFConvNet

SHORT = {"tau_syn": 0.002, "presentation": 0.05, "scoring": 0.02}


def conv_net(noise=0.0):
    net = SoftLIFConvNet((1, 8, 8), 10, channels=(4, 6), hidden_size=20, noise=noise)
    for name, parameter in net.named_parameters():
        if name.endswith("weight"):
            parameter.data.mul_(3)
    return net


def test_long_presentations_give_the_rates():
    net = conv_net(noise=10.0)
    net.train()
    spiking = sb.to_spiking(net, tau_syn=0.05, presentation=3.0, scoring=0.5)
    x = torch.rand(1, 6, 64)
    outputs = spiking(x)
    assert outputs.shape == (2500, 6, 10)
    hard = copy.deepcopy(net).eval()  # the spiking neurons have a hard threshold
    for name, module in net.named_modules():
        if isinstance(module, sb.nn.SoftLIF):
            hard.set_submodule(name, sb.nn.SoftLIF(*module.constants[:4], gamma=0.0))
    torch.testing.assert_close(outputs.mean(0), hard(x)[0], rtol=0.02, atol=0.02)
    assert net.training
    assert not spiking.training
    assert any(isinstance(module, sb.nn.SoftLIF) for module in net.modules())


def test_weights_are_the_same_and_the_first_layer_runs_once():
    net = conv_net()
    spiking = sb.to_spiking(net, **SHORT)
    state = spiking.net.state_dict()
    assert state.keys() == net.state_dict().keys()
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    shapes = []
    convolutions = [module for module in spiking.modules() if isinstance(module, torch.nn.Conv2d)]
    for module in convolutions:
        module.register_forward_hook(lambda module, inputs, y: shapes.append(len(y)))
    spiking(torch.rand(1, 3, 64))
    assert shapes == [3, 3 * 50]


def test_one_step_form_is_the_time_first_form():
    net = torch.nn.Sequential(
        torch.nn.Linear(16, 30), sb.nn.SoftLIF(), torch.nn.Dropout(0.5), torch.nn.Linear(30, 20), sb.nn.SoftLIF()
    )
    x = torch.rand(5, 16)
    by_time, by_step = sb.to_spiking(net, **SHORT)(x[None]), sb.to_spiking(net, step=True, **SHORT)(x)
    # Products of another batch size may be rounded otherwise, and a spike fall into the next step.
    torch.testing.assert_close(by_step.mean(0), by_time.mean(0), rtol=0, atol=0.1)
    assert by_step.shape == by_time.shape == (30, 5, 20)
    loop = sb.to_spiking(net, step=True, **SHORT).net  # as in a loop of snnTorch's
    outputs = torch.stack([loop(x) for _ in range(50)])
    assert torch.equal(outputs[20:], by_step)


@pytest.mark.parametrize("step", [False, True])
def test_layers_may_share_a_rate_neuron(step):
    shared = sb.nn.SoftLIF()
    first, second = torch.nn.Linear(16, 30), torch.nn.Linear(30, 20)
    nets = [torch.nn.Sequential(first, shared, second, other) for other in (shared, sb.nn.SoftLIF())]
    x = torch.rand(5, 16) if step else torch.rand(1, 5, 16)
    assert torch.equal(*(sb.to_spiking(net, step=step, carry=True, **SHORT)(x) for net in nets))


class CallsOneTwice(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.neurons = torch.nn.Linear(16, 30), torch.nn.Linear(30, 30), sb.nn.SoftLIF()

    def forward(self, x):
        return self.neurons(self.second(self.neurons(self.first(x))))


def test_neurons_with_a_state_cannot_be_called_in_two_places():
    net, x = CallsOneTwice(), torch.rand(1, 5, 16)
    as_sequence = torch.nn.Sequential(net.first, net.neurons, net.second, sb.nn.SoftLIF())
    assert torch.equal(sb.to_spiking(net, **SHORT)(x), sb.to_spiking(as_sequence, **SHORT)(x))
    for spiking, images in ((sb.to_spiking(net, step=True), x[0]), (sb.to_spiking(net, carry=True), x)):
        with pytest.raises(ValueError, match="several places"):
            spiking(images)
        assert not any(module._forward_pre_hooks for module in spiking.modules())


@pytest.mark.parametrize("step", [False, True])
def test_state_between_images(step):
    net = torch.nn.Sequential(torch.nn.Linear(16, 30), sb.nn.SoftLIF(), torch.nn.Linear(30, 3))
    first, second = torch.rand(2, 5, 16)
    if not step:
        first, second = first[None], second[None]
    resetting = sb.to_spiking(net, step=step, **SHORT)
    carrying = sb.to_spiking(net, step=step, carry=True, **SHORT)
    assert torch.equal(resetting(first), carrying(first))
    alone, after = resetting(second), carrying(second)
    assert not torch.equal(alone, after)
    sb.reset(carrying)
    assert torch.equal(carrying(second), alone)


def test_binary_weights_and_their_posterior_run_in_spikes():
    net = conv_net()
    sb.binarize_(net, sb.Bernoulli(init_scale=0.5), scale="channel")
    spiking = sb.to_spiking(net, **SHORT)
    x = torch.rand(1, 4, 64)
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    mode, members = sample_scores(net, x, 3, readout="membrane", generator=generators[0])
    mode_in_spikes, in_spikes = sample_scores(spiking, x, 3, readout="membrane", generator=generators[1])
    assert members.shape == in_spikes.shape == (3, 4, 10)
    # The same members: each is nearer to itself in spikes than to the others.
    distances = (members[:, None] - in_spikes[None]).square().mean((2, 3))
    assert distances.argmin(1).tolist() == [0, 1, 2]
    assert (mode - mode_in_spikes).square().mean() < (members - mode_in_spikes).square().mean()
    assert sb.predict(spiking, x, num_samples=2, readout="membrane").probs.shape == (4, 10)


def test_energy_by_hand():
    net = conv_net()
    spiking = sb.to_spiking(net, **SHORT)
    x = torch.rand(1, 3, 64)
    energy = spiking_energy(spiking, x)
    assert energy.neurons == (4 * 64, 6 * 16, 20)
    connections = (64 * 4 * 25, 16 * 6 * 4 * 25, 6 * 4 * 20, 20 * 10)
    assert energy.synapses == connections[1:]
    assert energy.rate_network == sum(energy.neurons) + 2 * sum(connections)
    events = sum(number * rate for number, rate in zip(energy.synapses, energy.rates, strict=True))
    assert energy.spiking_network == pytest.approx((0.08 * events + 250 * sum(energy.neurons)) * 0.05)
    assert energy.efficiency == energy.rate_network / energy.spiking_network
    silent = sb.to_spiking(copy.deepcopy(net), tau_syn=0.0, presentation=0.05, scoring=0.0)
    spikes = []
    for module in silent.modules():
        if isinstance(module, sb.nn.SpikingLIF):
            module.register_forward_hook(lambda module, inputs, y: spikes.append(y.count_nonzero() / y.numel() * 1000))
    rates = spiking_energy(silent, x).rates
    torch.testing.assert_close(torch.tensor(rates), torch.stack(spikes), rtol=1e-4, atol=1e-4)
    by_step = torch.nn.Sequential(torch.nn.Linear(16, 30), sb.nn.SoftLIF(), torch.nn.Linear(30, 3))
    both = [
        spiking_energy(sb.to_spiking(by_step, step=step, **SHORT), x)
        for step, x in ((True, torch.ones(2, 16)), (False, torch.ones(1, 2, 16)))
    ]
    assert both[0].spiking_network == pytest.approx(both[1].spiking_network, rel=1e-4)
    assert "operations an image" in str(both[0])
    with pytest.raises(TypeError, match="to_spiking"):
        spiking_energy(net, x)


def test_the_papers_network_has_its_size_and_cost():
    energy = spiking_energy(sb.to_spiking(SoftLIFConvNet(), presentation=0.002, scoring=0.0), torch.rand(1, 1, 784))
    assert energy.neurons == (12_544, 12_544, 2_000)
    assert energy.rate_network == pytest.approx(23.30e6, rel=0.01)  # as published


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"presentation": 0.0}, "presentation"),
        ({"presentation": 0.0004, "scoring": 0.0}, "presentation"),
        ({"presentation": math.inf}, "presentation"),
        ({"scoring": math.nan}, "scoring"),
        ({"dt": math.inf}, "dt"),
        ({"scoring": 0.2}, "scoring"),
        ({"scoring": -0.1}, "scoring"),
        ({"dt": 0.0}, "dt"),
        ({"dt": 0.01}, "tau_ref"),
        ({"tau_syn": -0.001}, "tau_syn"),
    ],
)
def test_times_out_of_range(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        sb.to_spiking(conv_net(), **arguments)


def test_what_cannot_be_converted_or_shown():
    with pytest.raises(ValueError, match="SoftLIF neurons"):
        sb.to_spiking(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"\[1, B, \.\.\.\]"):
        sb.to_spiking(conv_net(), **SHORT)(torch.rand(3, 64))
