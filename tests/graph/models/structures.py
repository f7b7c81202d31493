"""Lists of layers, branches, loops in loops, several outputs."""

from __future__ import annotations

from itertools import pairwise

import snntorch as snn
import torch
from snntorch import spikegen
from torch import nn
from torch.nn import functional as F

T = 6


class ListOfLayers(nn.Module):
    """ModuleList loops inside the loop over time, with the membranes in a list."""

    def __init__(self):
        super().__init__()
        sizes = [12, 16, 16, 5]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.lifs = nn.ModuleList(snn.Leaky(beta=0.9, threshold=0.3) for _ in self.layers)
        self.p = 0.1

    def forward(self, x):
        mems = [lif.init_leaky() for lif in self.lifs]
        rec = []
        for t in range(x.size(0)):
            out = x[t]
            for i, (layer, lif) in enumerate(zip(self.layers, self.lifs, strict=True)):
                out, mems[i] = lif(F.dropout(layer(out), self.p, self.training), mems[i])
            rec.append(out)
        return torch.stack(rec)


class LayerByLayer(nn.Module):
    """A loop over time inside each layer: blocks that take and give sequences."""

    class Block(nn.Module):
        def __init__(self, inputs, outputs):
            super().__init__()
            self.fc, self.lif = nn.Linear(inputs, outputs), snn.Leaky(beta=0.9, threshold=0.3)

        def forward(self, x):
            mem = self.lif.init_leaky()
            rec = []
            for x_t in x:
                spk, mem = self.lif(self.fc(x_t), mem)
                rec.append(spk)
            return torch.stack(rec)

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([self.Block(12, 16), self.Block(16, 16), self.Block(16, 5)])

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x.sum(0)


class Concatenation(nn.Module):
    """Two branches whose spikes are concatenated."""

    def __init__(self):
        super().__init__()
        self.a, self.lif_a = nn.Linear(12, 8), snn.Leaky(beta=0.9, threshold=0.3)
        self.b, self.lif_b = nn.Linear(12, 8), snn.Leaky(beta=0.5, threshold=0.3)
        self.fc, self.lif = nn.Linear(16, 5), snn.Leaky(beta=0.9, threshold=0.3)

    def forward(self, x):
        mem_a, mem_b, mem = self.lif_a.init_leaky(), self.lif_b.init_leaky(), self.lif.init_leaky()
        rec = []
        for t in range(x.size(0)):
            spk_a, mem_a = self.lif_a(self.a(x[t]), mem_a)
            spk_b, mem_b = self.lif_b(self.b(x[t]), mem_b)
            spk, mem = self.lif(self.fc(torch.cat([spk_a, spk_b], dim=1)), mem)
            rec.append(spk)
        return torch.stack(rec)


class TwoHeads(nn.Module):
    """Two outputs in a dictionary: scores and a real number."""

    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(12, 16), snn.Leaky(beta=0.9, threshold=0.3)
        self.classes, self.lif_classes = nn.Linear(16, 5), snn.Leaky(beta=0.9, threshold=0.3)
        self.value, self.readout = nn.Linear(16, 1), snn.Leaky(beta=0.9, reset_mechanism="none")

    def forward(self, x):
        mem, mem_c, mem_v = (lif.init_leaky() for lif in (self.lif, self.lif_classes, self.readout))
        rec, values = [], []
        for t in range(x.size(0)):
            spk, mem = self.lif(self.fc(x[t]), mem)
            spk_c, mem_c = self.lif_classes(self.classes(spk), mem_c)
            _, mem_v = self.readout(self.value(spk), mem_v)
            rec.append(spk_c)
            values.append(mem_v)
        return {"classes": torch.stack(rec), "value": torch.stack(values)[-1]}


class Population(nn.Module):
    """Population coding: several neurons a class, their spikes summed."""

    def __init__(self):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(12, 16), snn.Leaky(beta=0.9, threshold=0.3)
        self.fc2, self.lif2 = nn.Linear(16, 20), snn.Leaky(beta=0.9, threshold=0.3)

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        rec = []
        for t in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(x[t]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            rec.append(spk2.view(spk2.size(0), 5, 4).sum(dim=2))
        return torch.stack(rec)


class LayerForEachStep(nn.Module):
    """A time-varying output layer."""

    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(12, 16), snn.Leaky(beta=0.9, threshold=0.3)
        self.out = nn.ModuleList(nn.Linear(16, 5) for _ in range(T))
        self.weight = nn.Parameter(torch.rand(T))

    def forward(self, x):
        mem, total = self.lif.init_leaky(), 0
        for t in range(T):
            spk, mem = self.lif(self.fc(x), mem)
            total = total + self.weight[t] * self.out[t](spk)
        return total


class BatchFirst(nn.Module):
    """[B, T, ...] in and out."""

    def __init__(self):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(12, 16), snn.Leaky(beta=0.9, threshold=0.3)
        self.fc2, self.lif2 = nn.Linear(16, 5), snn.Leaky(beta=0.9, threshold=0.3)

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        rec = []
        for t in range(x.size(1)):
            spk1, mem1 = self.lif1(self.fc1(x[:, t, :]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            rec.append(spk2)
        return torch.stack(rec, dim=1)


class Nested(nn.Module):
    """A network inside a network: a feature extractor of one step, called with its states."""

    class Features(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.lif = nn.Linear(12, 16), snn.Leaky(beta=0.9, threshold=0.3)

        def init_states(self):
            return {"mem": self.lif.init_leaky()}

        def forward(self, x, states):
            spk, mem = self.lif(self.fc(x), states["mem"])
            return spk, {"mem": mem}

    def __init__(self):
        super().__init__()
        self.features = self.Features()
        self.head, self.lif = nn.Linear(16, 5), snn.Leaky(beta=0.9, threshold=0.3)

    def forward(self, x):
        states, mem = self.features.init_states(), self.lif.init_leaky()
        return torch.stack([spk for spk in self._steps(x, states, mem)])

    def _steps(self, x, states, mem):
        for x_t in x:
            spk, states = self.features(x_t, states)
            spk, mem = self.lif(self.head(spk), mem)
            yield spk


class DeltaEncoded(nn.Module):
    """A series that is encoded by its changes before the loop."""

    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(12, 5), snn.Leaky(beta=0.9, threshold=0.3)

    def forward(self, x):
        change = torch.cat((torch.zeros_like(x[:1]), x[1:] - x[:-1]))
        spikes = (change > 0.1).float() - (change < -0.1).float()
        mem, rec = self.lif.init_leaky(), []
        for t in range(spikes.size(0)):
            spk, mem = self.lif(self.fc(spikes[t]), mem)
            rec.append(spk)
        return torch.stack(rec)


class RateEncoded(nn.Module):
    """Spikes are drawn from an image inside the network."""

    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(12, 5), snn.Leaky(beta=0.9, threshold=0.3)

    def forward(self, x):
        x = spikegen.rate(x, num_steps=T)
        mem, rec = self.lif.init_leaky(), []
        for t in range(T):
            spk, mem = self.lif(self.fc(x[t]), mem)
            rec.append(spk)
        return torch.stack(rec)


class ActorCritic(nn.Module):
    """An actor and a critic on shared spikes; one observation is shown for some steps."""

    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(12, 16), snn.Leaky(beta=0.9, threshold=0.3, init_hidden=True)
        self.actor, self.critic = nn.Linear(16, 4), nn.Linear(16, 1)

    def forward(self, x):
        self.lif.reset_mem()
        rates = torch.zeros(x.size(0), 16, device=x.device)
        for _ in range(T):
            rates += self.lif(self.fc(x))
        rates = rates / T
        return torch.softmax(self.actor(rates), dim=-1), self.critic(rates).squeeze(-1)


class SelfAttention(nn.Module):
    """Spiking self-attention: queries, keys and values are spikes, and there is no softmax."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(12, 12, bias=False) for _ in range(4))
        self.lifs = nn.ModuleList(snn.Leaky(beta=0.5, threshold=0.2, init_hidden=True) for _ in range(5))

    def forward(self, x):
        for lif in self.lifs:
            lif.reset_mem()
        rec = []
        for t in range(x.shape[0]):
            B, N, D = x[t].shape
            q, k, v = (
                lif(layer(x[t])).reshape(B, N, 3, D // 3).permute(0, 2, 1, 3)
                for lif, layer in zip(self.lifs, (self.q, self.k, self.v), strict=False)
            )
            attention = (q @ k.transpose(-2, -1)) * 0.25
            y = self.lifs[3]((attention @ v).transpose(1, 2).reshape(B, N, D))
            rec.append(x[t] + self.lifs[4](self.out(y)))
        return torch.stack(rec).mean(dim=(0, 2))
