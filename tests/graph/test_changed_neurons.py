"""Neurons that change after their network was fused: they are followed, or refused with the reason."""

import sys
from pathlib import Path

import pytest
import snntorch as snn
import torch
from snntorch import surrogate
from torch import nn

import snntorch_binary as sb
from snntorch_binary.graph.neurons import why_no_scan

sys.path.append(str(Path(__file__).parent))
from like_spikingjelly import LIFNode


class Loop(nn.Module):
    def __init__(self, neuron):
        super().__init__()
        self.fc, self.lif = nn.Linear(6, 5), neuron

    def forward(self, x):
        states, found = self.lif.reset_mem(), []
        states = states if isinstance(states, tuple) else (states,)
        for x_t in x:
            spikes, *states = self.lif(self.fc(x_t), *states)
            found.append(spikes)
        return torch.stack(found)


def fused(neuron):
    torch.manual_seed(0)
    net, x = Loop(neuron), torch.rand(6, 3, 6)
    return net, sb.fuse(net, x[:3]), x


def gradient(net, forward, x):
    net.zero_grad()
    (forward(x) * torch.arange(5.0)).sum().backward()
    return net.fc.weight.grad.clone()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spike_grad", surrogate.fast_sigmoid(slope=3)),
        ("threshold", torch.tensor(0.2)),
        ("beta", torch.tensor(0.3)),
    ],
)
def test_what_a_scan_has_is_followed(name, value):
    net, graph, x = fused(snn.Leaky(beta=0.9, threshold=0.4))
    setattr(net.lif, name, value)
    assert torch.equal(graph(x), net(x))
    torch.testing.assert_close(gradient(net, graph, x), gradient(net, net, x))


@pytest.mark.parametrize(
    ("neuron", "name", "value", "reason"),
    [
        ("Leaky", "spike_grad", surrogate.sigmoid(), "a surrogate gradient of its own"),
        ("Leaky", "inhibition", True, "no scan with inhibition"),
        ("Leaky", "reset_delay", False, "no scan with reset_delay=False"),
        ("Synaptic", "surrogate_disable", True, "no scan with surrogate_disable"),
    ],
)
def test_what_a_scan_has_not_is_refused(neuron, name, value, reason):
    options = {"alpha": 0.8} if neuron == "Synaptic" else {}
    net, graph, x = fused(getattr(snn, neuron)(beta=0.9, threshold=0.4, **options))
    setattr(net.lif, name, value)
    what = "`net` to be a network whose neurons are as they were when it was fused"
    with pytest.raises(ValueError) as error:
        graph(x)
    assert str(error.value) == (
        f"Expected argument {what}, but got {neuron} neurons that have changed since ({reason}): fuse it again."
    )
    assert torch.equal(sb.fuse(net, x[:3])(x), net(x))


def test_of_another_library_what_changes_gradients_alone_is_refused_where_there_are_some():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.lif = nn.Linear(6, 5), LIFNode(detach_reset=True)

        def forward(self, x):
            return torch.stack([self.lif(self.fc(x_t)) for x_t in x])

    net, x = Net(), torch.rand(6, 3, 6)
    graph = sb.fuse(net, x[:3])
    assert why_no_scan(net.lif) is None
    net.lif.detach_reset = False
    with pytest.raises(ValueError, match=r"changed since \(a gradient through its reset, detach_reset=False\)"):
        graph(x)
    with torch.no_grad():
        assert graph(x).shape == (6, 3, 5)
