"""Every kind of neurons, with states handed on or kept."""

from __future__ import annotations

import snntorch as snn
import torch
from snntorch import surrogate, utils
from torch import nn

T = 6


class StaticImage(nn.Module):
    """The README's: a constant number of steps on an image."""

    def __init__(self):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(12, 16), snn.Leaky(beta=0.95, threshold=0.4)
        self.fc2, self.lif2 = nn.Linear(16, 5), snn.Leaky(beta=0.95, reset_mechanism="none")

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        rec, potentials = [], []
        for _ in range(T):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            rec.append(spk2)
            potentials.append(mem2)
        return torch.stack(rec), torch.stack(potentials)


class LoopOverTime(nn.Module):
    """x.size(0) steps; the membrane is not returned; learnable constants; a surrogate of its own."""

    def __init__(self):
        super().__init__()
        grad = surrogate.fast_sigmoid(slope=10)
        self.fc1 = nn.Linear(12, 16)
        self.lif1 = snn.Leaky(
            beta=torch.rand(16), learn_beta=True, threshold=0.3, learn_threshold=True, spike_grad=grad
        )
        self.fc2, self.lif2 = nn.Linear(16, 5), snn.Leaky(beta=0.8, threshold=0.2, spike_grad=grad)

    def forward(self, x):
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        rec = []
        for step in range(x.size(0)):
            cur1 = self.fc1(x[step])
            spk1, mem1 = self.lif1(cur1, mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            rec.append(spk2)
        return torch.stack(rec, dim=0)


class HiddenStates(nn.Module):
    """init_hidden=True and utils.reset, an nn.Sequential inside."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(12, 16),
            snn.Leaky(beta=0.9, threshold=0.3, init_hidden=True),
            nn.Linear(16, 5),
            snn.Leaky(beta=0.9, threshold=0.2, init_hidden=True, output=True),
        )

    def forward(self, x):
        utils.reset(self.net)
        spk_rec, mem_rec = [], []
        for x_t in x:
            spk, mem = self.net(x_t)
            spk_rec.append(spk)
            mem_rec.append(mem)
        return torch.stack(spk_rec), torch.stack(mem_rec)


class OneStep(nn.Module):
    """One time step a call; the loop is in the training script."""

    def __init__(self):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(12, 16), snn.Leaky(beta=0.9, threshold=0.3, init_hidden=True)
        self.fc2, self.lif2 = nn.Linear(16, 5), snn.Leaky(beta=0.9, threshold=0.2, init_hidden=True, output=True)

    def forward(self, x):
        return self.lif2(self.fc2(self.lif1(self.fc1(x))))


class Synaptic(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(12, 16), snn.Synaptic(alpha=0.8, beta=0.7, threshold=0.5)
        self.fc2, self.lif2 = nn.Linear(16, 5), snn.Synaptic(alpha=0.6, beta=0.9, threshold=0.3, learn_alpha=True)

    def forward(self, x):
        syn1, mem1 = self.lif1.init_synaptic()
        syn2, mem2 = self.lif2.init_synaptic()
        rec = []
        for t in range(x.shape[0]):
            spk1, syn1, mem1 = self.lif1(self.fc1(x[t]), syn1, mem1)
            spk2, syn2, mem2 = self.lif2(self.fc2(spk1), syn2, mem2)
            rec.append((spk2, syn2, mem2))
        spk, syn, mem = zip(*rec, strict=True)
        return torch.stack(spk), torch.stack(syn), torch.stack(mem)


class Alpha(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(12, 16), snn.Alpha(alpha=0.9, beta=0.8, threshold=0.3)
        self.fc2, self.lif2 = nn.Linear(16, 5), snn.Leaky(beta=0.9, threshold=0.2)

    def forward(self, x):
        exc, inh, mem1 = self.lif1.init_alpha()
        mem2 = self.lif2.init_leaky()
        rec = []
        for t in range(x.size(0)):
            spk1, exc, inh, mem1 = self.lif1(self.fc1(x[t]), exc, inh, mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            rec.append(spk2)
        return torch.stack(rec)


class Lapicque(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(12, 5), snn.Lapicque(beta=0.9, threshold=0.3)

    def forward(self, x):
        mem, rec = self.lif.init_lapicque(), []
        for t in range(x.size(0)):
            spk, mem = self.lif(self.fc(x[t]), mem)
            rec.append(spk)
        return torch.stack(rec)


class Recurrent(nn.Module):
    """RLeaky and RSynaptic, all-to-all and one-to-one."""

    def __init__(self):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(12, 16), snn.RLeaky(beta=0.8, threshold=0.4, linear_features=16)
        self.fc2, self.lif2 = nn.Linear(16, 8), snn.RSynaptic(alpha=0.7, beta=0.8, threshold=0.4, linear_features=8)
        self.fc3, self.lif3 = nn.Linear(8, 5), snn.Leaky(beta=0.8, threshold=0.2)

    def forward(self, x):
        spk1, mem1 = self.lif1.init_rleaky()
        spk2, syn2, mem2 = self.lif2.init_rsynaptic()
        mem3 = self.lif3.init_leaky()
        rec = []
        for t in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(x[t]), spk1, mem1)
            spk2, syn2, mem2 = self.lif2(self.fc2(spk1), spk2, syn2, mem2)
            spk3, mem3 = self.lif3(self.fc3(spk2), mem3)
            rec.append(spk3)
        return torch.stack(rec)


class LongShort(nn.Module):
    """SLSTM, and only the last membrane potential is returned."""

    def __init__(self):
        super().__init__()
        self.lstm1, self.lstm2 = snn.SLSTM(12, 16, threshold=0.1), snn.SLSTM(16, 8, threshold=0.1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        syn1, mem1 = self.lstm1.reset_mem()
        syn2, mem2 = self.lstm2.reset_mem()
        for x_t in x.unbind(0):
            spk1, syn1, mem1 = self.lstm1(x_t, syn1, mem1)
            _, syn2, mem2 = self.lstm2(spk1, syn2, mem2)
        return self.fc(mem2)


class Parallel(nn.Module):
    """LeakyParallel, which takes a whole sequence."""

    def __init__(self):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(12, 16), snn.LeakyParallel(16, 16, beta=0.8, threshold=0.4)
        self.fc2, self.lif2 = nn.Linear(16, 5), snn.LeakyParallel(5, 5, beta=0.8, threshold=0.2)

    def forward(self, x):
        return self.lif2(self.fc2(self.lif1(self.fc1(x))))


class OwnSubclass(snn.Leaky):
    """A subclass that only has a constructor of its own."""

    def __init__(self):
        super().__init__(beta=0.85, threshold=0.3)


class Subclassed(nn.Module):
    """Truncated back-propagation by hand: the membrane is detached halfway."""

    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(12, 5), OwnSubclass()

    def forward(self, x):
        mem, rec = self.lif.init_leaky(), []
        for t in range(x.size(0)):
            spk, mem = self.lif(self.fc(x[t]), mem.detach())
            rec.append(spk)
        return torch.stack(rec)
