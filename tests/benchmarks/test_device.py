"""Exported C against the same network in float C: flash, RAM, instructions of a time step as qemu counts them.

Instructions are no time and no energy. Networks are trained shortly on N-MNIST's digits 6 to 9 where
`SNNTORCH_BINARY_DATA` names a folder with its recordings, and are shown one; else they are as they begin, and are shown
spikes of the same density.
"""

import os
import re
import struct
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import snntorch_binary as sb
from snntorch_binary.data import load
from snntorch_binary.models import SpikingConvNet, SpikingMLP
from snntorch_binary.packed import SpikeBits

from .float_c import write_float_c
from .instructions import by_function
from .measure import medians, one_thread, spikes

sys.path.insert(0, str(Path(__file__).parent.parent / "export" / "c"))
import boards
import host

__all__ = ["one_thread"]

HERE = Path(__file__).parent
SHAPE, STEPS, DENSITY = (2, 34, 34), 10, 0.084
NETWORKS = {
    "2312-512-4": lambda: SpikingMLP(2312, [512], 4, drive=6.0),
    "12C5-MP2-32C5-MP2-4": lambda: SpikingConvNet(SHAPE, 4),
    "32C5-MP2-64C5-MP2-4": lambda: SpikingConvNet(SHAPE, 4, channels=(32, 64)),
}
_PLACES = (
    "a word of weights holds a bit for each channel up to 32, at the cost of 32; what is done at every place does "
    "not become less with fewer spikes"
)
WHY = {
    "Cortex-M4, events in": _PLACES,
    "Cortex-M0, fixed against soft float": _PLACES,
    "Cortex-M4, ensemble of 10 against one": "each member does the work of one network",
    "this machine, `packed` (numba), T = 10": "its kernels add for many places at once, in vectors",
}
M4, M0 = boards.BOARDS["cortex-m4"], boards.LARGE_M0
# The boards count 24 bits of a clock of 25 MHz; an instruction takes 8 ns of it under qemu, few enough for soft float.
_CLOCK, _TICKS_PER_INSTRUCTION = ("-icount", "shift=3"), 8 * 25e6 / 1e9


@dataclass
class Subject:
    """A network, and inputs [T, B, ...] to it with their classes."""

    name: str
    net: nn.Module
    x: torch.Tensor
    labels: torch.Tensor

    @property
    def shape(self):
        return SHAPE if "C" in self.name else (2312,)


@pytest.fixture(scope="module")
def recordings():
    folder = os.environ.get("SNNTORCH_BINARY_DATA")
    return folder and load("nmnist", folder, classes=(6, 7, 8, 9), limit_per_class=60)


@pytest.fixture(scope="module", params=NETWORKS)
def subject(request, recordings):
    torch.manual_seed(0)
    net = NETWORKS[request.param]()
    sb.binarize_(net, sb.Bernoulli(), scale="channel")
    if not recordings:
        x = spikes(STEPS, 20, *SHAPE, density=DENSITY)
        return Subject(request.param, net.eval(), x, net.eval()(x).mean(0).argmax(-1))
    x, labels = recordings.train.__getitems__(range(len(recordings.train)))
    optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.6, rho=0.0, betas=(0.9, 0.999), base_lr=1e-3)
    for _ in range(4):
        for index in torch.randperm(len(labels)).split(40):
            optimizer.zero_grad()
            F.cross_entropy(5 * net(x[:, index]).mean(0), labels[index]).backward()
            optimizer.step()
    return Subject(request.param, net.eval(), *recordings.test.__getitems__(range(40)))


@dataclass
class Counted:
    """Instructions of each time step, class scores, and bytes of weights and of what the network writes to."""

    steps: list
    scores: list
    weights: int
    ram: int
    elf: Path

    @property
    def mean(self):
        return round(sum(self.steps) / len(self.steps))


def counted(board, written, folder, x, score="float"):
    """Compile a network for a board, show it the events of one sequence [T, N], and count."""
    boards.check(board)
    events = [step.nonzero().flatten().tolist() for step in x.flatten(1)]
    first = [sum(map(len, events[:t])) for t in range(len(events) + 1)]
    numbers = ",".join(str(place) for step in events for place in step)
    (folder / "events.h").write_text(
        f"#define STEPS {len(events)}\n#define SCORE {score}\n"
        f"static const uint16_t events[] = {{{numbers}}};\n"
        f"static const uint32_t first[] = {{{','.join(map(str, first))}}};\n"
    )
    sources = [*sorted(written.glob("*.c")), HERE / "count_steps.c"]
    elf = boards.linked(board, folder, [], sources, written, ("-O2", "-g", f"-I{HERE}"))
    counting = replace(board, emulator=(board.emulator[0], *_CLOCK, *board.emulator[1:]))
    words = [int(line[0], 16) for line in boards.executed(counting, elf)]
    loop, *steps = [round(word / _TICKS_PER_INSTRUCTION) for word in words[: len(events) + 1]]
    assert 3000 <= loop <= 6000, loop
    kind = "=f" if score == "float" else "=i"
    scores = [struct.unpack(kind, struct.pack("=I", word))[0] for word in words[len(events) + 1 :]]
    of = {}
    for line in subprocess.check_output(["arm-none-eabi-nm", "-S", elf], text=True).splitlines():
        if found := re.fullmatch(r"\w+ (\w+) \w (\w+)", line):
            of[found[2]] = int(found[1], 16)
    weights = sum(size for name, size in of.items() if re.fullmatch(r"(net_)?weights?\d+", name))
    memory = sum(size for name, size in of.items() if re.fullmatch(r"state|room\d+|events\d+", name))
    return Counted(steps, scores, weights, memory, elf)


def exported(board, subject, folder, members=1, fixed=False):
    """Count what is exported, after a look at its scores."""
    net = subject.net if members == 1 else sb.Ensemble(subject.net, num_members=members, seed=0)
    packed, more = sb.pack(net), {}
    if fixed:
        more = {"arithmetic": "fixed", "data": (subject.x, subject.labels), "max_accuracy_loss": 0.1}
    sb.export.to_c(packed, folder / "c", "net", sample=subject.x, **more)
    return counted(board, folder / "c", folder, subject.x[:, 0], "int32_t" if fixed else "float")


def opponent(board, subject, folder):
    """Count the float network, whose scores are those of the binary one but for the order of rounding."""
    written = folder / "float"
    write_float_c(subject.net, subject.shape, written)
    x = subject.x[:, 0]
    shown = x.permute(0, 2, 3, 1) if len(subject.shape) == 3 else x
    found = counted(board, written, folder, shown)
    scores = subject.net(subject.x[:, :1]).mean(0)[0].detach()
    assert torch.allclose(torch.tensor(found.scores), scores, atol=0.1 * scores.abs().max().item())
    return found


@pytest.fixture
def said(benchmark, capsys, subject):
    """Print a row with its ratio, and keep it."""

    def say(row, ours, theirs, least, aim, unit="instructions a step", where=None):
        ratio, named = theirs / ours, f"{subject.name}: {row}"
        wanted = f"(least {least}x, aim {aim}x)" if least else ""
        with capsys.disabled():
            print(f"\n{named:60s} {ours:>11,} against {theirs:>11,} {unit}: {ratio:5.1f}x {wanted}", end="")
            if least and ratio < least:
                print(f"\n    Why: {WHY.get(row, 'not known')}", end="")
            if where:
                most = ", ".join(f"{name} {share:.0%}" for name, share in where.items() if share > 0.01)
                print(f"\n    Where: {most}", end="")
        benchmark.extra_info[named] = {"ours": ours, "theirs": theirs, "ratio": ratio, "least": least, "aim": aim}

    yield say
    benchmark.pedantic(lambda: None, rounds=1)


def test_device_cortex_m4(said, tmp_path, subject):
    ours = exported(M4, subject, tmp_path)
    where = by_function(M4, ours.elf)
    theirs = opponent(M4, subject, tmp_path)
    said("flash of weights", ours.weights, theirs.weights, 30, 31, "bytes")
    said("RAM beside weights", ours.ram, theirs.ram, None, None, "bytes")
    said("Cortex-M4, events in", ours.mean, theirs.mean, 4, 10, where=where)
    ensemble = exported(M4, subject, tmp_path, members=10)
    said("Cortex-M4, ensemble of 10 against one", ensemble.mean, theirs.mean, 1, 2)
    assert len(set(ensemble.scores)) > 4


def test_device_cortex_m0(said, tmp_path, subject):
    ours, theirs = exported(M0, subject, tmp_path, fixed=True), opponent(M0, subject, tmp_path)
    said("Cortex-M0, fixed against soft float", ours.mean, theirs.mean, 20, 60)


@pytest.mark.parametrize("recordings_in_a_row", [1, 10])
def test_device_on_this_machine(said, tmp_path, subject, recordings_in_a_row):
    """One recording, of which calls in Python are a part that counts; ten of them in a row have no least ratio."""
    pytest.importorskip("numba")
    packed, x = sb.pack(subject.net), subject.x[:, :1].repeat(recordings_in_a_row, *(1,) * (subject.x.dim() - 1))
    if len(subject.shape) == 1:
        packed, x = packed[1:], x.flatten(2)  # bits are not to be flattened
    device = host.Device(packed, tmp_path, sample=x, flags=("-O3", "-march=native"))
    words = [(host.ctypes.c_uint32 * ((device.inputs + 31) // 32))(*host.words_of(step)) for step in x[:, 0].flatten(1)]
    step, bits = device.library.net_step, SpikeBits.of(x, len(subject.shape) - 1)

    def ours():
        device.call("reset")
        for row in words:
            step(device.state, row)

    times = medians(ours=ours, theirs=lambda: packed(bits))
    microseconds = {name: round(1e6 * sorted(each)[len(each) // 2]) for name, each in times.items()}
    wanted = (1, 3) if recordings_in_a_row == 1 else (None, None)
    said(f"this machine, `packed` (numba), T = {len(x)}", *microseconds.values(), *wanted, "microseconds")
