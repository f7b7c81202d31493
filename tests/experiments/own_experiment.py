"""What a user has in a folder of his own: a network, recordings with a function that reads them, and a YAML file."""

import numpy as np

NETWORK = '''\
import snntorch as snn
import torch
from torch import nn


class ConvNet(nn.Module):
    """A loop over time inside `forward`, as in snnTorch's tutorials."""

    def __init__(self, channels=8, num_classes=3, beta=0.9):
        super().__init__()
        self.conv, self.pool = nn.Conv2d(2, channels, 3, padding=1), nn.MaxPool2d(2)
        self.lif1 = snn.Leaky(beta=beta)
        self.fc = nn.Linear(channels * 4 * 4, num_classes)
        self.lif2 = snn.Leaky(beta=beta)

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, membranes = [], []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.pool(self.conv(x[step])), mem1)
            spk2, mem2 = self.lif2(self.fc(spk1.flatten(1)), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes), torch.stack(membranes)
'''
DATA = """\
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent / "recordings"


def gestures():
    def part(name):
        files = sorted((HERE / name).rglob("*.npy"))
        return np.stack([np.load(file) for file in files]), np.array([int(file.parent.name) for file in files])

    return {name: part(name) for name in ("train", "validation", "test")}
"""
YAML = """\
# Gestures before an event camera, told apart by a convolutional network.
network:
  class_path: own_models.ConvNet
  init_args: {channels: 6}
data: {class_path: own_data.gestures}
rules:
  - full-precision
  - st
  - bayes: {num_members: 3}
epochs: 4
batch_size: 10
seeds: [0]
"""


def write_recordings(folder):
    """Write 2 x 8 x 8 events in 6 time steps of three gestures, which are bars in three places."""
    random = np.random.default_rng(0)
    for part, count in (("train", 30), ("validation", 6), ("test", 8)):
        for label in range(3):
            (folder / part / str(label)).mkdir(parents=True)
            for index in range(count):
                x = random.random((6, 2, 8, 8)) < 0.05
                x[:, label % 2, 2 * label : 2 * label + 3] |= random.random((6, 3, 8)) < 0.9
                np.save(folder / part / str(label) / f"{index}.npy", x.astype(np.uint8))


def write(folder):
    """Write all that a user has."""
    folder.mkdir(parents=True, exist_ok=True)
    write_recordings(folder / "recordings")
    for name, text in {"own_models.py": NETWORK, "own_data.py": DATA, "mine.yaml": YAML}.items():
        (folder / name).write_text(text)
