"""Convolutions, norms, pooling and shortcuts."""

from __future__ import annotations

import snntorch as snn
import torch
from snntorch import utils
from torch import nn
from torch.nn import functional as F

T = 6


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
