"""Exported C against the same network in float C: flash, RAM, instructions of a time step as qemu counts them.

2312-512-4, as N-MNIST 6-9: 8 % of the inputs spike at a step. Instructions are those of the longest of a few steps.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.packed import SpikeBits

from .measure import one_thread, report, spikes

sys.path.insert(0, str(Path(__file__).parent.parent / "export" / "c"))
import boards
import host

__all__ = ["one_thread"]

INPUTS, HIDDEN, CLASSES, BETA, THRESHOLD = 2312, 512, 4, 0.9, 1.0
DENSITY = 0.082
HERE = Path(__file__).parent


def network():
    rule = sb.Bernoulli()
    first, second = sb.nn.BinaryLinear(INPUTS, HIDDEN, weight=rule), sb.nn.BinaryLinear(HIDDEN, CLASSES, weight=rule)
    return nn.Sequential(first, sb.nn.Leaky(beta=BETA, threshold=THRESHOLD), second).eval()


@pytest.fixture(scope="module")
def shown():
    torch.manual_seed(0)
    return spikes(4, 1, INPUTS, density=DENSITY)


def _rows(name, values):
    rows = [
        "{" + ",".join(f"{value:.9g}f" if "." in f"{value:.9g}" else f"{value:.9g}.0f" for value in row) + "}"
        for row in values.tolist()
    ]
    return f"static const float {name}[{values.shape[0]}][{values.shape[1]}] FAR = {{{','.join(rows)}}};"


def float_instructions(board, net, x, folder):
    """Instructions of the longest step of the float network, and its scores, that are those of the binary one."""
    boards.check(board)
    net = sb.freeze(net)
    words = ["{" + ",".join(f"0x{word:08X}u" for word in host.words_of(step)) + "}" for step in x[:, 0]]
    vectors = [
        f"static const float {name}[{len(value)}] = {{{','.join(f'{each:.9g}f' for each in value.tolist())}}};"
        for name, value in (("first_bias", net[0].bias.detach()), ("second_bias", net[2].bias.detach()))
    ]
    weights = [_rows("first", net[0].weight.detach().T), _rows("second", net[2].weight.detach().T)]
    sizes = {"INPUTS": INPUTS, "HIDDEN": HIDDEN, "CLASSES": CLASSES, "BETA": f"{BETA}f", "THRESHOLD": f"{THRESHOLD}f"}
    text = [
        "#include <stdint.h>",
        *(f"#define {name} {value}" for name, value in sizes.items()),
        '#define FAR __attribute__((section(".far")))',
        "typedef struct { float mem[HIDDEN], total[CLASSES]; } float_state;",
        "void float_reset(float_state *s);",
        "void float_step(float_state *s, const uint32_t *spikes);",
        f"#define STEPS {len(words)}",
        "#ifdef WITH_INPUTS",
        f"static const uint32_t inputs[{len(words)}][{(INPUTS + 31) // 32}] = {{{','.join(words)}}};",
        "#else",
        *vectors,
        *weights,
        "#endif",
    ]
    (folder / "float_network.h").write_text("\n".join(text) + "\n")
    sources = [HERE / "float_network.c", HERE / "float_program.c"]
    elf = boards.linked(board, folder, [], sources, folder, ("-O2",))
    lines = boards.executed(board, elf)
    most = max(int(line[0], 16) for line in lines)
    return round(most / board.ticks_per_instruction)


def said(benchmark, row, ours, theirs, least, aim, unit="instructions"):
    """Print a row, and keep it."""
    ratio = theirs / ours
    print(f"\n{row:52s} {ours:>10,} against {theirs:>10,} {unit}: {ratio:6.1f}x (least {least}x, aim {aim}x)", end="")
    benchmark.extra_info.update(row=row, ours=ours, theirs=theirs, ratio=ratio, least=least, aim=aim, unit=unit)
    benchmark.pedantic(lambda: None, rounds=1)


def test_device_flash_and_ram(benchmark, tmp_path, shown):
    sizes = sb.export.to_c(sb.pack(network()), tmp_path / "c", sample=shown)
    theirs = 4 * (INPUTS * HIDDEN + HIDDEN * CLASSES)
    print(f"\n{'RAM of one network':52s} {sizes.state:>10,} bytes (least 8,192, aim 4,096)", end="")
    benchmark.extra_info["ram"] = sizes.state
    said(benchmark, "flash of the weights", sizes.weights, theirs, 30, 31, "bytes")


@pytest.mark.parametrize(
    ("row", "board", "members", "fixed", "least", "aim"),
    [
        ("Cortex-M4, float32", boards.BOARDS["cortex-m4"], 1, False, 4, 10),
        ("Cortex-M0, fixed, against soft float", boards.LARGE_M0, 1, True, 20, 60),
        ("Cortex-M4, ensemble of 10, against one network", boards.BOARDS["cortex-m4"], 10, False, 1, 2),
    ],
)
def test_device_instructions(benchmark, tmp_path, shown, row, board, members, fixed, least, aim):
    torch.manual_seed(0)
    net = network()
    theirs = float_instructions(board, net, shown, tmp_path)
    packed = sb.pack(net if members == 1 else sb.Ensemble(net, num_members=members))
    more = {}
    if fixed:
        x = spikes(10, 20, INPUTS, density=DENSITY)
        more = {"arithmetic": "fixed", "data": (x, packed(x).mean(0).argmax(-1)), "max_accuracy_loss": 0.1}
    ours = boards.run(board, packed, shown, tmp_path, sample=shown, **more)
    size = subprocess.run(["arm-none-eabi-size", str(ours.elf)], capture_output=True, text=True, check=False)
    print(size.stdout, end="")
    said(benchmark, row, ours.longest, theirs, least, aim)


def test_device_on_this_machine(benchmark, tmp_path, shown):
    pytest.importorskip("numba")
    torch.manual_seed(0)
    packed = sb.pack(network())
    x = spikes(100, 1, INPUTS, density=DENSITY)
    device = host.Device(packed, tmp_path, sample=shown, flags=("-O3", "-march=native"))
    words = [(host.ctypes.c_uint32 * ((INPUTS + 31) // 32))(*host.words_of(step)) for step in x[:, 0]]
    step, bits = device.library.net_step, SpikeBits.of(x)

    def ours():
        device.call("reset")
        for row in words:
            step(device.state, row)

    sides = {"ours": ours, "theirs": lambda: packed(bits)}
    report(benchmark, "2312-512-4, T = 100, batch 1, this machine", 1, "packed (numba)", **sides)
