"""Exported C on other machines, under qemu: the program that shows a network its inputs and prints what it answers."""

import re
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from host import WARNINGS, build, objects, words_of

import snntorch_binary as sb

HERE = Path(__file__).parent / "boards"


@dataclass(frozen=True)
class Board:
    """A machine: how to compile for it, what starts there, and how to run it here."""

    compiler: tuple[str, ...]
    start: str
    link: tuple[str, ...] = ()
    emulator: tuple[str, ...] = ()


def _cortex(cpu, machine, flash, ram, *fpu):
    options = (f"-mcpu={cpu}", "-mthumb", *fpu)
    sizes = f"-Wl,--defsym=FLASH={flash}K,--defsym=RAM={ram}K"
    link = (f"-T{HERE / 'arm.ld'}", sizes, "-nostartfiles", "--specs=nosys.specs")
    emulator = ("qemu-system-arm", "-M", machine, *_QUIET)
    return Board(("arm-none-eabi-gcc", "-std=c99", *options), "arm.c", link, emulator)


_QUIET = ("-nographic", "-monitor", "none", "-semihosting", "-kernel")
_FPU = ("-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
_RISCV = ("-march=rv32imc", "-mabi=ilp32", "--specs=picolibc.specs")
_SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")
BOARDS = {
    "host": Board(("gcc", "-std=c99"), "hosted.c"),
    "host as C++": Board(("g++", "-std=c++11"), "hosted.c"),
    "host with sanitizers": Board(("gcc", "-std=c99", *_SANITIZERS), "hosted.c"),
    "cortex-m0": _cortex("cortex-m0", "microbit", 256, 16),
    "cortex-m3": _cortex("cortex-m3", "mps2-an385", 4096, 4096),
    "cortex-m4": _cortex("cortex-m4", "mps2-an386", 4096, 4096, *_FPU),
    "riscv": Board(
        ("riscv64-unknown-elf-gcc", "-std=c99", *_RISCV),
        "riscv.c",
        (f"-T{HERE / 'riscv.ld'}", "-nostartfiles"),
        ("qemu-system-riscv32", "-M", "virt", "-bios", "none", *_QUIET),
    ),
    "s390x": Board(("s390x-linux-gnu-gcc", "-std=c99", "-static"), "hosted.c", (), ("qemu-s390x",)),
}
# Instructions of a Cortex-M0, on a board with room for what does not fit on its own.
LARGE_M0 = _cortex("cortex-m0", "mps2-an385", 4096, 4096)


@dataclass(frozen=True)
class Run:
    """What a program printed: scores [examples, T, K, C], hidden spikes as words [examples, T, W], and answers."""

    scores: torch.Tensor
    spikes: torch.Tensor
    answers: list


def run(board, packed, x, folder, *, flags=("-O2",), **options):
    """Export a network, compile it for a board with all warnings as errors, and run it; skip what is not installed."""
    board = BOARDS[board] if isinstance(board, str) else board
    check(board)
    sb.export.to_c(packed, folder / "c", "net", **options)
    return shown(board, folder / "c", x, folder, flags)


def shown(board, written, x, folder, flags=("-O2",), spike_words=0):
    """Compile what was exported as `net` with all warnings as errors, and run it.

    The last hidden layer's spikes are seen, too, where it is said how many words of them there are.
    """
    header = (written / "net.h").read_text()
    (folder / "inputs.h").write_text(_inputs(x, header, spike_words))
    runtime = objects(board.compiler, flags, written / "snnb.c")
    elf = linked(board, folder, [written / "net.c"], [HERE / "program.c", runtime], written, flags)
    return _parsed(executed(board, elf), x, header)


def check(board):
    """Skip a test where a compiler or an emulator is missing."""
    for tool in (board.compiler[0], *board.emulator[:1]):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


def linked(board, folder, strict, others, include, flags):
    """Compile for a board, some sources with all warnings as errors."""
    elf = folder / "program.elf"
    common = [*board.compiler, *flags, "-ffp-contract=off", f"-I{include}", f"-I{HERE}", f"-I{folder}"]
    objects = [folder / f"{source.stem}.o" for source in strict]
    for source, built in zip(strict, objects, strict=True):
        build([*common, *WARNINGS, "-c", str(source), "-o", str(built)])
    rest = [*map(str, [*objects, *others, HERE / board.start]), *board.link, "-lm", "-o", str(elf)]
    done = subprocess.run([*common, *rest], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return elf


def executed(board, elf):
    """Run a program, and return the lines that it prints."""
    done = subprocess.run([*board.emulator, str(elf)], capture_output=True, text=True, timeout=60, check=False)
    return [line.split() for line in (done.stdout + done.stderr).splitlines()]


def _inputs(x, header, spike_words):
    real = "net_step_real" in header
    rows = []
    for example in x.unbind(1):
        steps = []
        for step in example.flatten(1):
            given = (
                [f"{value!r}f" for value in step.tolist()] if real else [f"0x{word:08X}u" for word in words_of(step)]
            )
            steps.append("{" + ", ".join(given) + "}")
        rows.append("{" + ",\n".join(steps) + "}")
    kind, size = ("float", x[0, 0].numel()) if real else ("uint32_t", (x[0, 0].numel() + 31) // 32)
    shape = f"[{x.shape[1]}][{x.shape[0]}][{size}]"
    score = "int32_t" if "int32_t *scores" in header else "float"
    return "\n".join([
        '#include "net.h"',
        f"#define EXAMPLES {x.shape[1]}",
        f"#define STEPS {x.shape[0]}",
        f"#define SCORE {score}",
        f"#define SPIKE_WORDS {spike_words}u",
        f"#define STEP {'net_step_real' if real else 'net_step'}",
        f"static const {kind} inputs{shape} = {{{','.join(rows)}}};",
    ]) + "\n"  # fmt: skip


def _parsed(lines, x, header):
    steps, examples = x.shape[:2]
    assert len(lines) == examples * (steps + 1), lines[:5]
    kind = "i" if "int32_t *scores" in header else "f"

    def numbers(words, kind):
        return [struct.unpack(f">{kind}", bytes.fromhex(word))[0] for word in words]

    members, classes = (int(re.search(rf"#define NET_{what} (\d+)u", header)[1]) for what in ("MEMBERS", "CLASSES"))
    scores, spikes, answers = [], [], []
    for example in range(examples):
        block = lines[example * (steps + 1) : (example + 1) * (steps + 1)]
        scores.append([numbers(line[: members * classes], kind) for line in block[:-1]])
        spikes.append([[int(word, 16) for word in line[members * classes :]] for line in block[:-1]])
        answers.append((int(block[-1][0], 16), numbers(block[-1][1:], "f")))
    tensor = torch.tensor(scores).view(examples, steps, members, classes)
    return Run(tensor, torch.tensor(spikes), answers)
