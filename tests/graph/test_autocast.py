"""A fused network under autocast: its neurons keep float32, as they do step by step."""

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb

NEURONS = {
    "leaky": lambda: snn.Leaky(0.9, init_hidden=True),
    "synaptic": lambda: snn.Synaptic(0.9, 0.8, init_hidden=True, reset_mechanism="zero"),
    "recurrent": lambda: snn.RLeaky(0.9, linear_features=12, init_hidden=True),
    "alpha": lambda: snn.Alpha(0.9, 0.8, init_hidden=True),
}


class Loop(nn.Module):
    def __init__(self, neurons):
        super().__init__()
        self.fc, self.neurons = nn.Linear(16, 12), neurons
        self.readout, self.output = nn.Linear(12, 3), snn.Leaky(0.99, init_hidden=True, output=True)

    def forward(self, x):
        self.neurons.reset_mem()
        self.output.reset_mem()
        steps = [self.output(self.readout(self.neurons(self.fc(x_t)))) for x_t in x]
        return tuple(torch.stack(row) for row in zip(*steps, strict=True))


@pytest.mark.parametrize("make", [sb.fuse, sb.pack])
@pytest.mark.parametrize("kind", NEURONS)
def test_it_is_the_network_under_autocast(kind, make):
    torch.manual_seed(0)
    net, x = Loop(NEURONS[kind]()), (torch.rand(12, 4, 16) < 0.4).float()
    sb.binarize_(net, sb.Sign())
    with torch.no_grad():
        outside = make(net.eval(), x[:5, :3])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inside, expected = make(net, x[:5, :3]), net(x)
            for made in (outside, inside):
                spikes, potentials = made(x)
                assert potentials.dtype == expected[1].dtype == torch.float32
                if make is sb.fuse:
                    assert torch.equal(spikes, expected[0])
                    torch.testing.assert_close(potentials, expected[1])
