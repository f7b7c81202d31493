"""How the cost of a training step and of packed inference grows, beside snnTorch; a table, and a picture.

    python -m tests.benchmarks.growth --picture growth.png

A network 784-WIDTH-10 of leaky neurons; of time steps, width, batch, share of inputs that spike, and members of an
ensemble one grows while the others stay. CPU time of one thread, medians of runs in turns; memory is what a training
step adds to the peak of a process of its own.
"""

import argparse
import os
import statistics
import subprocess
import sys

import torch
from torch.nn import functional as F

import snntorch_binary as sb

from .measure import medians, spikes
from .test_training import SnnTorch, adam, stepper, time_first

START = {"steps": 50, "width": 256, "batch": 64, "density": 0.05, "members": 10}
GROWS = {
    "steps": (12, 25, 50, 100, 200, 400),
    "width": (64, 128, 256, 512, 1024, 2048),
    "batch": (1, 4, 16, 64, 256),
    "density": (0.01, 0.02, 0.05, 0.1, 0.2, 0.4),
    "members": (1, 2, 5, 10, 20),
}
NAMES = {"steps": "time steps", "density": "share of inputs that spike", "members": "members of the ensemble"}
COLOURS = {
    "snnTorch": "#0072B2",
    "ST": "#D55E00",
    "Bayes": "#CC79A7",
    "packed": "#009E73",
    "packed ensemble": "#999999",
}

MEMORY = """
import sys, torch
from pathlib import Path
from tests.benchmarks.measure import spikes
from tests.benchmarks.test_training import SnnTorch, adam, sb, stepper, time_first

def status(field):  # in KiB; Linux
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))

torch.set_num_threads(1)
side, steps, width, batch = sys.argv[1], *map(int, sys.argv[2:5])
sizes = (784, width, 10)
net = SnnTorch(sizes) if side == "snnTorch" else time_first(sizes, sb.Sign())
if side == "ST":
    net = sb.fuse(net, torch.rand(2, 2, 784))
if side == "ST, TimeChunks":
    net = sb.nn.TimeChunks(net, steps=20)
x, labels = spikes(steps, batch, 784), torch.randint(10, (batch,))
stepper(net, adam(net), x[:2], labels)()  # imports, compilation, optimizer state
Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
before = status("VmRSS")
stepper(net, adam(net), x, labels)()
print(status("VmHWM") - before)
"""


def times(axis, steps, width, batch, density, members):
    """Milliseconds of the CPU: of a training step, and of a forward pass."""
    torch.manual_seed(0)
    sizes = (784, width, 10)
    x, labels = spikes(steps, batch, 784, density=density), torch.randint(10, (batch,))
    theirs = SnnTorch(sizes)
    sign, bayes = (sb.fuse(time_first(sizes, rule), x[:2]) for rule in (sb.Sign(), sb.Bernoulli()))
    optimizer = sb.optim.BayesBiSNN(bayes.parameters(), 1e-30, 0.0, base_lr=0.0, betas=None)
    packed, ensemble = sb.pack(sign, x[:2]), sb.pack(sb.Ensemble(bayes, members), x[:2])
    of_bits = x

    def forward(net, given):
        def run():
            with torch.no_grad():
                F.log_softmax(net(given).mean(-3), -1)

        return run

    training = {
        "snnTorch": stepper(theirs, adam(theirs), x, labels),
        "ST": stepper(sign, adam(sign), x, labels),
        "Bayes": stepper(bayes, optimizer, x, labels),
    }
    inference = {
        "snnTorch": forward(theirs, x),
        "packed": forward(packed, of_bits),
        "packed ensemble": forward(ensemble, of_bits),
    }
    if axis == "members":
        training = {}
    return tuple(
        {name: 1e3 * statistics.median(found) for name, found in medians(5, **sides).items()} if sides else {}
        for sides in (training, inference)
    )


def memory(steps, width, batch):
    """MiB of a training step."""
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}  # give back what is freed

    def of(side):
        command = [sys.executable, "-W", "ignore", "-c", MEMORY, side, str(steps), str(width), str(batch)]
        run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        return int(run.stdout) / 1024

    return {side: of(side) for side in ("snnTorch", "ST", "ST, TimeChunks")}


def draw(found, path):
    """Draw a row of panels for training, inference and memory, a column for what grows."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator

    columns = list(GROWS)
    figure, axes = plt.subplots(3, len(columns), figsize=(15, 8), layout="constrained", squeeze=False)
    titles = ("training step (ms)", "forward pass (ms)", "memory of a training step (MiB)")
    for row, title in enumerate(titles):
        for column, axis in enumerate(columns):
            panel, values = axes[row, column], [found[axis, value][row] for value in GROWS[axis]]
            if not any(values):
                panel.set_axis_off()
                continue
            for name in values[0]:
                style = {"color": COLOURS.get(name, "#E69F00"), "label": name, "marker": "o", "markersize": 3}
                panel.plot(GROWS[axis], [each[name] for each in values], **style)
            panel.set(xscale="log", yscale="log", xlabel=NAMES.get(axis, axis), ylabel=title if column == 0 else "")
            panel.set_xticks(GROWS[axis], [f"{value:g}" for value in GROWS[axis]], fontsize=8)
            panel.minorticks_off()
            panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            panel.yaxis.set_major_formatter("{x:g}")
            panel.grid(color="#DDDDDD", linewidth=0.6)
            if column == 0:
                panel.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", help="file to draw to")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    for axis, values in GROWS.items():
        print(f"\n{NAMES.get(axis, axis)}, the others {', '.join(f'{k} {v}' for k, v in START.items() if k != axis)}")
        for value in values:
            here = START | {axis: value}
            rows = times(axis, **here)
            sizes = {name: here[name] for name in ("steps", "width", "batch")}
            found[axis, value] = (*rows, memory(**sizes) if axis in sizes else {})
            for kind, row, unit in zip(
                ("training", "forward", "memory"), found[axis, value], ("ms", "ms", "MiB"), strict=True
            ):
                for name, number in row.items():
                    print(
                        f"{axis} {value:<6} {kind:9} {name:16} {number:9.2f} {unit} {row['snnTorch'] / number:6.2f}x",
                        flush=True,
                    )
    if options.picture:
        draw(found, options.picture)


if __name__ == "__main__":
    main()
