"""A training step of a network with its loop in `forward`, fused, against the same network as it was written.

The network is that of the README's first script. Both share their parameters, and learning rates are 0, so that the
work stays what it is.
"""

import pytest
import snntorch as snn
import torch
from torch import nn
from torch.nn import functional as F

import snntorch_binary as sb

from .measure import one_thread, report

__all__ = ["one_thread"]

BATCH = 50


class Net(nn.Module):
    def __init__(self, num_steps):
        super().__init__()
        self.num_steps = num_steps
        self.fc1, self.lif1 = nn.Linear(64, 128), snn.Leaky(beta=0.95)
        self.fc2, self.lif2 = nn.Linear(128, 10), snn.Leaky(beta=0.95, reset_mechanism="none")

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, potentials = [], []
        for _ in range(self.num_steps):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            potentials.append(mem2)
        return torch.stack(spikes), torch.stack(potentials)


@pytest.mark.parametrize("num_steps", [15, 25, 50, 100])
@pytest.mark.parametrize("rule", [None, sb.Sign(), sb.Bernoulli()], ids=["float", "st", "bayes"])
def test_fused_against_looped(benchmark, rule, num_steps):
    net, x, labels = Net(num_steps), torch.rand(BATCH, 64), torch.randint(0, 10, (BATCH,))
    if rule is not None:
        sb.binarize_(net, rule)
    fused = sb.fuse(net, x[:2])
    assert torch.equal(fused(x)[0], net(x)[0])

    def step(of):
        optimizer = torch.optim.SGD(of.parameters(), lr=0.0)

        def train():
            optimizer.zero_grad()
            F.cross_entropy(of(x)[1].mean(0), labels).backward()
            optimizer.step()

        return train

    kind = "real weights" if rule is None else type(rule).__name__
    report(benchmark, f"README's network, {kind}, T = {num_steps}", 3.0, "its loop", ours=step(fused), theirs=step(net))
