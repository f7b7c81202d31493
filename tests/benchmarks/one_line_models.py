"""Spiking networks as people write them, each a float network in the form of a tutorial or of a public model."""

from itertools import pairwise

import snntorch as snn
import torch
from snntorch import utils
from torch import nn
from torch.nn import functional as F


class ReadmeScript(nn.Module):
    """The script of the guide's first page."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(64, 512), snn.Leaky(beta=0.95)
        self.fc2, self.lif2 = nn.Linear(512, 10), snn.Leaky(beta=0.95, reset_mechanism="none")

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, potentials = [], []
        for _ in range(15):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            potentials.append(mem2)
        return torch.stack(spikes), torch.stack(potentials)


class Tutorial5(nn.Module):
    """snnTorch's tutorial 5: a fully connected network shown an image for 25 steps."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(784, 1000), snn.Leaky(beta=0.95)
        self.fc2, self.lif2 = nn.Linear(1000, 10), snn.Leaky(beta=0.95)

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spk2_rec, mem2_rec = [], []
        for _step in range(25):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spk2_rec.append(spk2)
            mem2_rec.append(mem2)
        return torch.stack(spk2_rec, dim=0), torch.stack(mem2_rec, dim=0)


class Tutorial6(nn.Module):
    """snnTorch's tutorial 6: a convolutional `nn.Sequential` that is called step by step."""

    def __init__(self) -> None:
        super().__init__()
        grad = snn.surrogate.fast_sigmoid(slope=25)
        self.net = nn.Sequential(
            nn.Conv2d(1, 12, 5),
            nn.MaxPool2d(2),
            snn.Leaky(beta=0.5, spike_grad=grad, init_hidden=True),
            nn.Conv2d(12, 64, 5),
            nn.MaxPool2d(2),
            snn.Leaky(beta=0.5, spike_grad=grad, init_hidden=True),
            nn.Flatten(),
            nn.Linear(64 * 4 * 4, 10),
            snn.Leaky(beta=0.5, spike_grad=grad, init_hidden=True, output=True),
        )

    def forward(self, x):
        utils.reset(self.net)
        spikes, potentials = zip(*(self.net(x) for _ in range(8)), strict=True)
        return torch.stack(spikes), torch.stack(potentials)


class Tutorial7(nn.Module):
    """snnTorch's tutorial 7: the convolutional network on frames of events."""

    def __init__(self) -> None:
        super().__init__()
        grad = snn.surrogate.atan()
        self.net = nn.Sequential(
            nn.Conv2d(2, 12, 5),
            snn.Leaky(beta=0.5, spike_grad=grad, init_hidden=True),
            nn.MaxPool2d(2),
            nn.Conv2d(12, 32, 5),
            snn.Leaky(beta=0.5, spike_grad=grad, init_hidden=True),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 5 * 5, 4),
            snn.Leaky(beta=0.5, spike_grad=grad, init_hidden=True, output=True),
        )

    def forward(self, data):
        spk_rec = []
        utils.reset(self.net)
        for step in range(data.size(0)):
            spk_out, _mem_out = self.net(data[step])
            spk_rec.append(spk_out)
        return torch.stack(spk_rec)


class NormDropout(nn.Module):
    """Convolutions with batch norm and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1, self.lif1 = nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), snn.Leaky(beta=0.9)
        self.conv2, self.bn2, self.lif2 = nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), snn.Leaky(beta=0.9)
        self.drop, self.fc, self.lif3 = nn.Dropout(0.25), nn.Linear(32 * 4, 10), snn.Leaky(beta=0.9)

    def forward(self, x):
        mem1, mem2, mem3 = self.lif1.init_leaky(), self.lif2.init_leaky(), self.lif3.init_leaky()
        rec = []
        for _ in range(8):
            spk, mem1 = self.lif1(F.max_pool2d(self.bn1(self.conv1(x)), 2), mem1)
            spk, mem2 = self.lif2(F.max_pool2d(self.bn2(self.conv2(spk)), 2), mem2)
            _, mem3 = self.lif3(self.fc(self.drop(spk.flatten(1))), mem3)
            rec.append(mem3)
        return torch.stack(rec)


class Residual(nn.Module):
    """Residual blocks of two convolutions with batch norms; three of them by default, which is eight layers."""

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
            self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
            self.lif1, self.lif2 = (snn.Leaky(beta=0.5, init_hidden=True) for _ in range(2))
            self.shortcut = nn.Sequential()
            if stride != 1 or inputs != outputs:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
                )

        def forward(self, x):
            out = self.lif1(self.bn1(self.conv1(x)))
            return self.lif2(self.bn2(self.conv2(out)) + self.shortcut(x))

    def __init__(self, blocks=((8, 8, 1), (8, 16, 2), (16, 32, 2))) -> None:
        super().__init__()
        self.conv, self.bn, self.lif = (
            nn.Conv2d(1, 8, 3, 2, 1, bias=False),
            nn.BatchNorm2d(8),
            snn.Leaky(beta=0.5, init_hidden=True),
        )
        self.blocks = nn.ModuleList(self.Block(*block) for block in blocks)
        self.fc = nn.Linear(blocks[-1][1], 10)

    def forward(self, x):
        utils.reset(self)
        for module in self.modules():
            if isinstance(module, snn.Leaky):
                module.reset_mem()
        total = 0.0
        for _ in range(4):
            out = self.lif(self.bn(self.conv(x)))
            for block in self.blocks:
                out = block(out)
            total = total + self.fc(out.mean((2, 3)))
        return total / 4


def residual_18():
    """Eighteen layers: eight blocks, two of each width."""
    widths = (8, 16, 32, 64)
    firsts = [(8, 8, 1), *((inputs, outputs, 2) for inputs, outputs in pairwise(widths))]
    return Residual([block for first in firsts for block in (first, (first[1], first[1], 1))])


class VGG(nn.Module):
    """Nine layers after VGG: seven convolutions with batch norms, three pools, two linear layers."""

    PLAN = (16, 16, "pool", 32, 32, "pool", 64, 64, 64, "pool")

    def __init__(self) -> None:
        super().__init__()
        layers, channels = [], 1
        for width in self.PLAN:
            if width == "pool":
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [
                nn.Conv2d(channels, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                snn.Leaky(beta=0.5, init_hidden=True),
            ]
            channels = width
        self.features = nn.Sequential(*layers)
        self.fc1, self.lif, self.fc2 = nn.Linear(64 * 9, 128), snn.Leaky(beta=0.5, init_hidden=True), nn.Linear(128, 10)

    def forward(self, x):
        utils.reset(self)
        total = 0.0
        for _ in range(4):
            total = total + self.fc2(self.lif(self.fc1(self.features(x).flatten(1))))
        return total / 4


class Recurrent(nn.Module):
    """Rows of an image, one a step, into recurrent neurons."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.rlif = nn.Linear(8, 64), snn.RLeaky(beta=0.9, linear_features=64)
        self.fc2, self.lif = nn.Linear(64, 10), snn.Leaky(beta=0.9, reset_mechanism="none")

    def forward(self, x):
        (spk, mem1), mem2 = self.rlif.init_rleaky(), self.lif.init_leaky()
        rec = []
        for row in x:
            spk, mem1 = self.rlif(self.fc1(row), spk, mem1)
            _, mem2 = self.lif(self.fc2(spk), mem2)
            rec.append(mem2)
        return torch.stack(rec)


class Ramp(nn.Module):
    """Regression by a membrane potential."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(1, 128), snn.Leaky(beta=0.9)
        self.fc2, self.lif2 = nn.Linear(128, 128), snn.Leaky(beta=0.9)
        self.fc3, self.lif3 = nn.Linear(128, 1), snn.Leaky(beta=0.9, reset_mechanism="none")

    def forward(self, x):
        mem1, mem2, mem3 = self.lif1.init_leaky(), self.lif2.init_leaky(), self.lif3.init_leaky()
        rec = []
        for x_t in x:
            spk, mem1 = self.lif1(self.fc1(x_t), mem1)
            spk, mem2 = self.lif2(self.fc2(spk), mem2)
            _, mem3 = self.lif3(self.fc3(spk), mem3)
            rec.append(mem3)
        return torch.stack(rec)


class Autoencoder(nn.Module):
    """snnTorch's autoencoder in small: convolutions, a code, and convolutions back."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1),
            nn.BatchNorm2d(16),
            snn.Leaky(beta=0.5, init_hidden=True),
            nn.Conv2d(16, 32, 3, 2, 1),
            nn.BatchNorm2d(32),
            snn.Leaky(beta=0.5, init_hidden=True),
            nn.Flatten(),
            nn.Linear(32 * 7 * 7, 64),
            snn.Leaky(beta=0.5, init_hidden=True),
        )
        self.decoder = nn.Sequential(
            nn.Linear(64, 32 * 7 * 7),
            snn.Leaky(beta=0.5, init_hidden=True),
            nn.Unflatten(1, (32, 7, 7)),
            nn.ConvTranspose2d(32, 16, 3, 2, 1, output_padding=1),
            nn.BatchNorm2d(16),
            snn.Leaky(beta=0.5, init_hidden=True),
            nn.ConvTranspose2d(16, 1, 3, 2, 1, output_padding=1),
        )

    def forward(self, x):
        utils.reset(self.encoder)
        utils.reset(self.decoder)
        return torch.stack([self.decoder(self.encoder(x)) for _ in range(5)]).mean(0)


class Attention(nn.Module):
    """Spiking self-attention: queries, keys and values are spikes of eight tokens, the rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.lif = nn.Linear(8, 64), snn.Leaky(beta=0.5)
        self.q, self.k, self.v = (nn.Linear(64, 64) for _ in range(3))
        self.q_lif, self.k_lif, self.v_lif, self.a_lif = (snn.Leaky(beta=0.5) for _ in range(4))
        self.project, self.p_lif, self.head = nn.Linear(64, 64), snn.Leaky(beta=0.5), nn.Linear(64 * 8, 10)

    def forward(self, x):
        mem, q_mem, k_mem, v_mem, a_mem, p_mem = (self.lif.init_leaky() for _ in range(6))
        rec = []
        for _ in range(6):
            spk, mem = self.lif(self.embed(x), mem)
            q, q_mem = self.q_lif(self.q(spk), q_mem)
            k, k_mem = self.k_lif(self.k(spk), k_mem)
            v, v_mem = self.v_lif(self.v(spk), v_mem)
            attended, a_mem = self.a_lif(q @ k.transpose(-2, -1) @ v * 0.125, a_mem)
            out, p_mem = self.p_lif(self.project(attended), p_mem)
            rec.append(self.head((out + spk).flatten(1)))
        return torch.stack(rec)


def norse_network() -> nn.Module:
    """Norse's cells in a container, given one step at a time."""
    import norse.torch as norse

    return norse.SequentialState(nn.Linear(64, 128), norse.LIFBoxCell(), nn.Linear(128, 10), norse.LICell())


class NorseLoop(nn.Module):
    """A container of Norse's cells, and the loop over time around it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = norse_network()

    def forward(self, x):
        state, rec = None, []
        for _ in range(20):
            out, state = self.net(20 * x, state)
            rec.append(out)
        return torch.stack(rec)
