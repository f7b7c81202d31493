"""A network with a loop of its own over time, in which a test says what is done."""

import host
import networks
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.inference import logits


class Loop(nn.Module):
    """Two layers of neurons; `run(net, x)` is its forward pass."""

    def __init__(self, run, rule=None):
        super().__init__()
        self.run, options = run, {"weight": rule or sb.Sign()}
        self.fc1, self.lif1 = sb.nn.BinaryLinear(12, 9, **options), snn.Leaky(beta=0.8, threshold=0.3)
        self.fc2, self.lif2 = sb.nn.BinaryLinear(9, 4, **options), snn.Leaky(beta=0.9, threshold=0.3)
        self.norm = nn.BatchNorm1d(9)
        self.norm.running_mean.uniform_(-0.3, 0.3)
        self.back = sb.nn.BinaryLinear(4, 9, **options)

    def forward(self, x):
        return self.run(self, x)

    def both(self, steps):
        """Spikes and potentials, [T, B, 4]."""
        mem1, mem2, spikes, potentials = self.lif1.init_leaky(), self.lif2.init_leaky(), [], []
        for x_t in steps:
            spk1, mem1 = self.lif1(self.fc1(x_t), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            potentials.append(mem2)
        return torch.stack(spikes), torch.stack(potentials)

    def spikes(self, steps):
        return self.both(steps)[0]

    def potentials(self, steps):
        return self.both(steps)[1]


def packed(run, x):
    """The packed network, which answers as the network does."""
    torch.manual_seed(0)
    net = Loop(run).eval()
    found = sb.pack(net, x)
    torch.testing.assert_close(found(x), net(x), rtol=0, atol=1e-5)
    return found


def sequence(steps=7, examples=3):
    torch.manual_seed(1)
    return networks.spikes(steps, examples, 12, density=0.5)


def image(examples=3):
    return sequence(1, examples)[0]


def check(run, x, folder, steps=None, **options):
    """Compare class scores of C and of the network, which is shown x or, as often as it says, one input."""
    net = packed(run, x)
    device = host.Device(net, folder, sample=x, time_dim=0 if steps is None else None, **options)
    if steps is not None:
        assert f"#define NET_STEPS {steps}u" in (device.folder / "net.h").read_text()
        x = x.expand(steps, *x.shape)
    output = net(x if steps is None else x[0])
    expected = logits(output) if output.dim() == 3 else output
    assert bool(expected.any())
    got = torch.stack([device.run(x[:, example])[0] for example in range(x.shape[1])])
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    return device
