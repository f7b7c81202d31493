"""A training step of our time-first networks against the same network written with snnTorch and other libraries.

All networks start from the same weights; learning rates are 0, so that the work stays what it is.
"""

import importlib.util
import os
import subprocess
import sys
from itertools import pairwise

import pytest
import snntorch as snn
import torch
from snntorch import surrogate
from torch import nn
from torch.nn import functional as F

import snntorch_binary as sb

from .measure import BATCH, STEPS, one_thread, report, spikes

__all__ = ["one_thread"]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

BETA = 0.9


def linears(sizes):
    torch.manual_seed(0)
    layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    with torch.no_grad():
        for layer in layers:
            layer.weight.mul_(3.0)  # so that hidden neurons spike
    return nn.ModuleList(layers)


class SnnTorch(nn.Module):
    """A loop over time, as snnTorch's tutorials write it."""

    def __init__(self, sizes):
        super().__init__()
        self.layers = linears(sizes)
        self.neurons = nn.ModuleList(snn.Leaky(beta=BETA, spike_grad=surrogate.atan()) for _ in self.layers)

    def forward(self, x):
        membranes = [neuron.init_leaky() for neuron in self.neurons]
        recorded = []
        for x_t in x:
            for i, (layer, neuron) in enumerate(zip(self.layers, self.neurons, strict=True)):
                x_t, membranes[i] = neuron(layer(x_t), membranes[i])
            recorded.append(x_t)
        return torch.stack(recorded)


def time_first(sizes, rule=None):
    net = nn.Sequential(*(part for layer in linears(sizes) for part in (layer, sb.nn.Leaky(beta=BETA))))
    if rule is not None:
        sb.binarize_(net, rule, scale="channel")
    return net


def norse_net(sizes):
    import norse.torch as norse

    class Norse(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers, self.cells = linears(sizes), nn.ModuleList(norse.LIFCell() for _ in sizes[1:])

        def forward(self, x):
            states, recorded = [None] * len(self.cells), []
            for x_t in x:
                for i, (layer, cell) in enumerate(zip(self.layers, self.cells, strict=True)):
                    x_t, states[i] = cell(layer(x_t), states[i])
                recorded.append(x_t)
            return torch.stack(recorded)

    return Norse()


def spikingjelly_net(sizes):
    from spikingjelly.activation_based import functional, layer, neuron

    class SpikingJelly(nn.Module):
        def __init__(self):
            super().__init__()
            parts = []
            for linear in linears(sizes):
                lif = neuron.LIFNode(tau=10.0, decay_input=False, v_reset=None, step_mode="m")
                parts += [layer.SeqToANNContainer(linear), lif]
            self.net = nn.Sequential(*parts)

        def forward(self, x):
            functional.reset_net(self)
            return self.net(x)

    return SpikingJelly()


def stepper(net, optimizer, x, labels):
    def step():
        optimizer.zero_grad()
        F.cross_entropy(net(x).mean(0), labels).backward()
        optimizer.step()

    return step


def adam(net):
    return torch.optim.Adam(net.parameters(), lr=0.0)


def products(sizes):
    """The matrix products of a training step, and nothing else: the floor of a dense step."""
    rows = STEPS * BATCH
    given = [(torch.rand(rows, a), torch.rand(b, a), torch.rand(rows, b)) for a, b in pairwise(sizes)]

    def multiply():
        for index, (x, weight, grad) in enumerate(given):
            x @ weight.T
            grad.T @ x
            if index:
                grad @ weight

    return multiply


@pytest.mark.parametrize(
    ("sizes", "density", "least"),
    [
        ((784, 256, 256, 10), 0.05, 3.2),
        ((2312, 512, 10), 0.05, 2.6),
        ((2312, 512, 10), 0.30, None),
    ],
)
def test_training_step(benchmark, sizes, density, least):
    x, labels = spikes(STEPS, BATCH, sizes[0], density=density), torch.randint(10, (BATCH,))
    bayes, sign, real, theirs = (
        time_first(sizes, sb.Bernoulli()),
        time_first(sizes, sb.Sign()),
        time_first(sizes),
        SnnTorch(sizes),
    )
    with torch.no_grad():  # a product over all steps rounds otherwise than one a step; a flipped spike has followers
        assert (real(x) != theirs(x)).float().mean() < 1e-3
        benchmark.extra_info["hidden_rate"] = sign[:2](x).mean().item()
    sides = {
        "theirs": stepper(theirs, adam(theirs), x, labels),
        "ours": stepper(sign, adam(sign), x, labels),
        "bayes": stepper(
            bayes, sb.optim.BayesBiSNN(bayes.parameters(), 1e-30, 0.0, base_lr=0.0, betas=None), x, labels
        ),
        "full_precision": stepper(real, adam(real), x, labels),
        "dense_products": products(sizes),
    }
    for name, make in (("norse", norse_net), ("spikingjelly", spikingjelly_net)):
        if importlib.util.find_spec(name):
            net = make(sizes)
            sides[name] = stepper(net, adam(net), x, labels)
    name = "-".join(map(str, sizes))
    row = f"training step {name}, {density:.0%} dense"
    found = report(benchmark, row, least, "snnTorch", repeats=5, rounds=5, **sides)
    floors = {side: found[side] / found["dense_products"] for side in ("ours", "bayes", "full_precision")}
    benchmark.extra_info["times_the_dense_floor"] = floors
    print(f"  times the dense floor: {', '.join(f'{side} {ratio:.2f}' for side, ratio in floors.items())}")


MEMORY = """
import sys, torch
from pathlib import Path
from tests.benchmarks.test_training import SnnTorch, adam, sb, stepper, time_first

def status(field):  # in KiB; Linux
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))

torch.set_num_threads(1)
side, steps, sizes = sys.argv[1], int(sys.argv[2]), (784, 256, 256, 10)
net = SnnTorch(sizes) if side in ("theirs", "ours") else time_first(sizes, sb.Sign())
if side == "ours":
    sb.binarize_(net, sb.Sign(), scale="channel")
    net = sb.fuse(net, torch.rand(3, 2, sizes[0]))
if side == "recomputed":
    net = sb.nn.TimeChunks(net, steps=20)
x, labels = torch.empty(steps, 64, sizes[0]).bernoulli_(0.05), torch.randint(10, (64,))
stepper(net, adam(net), x[:2], labels)()  # imports, compilation, optimizer state
Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
before = status("VmRSS")
stepper(net, adam(net), x, labels)()
print(status("VmHWM") - before)
"""


def peak_memory(side, steps):
    """MiB that a training step adds to the peak of a process, which gives back what it has freed."""
    command = [sys.executable, "-W", "ignore", "-c", MEMORY, side, str(steps)]
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return int(run.stdout) / 1024


def test_peak_memory(benchmark):
    found = {side: peak_memory(side, 400) for side in ("theirs", "ours", "time_first", "recomputed")}
    ratios = {side: size / found["theirs"] for side, size in found.items()}
    floor = 2 * 400 * 64 * 256 * 4 / 2**20 / found["theirs"]  # potentials of two layers, which a backward pass needs
    benchmark.extra_info.update(row="peak memory 784-256-256-10, T=400", least="1/2", mib=found, ratios=ratios)
    print(f"\npeak memory of a training step, T=400, in MiB (least 1/2 of snnTorch, floor {floor:.2f}):", end="")
    print("".join(f"  {side} {size:.0f} ({ratios[side]:.2f})" for side, size in found.items()))
    benchmark.pedantic(peak_memory, ("recomputed", 400), rounds=1)
