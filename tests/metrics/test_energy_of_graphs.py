"""The operations of a fused and of a packed network are those of the network that loops over time."""

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.metrics import energy


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.lif1 = nn.Conv2d(1, 4, 3), snn.Leaky(beta=0.9, threshold=0.3)
        self.fc, self.lif2 = nn.Linear(144, 8), snn.RLeaky(beta=0.9, threshold=0.3, linear_features=8)
        self.out, self.lif3 = nn.Linear(8, 3), snn.Leaky(beta=0.9, reset_mechanism="none")

    def forward(self, x):
        mem1, mem3 = self.lif1.init_leaky(), self.lif3.init_leaky()
        spk2, mem2 = self.lif2.init_rleaky()
        potentials = []
        for x_t in x:
            spk, mem1 = self.lif1(self.conv(x_t), mem1)
            spk2, mem2 = self.lif2(self.fc(spk.flatten(1)), spk2, mem2)
            _, mem3 = self.lif3(self.out(spk2), mem3)
            potentials.append(mem3)
        return torch.stack(potentials)


@pytest.mark.parametrize("form", ["fused", "packed"])
def test_equal(form):
    torch.manual_seed(0)
    net, x = Net(), (torch.rand(6, 2, 1, 8, 8) < 0.4).float()
    sb.binarize_(net, sb.Sign())
    before = energy(net, x)
    after = energy(sb.fuse(net, x) if form == "fused" else sb.pack(net, x), x)
    assert before.synaptic_operations == after.synaptic_operations > 0
    assert before.operations_nj == pytest.approx(after.operations_nj)
    if form == "fused":  # packed, the spikes of an RLeaky, which is opened into what it computes, are numbers
        assert before.bytes_moved == pytest.approx(after.bytes_moved)
        assert [row.spikes for row in before.rows] == [row.spikes for row in after.rows]
