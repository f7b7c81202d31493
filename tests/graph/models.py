"""Spiking networks in the forms that people write, each with a sample of its input."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import snntorch as snn
import torch
from snntorch import spikegen, surrogate, utils
from torch import Tensor, nn
from torch.nn import functional as F

T, B = 6, 3


def spikes(*shape: int) -> Tensor:
    return (torch.rand(shape) < 0.5).float()


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


class Convolutional(nn.Module):
    """Convolutions, batch norm, pooling, dropout and a view, on frames of events."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, self.lif1 = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), snn.Leaky(beta=0.9, threshold=0.4)
        self.conv2, self.bn2, self.lif2 = nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm2d(6), snn.Leaky(beta=0.9)
        self.drop = nn.Dropout(0.3)
        self.fc, self.lif3 = nn.Linear(24, 5), snn.Leaky(beta=0.9, threshold=0.3)

    def forward(self, x):
        mem1, mem2, mem3 = self.lif1.init_leaky(), self.lif2.init_leaky(), self.lif3.init_leaky()
        rec = []
        for t in range(x.size(0)):
            spk1, mem1 = self.lif1(F.max_pool2d(self.bn1(self.conv1(x[t])), 2), mem1)
            spk2, mem2 = self.lif2(self.bn2(self.conv2(spk1)), mem2)
            flat = self.drop(spk2.view(spk2.size(0), -1))
            spk3, mem3 = self.lif3(self.fc(flat), mem3)
            rec.append(spk3)
        return torch.stack(rec)


class StaticConvolutional(nn.Module):
    """snnTorch's tutorial: an image shown for some steps, `view(batch_size, -1)`."""

    def __init__(self):
        super().__init__()
        self.conv1, self.lif1 = nn.Conv2d(1, 4, 3), snn.Leaky(beta=0.9, threshold=0.3)
        self.conv2, self.lif2 = nn.Conv2d(4, 6, 3), snn.Leaky(beta=0.9, threshold=0.3)
        self.fc1, self.lif3 = nn.Linear(6 * 2 * 2, 5), snn.Leaky(beta=0.9, threshold=0.3)

    def forward(self, x):
        batch_size = x.shape[0]
        mem1, mem2, mem3 = self.lif1.init_leaky(), self.lif2.init_leaky(), self.lif3.init_leaky()
        spk3_rec, mem3_rec = [], []
        for _step in range(T):
            cur1 = F.max_pool2d(self.conv1(x), 2)
            spk1, mem1 = self.lif1(cur1, mem1)
            cur2 = F.avg_pool2d(self.conv2(spk1), 1)
            spk2, mem2 = self.lif2(cur2, mem2)
            cur3 = self.fc1(spk2.view(batch_size, -1))
            spk3, mem3 = self.lif3(cur3, mem3)
            spk3_rec.append(spk3)
            mem3_rec.append(mem3)
        return torch.stack(spk3_rec, dim=0), torch.stack(mem3_rec, dim=0)


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


class Residual(nn.Module):
    """A residual block of spikes, with a strided shortcut."""

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
            self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
            self.lif1, self.lif2 = (snn.Leaky(beta=0.8, threshold=0.4, init_hidden=True) for _ in range(2))
            self.shortcut = nn.Sequential()
            if stride != 1 or inputs != outputs:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
                )

        def forward(self, x):
            out = self.lif1(self.bn1(self.conv1(x)))
            out = self.bn2(self.conv2(out))
            out += self.shortcut(x)
            return self.lif2(out)

    def __init__(self):
        super().__init__()
        self.conv, self.lif = nn.Conv2d(1, 4, 3, 1, 1), snn.Leaky(beta=0.8, threshold=0.3, init_hidden=True)
        self.block1, self.block2 = self.Block(4, 4, 1), self.Block(4, 6, 2)
        self.fc = nn.Linear(6, 5)

    def forward(self, x):
        utils.reset(self)
        for module in self.modules():
            if isinstance(module, snn.Leaky):
                module.reset_mem()
        total = 0.0
        for _ in range(T):
            out = self.block2(self.block1(self.lif(self.conv(x))))
            out = F.adaptive_avg_pool2d(out, 1).flatten(1)
            total = total + self.fc(out)
        return total / T


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


class Autoencoder(nn.Module):
    """An encoder and a decoder with transposed convolutions; the membrane of the last step is the picture."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 4, 3, 2, 1),
            nn.BatchNorm2d(4),
            snn.Leaky(beta=0.8, threshold=0.2, init_hidden=True),
            nn.Flatten(),
            nn.Linear(64, 6),
            snn.Leaky(beta=0.8, threshold=0.1, init_hidden=True, output=True),
        )
        self.decoder = nn.Sequential(
            nn.Linear(6, 64),
            snn.Leaky(beta=0.8, threshold=0.1, init_hidden=True),
            nn.Unflatten(1, (4, 4, 4)),
            nn.ConvTranspose2d(4, 1, 3, 2, 1, output_padding=1),
            snn.Leaky(beta=0.8, init_hidden=True, output=True, reset_mechanism="none"),
        )

    def forward(self, x):
        utils.reset(self.encoder)
        utils.reset(self.decoder)
        code, picture = [], []
        for _ in range(T):
            spk, _mem = self.encoder(x)
            code.append(spk)
            _spk, mem = self.decoder(spk)
            picture.append(mem)
        return torch.stack(picture, dim=2)[:, :, -1], torch.stack(code)


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


class Permuted(nn.Module):
    """[B, T, C, H, W] permuted, flattened, and the mean over time."""

    def __init__(self):
        super().__init__()
        self.conv, self.lif1 = nn.Conv2d(1, 4, 3, padding=1), snn.Leaky(beta=0.9, threshold=0.3)
        self.pool, self.flatten = nn.AvgPool2d(2), nn.Flatten()
        self.fc, self.lif2 = nn.Linear(64, 5), snn.Leaky(beta=0.9, threshold=0.3)

    def forward(self, x):
        x = x.permute(1, 0, 2, 3, 4).contiguous()
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        rec = []
        for t in range(x.shape[0]):
            spk1, mem1 = self.lif1(self.pool(self.conv(x[t])), mem1)
            spk2, mem2 = self.lif2(self.fc(self.flatten(spk1)), mem2)
            rec += [spk2]
        return torch.stack(rec).mean(0)


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


class SharedNeuron(nn.Module):
    """One neuron in two places, each with a membrane of its own; one pooling for both."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.lif, self.pool = snn.Leaky(beta=0.9, threshold=0.3), nn.MaxPool2d(2)
        self.fc = nn.Linear(16, 5)

    def forward(self, x):
        mem1 = mem2 = mem3 = self.lif.init_leaky()
        rec = []
        for t in range(x.size(0)):
            spk1, mem1 = self.lif(self.pool(self.conv1(x[t])), mem1)
            spk2, mem2 = self.lif(self.pool(self.conv2(spk1)), mem2)
            spk3, mem3 = self.lif(self.fc(spk2.flatten(1)), mem3)
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


def _sequential() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        snn.Leaky(beta=0.8, init_hidden=True, threshold=0.3),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 5),
        snn.Synaptic(alpha=0.7, beta=0.9, init_hidden=True, output=True, threshold=0.2),
    )


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any]]] = {
    "static image": (StaticImage, lambda: torch.rand(B, 12)),
    "loop over time": (LoopOverTime, lambda: spikes(T, B, 12)),
    "hidden states": (HiddenStates, lambda: spikes(T, B, 12)),
    "one step a call": (OneStep, lambda: spikes(T, B, 12)),
    "Synaptic": (Synaptic, lambda: spikes(T, B, 12)),
    "Alpha": (Alpha, lambda: spikes(T, B, 12)),
    "Lapicque": (Lapicque, lambda: spikes(T, B, 12)),
    "RLeaky and RSynaptic": (Recurrent, lambda: spikes(T, B, 12)),
    "SLSTM": (LongShort, lambda: torch.rand(T, B, 12)),
    "LeakyParallel": (Parallel, lambda: spikes(T, B, 12)),
    "convolutions with batch norm": (Convolutional, lambda: spikes(T, B, 2, 10, 10)),
    "static image, convolutions": (StaticConvolutional, lambda: torch.rand(B, 1, 10, 10)),
    "ModuleList": (ListOfLayers, lambda: spikes(T, B, 12)),
    "layer by layer": (LayerByLayer, lambda: spikes(T, B, 12)),
    "residual blocks": (Residual, lambda: torch.rand(B, 1, 6, 6)),
    "concatenation": (Concatenation, lambda: spikes(T, B, 12)),
    "autoencoder": (Autoencoder, lambda: torch.rand(B, 1, 8, 8)),
    "two heads": (TwoHeads, lambda: spikes(T, B, 12)),
    "population": (Population, lambda: spikes(T, B, 12)),
    "a layer for each step": (LayerForEachStep, lambda: torch.rand(B, 12)),
    "batch first": (BatchFirst, lambda: spikes(B, T, 12)),
    "permuted": (Permuted, lambda: spikes(B, T, 1, 8, 8)),
    "network in a network": (Nested, lambda: spikes(T, B, 12)),
    "delta-encoded": (DeltaEncoded, lambda: torch.rand(T, B, 12)),
    "rate-encoded": (RateEncoded, lambda: torch.rand(B, 12)),
    "actor and critic": (ActorCritic, lambda: torch.rand(B, 12)),
    "self-attention": (SelfAttention, lambda: spikes(T, B, 4, 12)),
    "own neuron": (OwnNeuron, lambda: spikes(T, B, 12)),
    "feedback": (Feedback, lambda: spikes(T, B, 12)),
    "shared neuron": (SharedNeuron, lambda: spikes(T, B, 1, 8, 8)),
    "running count": (RunningCount, lambda: spikes(T, B, 12)),
    "lists": (Lists, lambda: spikes(T, B, 12)),
    "preallocated": (Preallocated, lambda: spikes(T, B, 12)),
    "inhibited membrane": (InhibitedMembrane, lambda: spikes(T, B, 12)),
    "subclass and detach": (Subclassed, lambda: spikes(T, B, 12)),
    "Sequential": (_sequential, lambda: spikes(T, B, 1, 8, 8)),
}
"""Networks by form: what makes one, and what makes a sample."""
