"""The network of FedSNN: its size, its equations layer by layer, and what else it must go through."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import snntorch_binary as sb
from snntorch_binary.inference.readout import logits
from snntorch_binary.metrics import energy, spike_rate_energy
from snntorch_binary.models import VGG9, SpikingVGG9
from snntorch_binary.nn import BatchNormThroughTime, SoftReset

SMALL = {"num_steps": 3, "width": 1 / 32}


def spikes(*shape):
    return torch.randint(-1, 2, shape).float()


def weights(net):
    return [layer.weight for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]


def test_the_published_sizes():
    net = SpikingVGG9()
    assert sum(weight.numel() for weight in weights(net)) == 5_938_880
    scales = [layer.weight.numel() for layer in net.modules() if isinstance(layer, BatchNormThroughTime)]
    assert sum(scales) == 43_520 == 20 * 2_176
    assert sum(parameter.numel() for parameter in net.parameters()) == 5_938_880 + 43_520
    assert sum(buffer.numel() for buffer in net.buffers()) == 2 * 43_520  # and no counters, which nobody reads
    assert [layer.threshold for layer in net.modules() if isinstance(layer, SoftReset)] == [1.0] * 8
    assert sum(weight.numel() for weight in weights(VGG9())) == 5_938_880


def test_the_weights_start_with_gain_2():
    for weight in weights(SpikingVGG9()):
        fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(weight)
        bound = 2 * (6 / (fan_in + fan_out)) ** 0.5
        assert 0.99 * bound < weight.abs().max() <= bound * (1 + 1e-6)


def published(net, x):
    """The forward pass of the fact sheet, one time step after the other; logits [B, C]."""
    layers = [layer.weight for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    norms = [layer.weight for layer in net.modules() if isinstance(layer, BatchNormThroughTime)]
    potentials, out = [0.0] * 8, 0.0
    for t, o in enumerate(x):
        for index in range(8):
            if index == 7:
                o = o.flatten(1)
            current = F.conv2d(o, layers[index], padding=1) if index < 7 else o @ layers[7].T
            current = F.batch_norm(current, None, None, norms[index][t], None, True, 0.1, 1e-4)
            potentials[index] = 0.95 * potentials[index] + current
            o = (potentials[index] - 1.0 > 0).to(o.dtype)
            potentials[index] = potentials[index] - o
            if index in (1, 3, 6):
                o = F.avg_pool2d(o, 2)
        out = out + o @ layers[8].T
    return out / len(x)


def test_the_published_equations():
    net = SpikingVGG9(num_steps=4, width=1 / 16).double()
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, BatchNormThroughTime):
                layer.weight.uniform_(0.5, 1.5)
    x = spikes(4, 3, 3, 32, 32).double()
    with torch.no_grad():
        torch.testing.assert_close(logits(net(x), "membrane"), published(net, x))


def test_every_parameter_learns():
    net, x = SpikingVGG9(**SMALL), spikes(3, 4, 3, 32, 32)
    F.cross_entropy(net(x).mean(0), torch.arange(4)).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_a_step_learns_the_batch():
    torch.manual_seed(1)
    net, x, y = SpikingVGG9(num_steps=3, width=1 / 8), spikes(3, 8, 3, 32, 32), torch.arange(8)
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    losses = []
    for _ in range(12):
        loss = F.cross_entropy(net(x).mean(0), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 < losses[0]


@pytest.mark.parametrize("rule", [sb.Sign(), sb.Bernoulli()], ids=repr)
def test_binary_weights(rule):
    net, x = SpikingVGG9(**SMALL), spikes(3, 4, 3, 32, 32)
    sb.binarize_(net, rule)
    if isinstance(rule, sb.Bernoulli):
        optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.1, rho=0.0, betas=None)
    else:
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
    before = {name: parameter.clone() for name, parameter in net.named_parameters()}
    F.cross_entropy(net(x).mean(0), torch.arange(4)).backward()
    optimizer.step()
    latents = [name for name in before if name.endswith("weight") and f"{name}_draw" in net.state_dict()]
    assert len(latents) == 9
    for name, parameter in net.named_parameters():
        assert not torch.equal(parameter, before[name]), name
    net.eval()
    with torch.no_grad():
        torch.testing.assert_close(sb.freeze(net)(x), net(x))


def test_energy_of_both_networks():
    net, twin, x = SpikingVGG9(**SMALL), VGG9(width=1 / 32), spikes(3, 4, 3, 32, 32)
    counted, dense = energy(net, x), energy(twin, torch.rand(1, 4, 3, 32, 32) * 2 - 1)
    assert counted.uncounted == dense.uncounted == ()
    assert [row.name for row in counted.rows] == [*(f"conv{i}.module" for i in range(1, 8)), "fc1", "fc2"]
    assert dense.macs == dense.dense_macs == counted.dense_macs / 3
    found = spike_rate_energy(counted, 3)
    assert found.macs == dense.macs
    assert 0 < found.accumulates < counted.dense_macs


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"num_classes": 0}, "`num_classes` to be a positive integer"),
        ({"width": 0.0}, "`width` to be a positive float"),
    ],
)
def test_bad_settings(settings, sentence):
    for network in (SpikingVGG9, VGG9):
        with pytest.raises(ValueError, match=sentence):
            network(**settings)
    with pytest.raises(ValueError, match=r"of shape \[3, B, 2, ...\], but got \[4"):
        SpikingVGG9(**SMALL)(spikes(4, 2, 3, 32, 32))
