"""What people write by hand: neurons, feedback, counts, records."""

from __future__ import annotations

import snntorch as snn
import torch
from torch import nn
from torch.nn import functional as F

T = 6


class OwnNeuron(nn.Module):
    """A neuron written by hand, with an autograd Function as its surrogate gradient."""

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx, u):
            ctx.save_for_backward(u)
            return (u > 0).float()

        @staticmethod
        def backward(ctx, grad):
            (u,) = ctx.saved_tensors
            return grad / (1 + 10 * u.abs()) ** 2

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(12, 16), nn.Linear(16, 5)
        self.decay = nn.Parameter(torch.tensor(0.8))

    def lif(self, current, mem):
        mem = self.decay * mem + current
        spk = self.Spike.apply(mem - 0.3)
        return spk, mem * (1 - spk.detach())

    def forward(self, x):
        mem1 = torch.zeros(x.size(1), 16)
        mem2 = torch.zeros(x.size(1), 5)
        rec = []
        for t in range(x.size(0)):
            spk1, mem1 = self.lif(self.fc1(x[t]), mem1)
            spk2, mem2 = self.lif(self.fc2(spk1), mem2)
            rec.append(spk2)
        return torch.stack(rec)


class Feedback(nn.Module):
    """The spikes of the second layer come back into the first at the next step."""

    def __init__(self):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(12, 16), snn.Leaky(beta=0.9, threshold=0.3)
        self.fc2, self.lif2, self.back = nn.Linear(16, 8), snn.Leaky(beta=0.9, threshold=0.3), nn.Linear(8, 16)
        self.fc3, self.lif3 = nn.Linear(8, 5), snn.Leaky(beta=0.9, threshold=0.3)

    def forward(self, x):
        mem1, mem2, mem3 = self.lif1.init_leaky(), self.lif2.init_leaky(), self.lif3.init_leaky()
        spk2 = torch.zeros(x.size(1), 8)
        rec = []
        for t in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(x[t]) + self.back(spk2), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spk3, mem3 = self.lif3(self.fc3(spk2), mem3)
            rec.append(spk3)
        return torch.stack(rec)


class RunningCount(nn.Module):
    """Spikes are counted while they come; the first step is left out."""

    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(12, 5), snn.Leaky(beta=0.9, threshold=0.3, init_hidden=True, output=True)

    def forward(self, x):
        self.lif.reset_mem()
        count = None
        for t, x_t in enumerate(x):
            spk, _mem = self.lif(self.fc(x_t))
            if t == 1:
                count = spk
            elif t > 1:
                count = count + spk
        return F.log_softmax(count, dim=1)


class Lists(nn.Module):
    """Lists of every step are returned, and `sum` and `max` over time."""

    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(12, 5), snn.Leaky(beta=0.9, threshold=0.3)

    def forward(self, x):
        mem, spikes, mems = self.lif.init_leaky(), [], []
        for x_t in x:
            spk, mem = self.lif(self.fc(x_t), mem)
            spikes.append(spk)
            mems.append(mem)
        return spikes, sum(spikes), torch.stack(mems, 1).max(1)[0]


class Preallocated(nn.Module):
    """What was recorded is written into a tensor made before."""

    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(12, 5), snn.Leaky(beta=0.9, threshold=0.3)

    def forward(self, x):
        rec = torch.zeros(x.size(0), x.size(1), 5)
        mem = self.lif.init_leaky()
        for t in range(x.size(0)):
            spk, mem = self.lif(self.fc(x[t]), mem)
            rec[t] = spk
        return rec


class InhibitedMembrane(nn.Module):
    """The membrane potential is changed between two steps: lateral inhibition by hand."""

    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(12, 8), snn.Leaky(beta=0.9, threshold=0.3)
        self.out, self.readout = nn.Linear(8, 5), snn.Leaky(beta=0.9, reset_mechanism="none")

    def forward(self, x):
        mem, mem_out = self.lif.init_leaky(), self.readout.init_leaky()
        potentials = []
        for t in range(x.size(0)):
            spk, mem = self.lif(self.fc(x[t]), mem)
            mem = mem - 0.05 * spk.sum(1, keepdim=True)
            _, mem_out = self.readout(self.out(spk), mem_out)
            potentials.append(mem_out)
        return torch.stack(potentials)
